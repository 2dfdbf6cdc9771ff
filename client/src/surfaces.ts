import { readEnvironment } from "./runtime.ts";

/** Where the parts of the API live: the queue, direct runs, and tokens, uploads and keys of signatures. */
export type Surface = "queue" | "run" | "rest";

export const DEFAULT_URL = "http://127.0.0.1:7777";

const HOSTED: Readonly<Record<Surface, string>> = {
  queue: "https://queue.fal.run",
  run: "https://fal.run",
  rest: "https://rest.fal.ai",
};
const HOSTED_NAME = /(^|\.)fal\.(run|ai)$/;

/**
 * Base URL of a surface, without a trailing slash. `url` is the server's address: a Sluice (or anything that
 * mounts `/queue`, `/run` and `/rest`), or `https://fal.run` for the hosted service with its one host per surface.
 * Unset: the environment variable `SLUICE_URL`, else {@link DEFAULT_URL}.
 *
 * @throws TypeError when the address is not an http(s) URL
 */
export function getSurfaceUrl(url: string | undefined, surface: Surface): string {
  const address = url || readEnvironment("SLUICE_URL") || DEFAULT_URL;
  const parsed = URL.canParse(address) ? new URL(address) : undefined;
  if (parsed === undefined || !/^https?:$/.test(parsed.protocol)) {
    throw new TypeError(
      `The server's address must be an http(s) URL, for example ${DEFAULT_URL}, not "${address}"`,
    );
  }
  if (HOSTED_NAME.test(parsed.hostname)) return HOSTED[surface];
  return `${parsed.origin}${parsed.pathname.replace(/\/+$/, "")}/${surface}`;
}

/** Whether credentials for the configured server may be sent to this URL. */
export function isTrustedUrl(url: string | undefined, target: URL): boolean {
  if (target.protocol === "https:" && HOSTED_NAME.test(target.hostname)) return true;
  return target.origin === new URL(getSurfaceUrl(url, "run")).origin;
}

/**
 * How a proxy is told the target. A client that was told no address names the hosted service, so that the proxy
 * decides where that is; any other target is named as it is.
 */
export function formatProxyTarget(url: string): string {
  for (const surface of Object.keys(HOSTED) as Surface[]) {
    const mount = `${DEFAULT_URL}/${surface}`;
    if (url.startsWith(`${mount}/`)) return HOSTED[surface] + url.slice(mount.length);
  }
  return url;
}
