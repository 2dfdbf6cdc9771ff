import { dirname, join, resolve, sep } from "node:path";
import { isOfficialHost, OFFICIAL_HOSTS } from "./official-hosts.ts";
import { BUNDLE_VARIABLES } from "./trust-bundle.ts";
import { matchesException, splitExceptions } from "./upstream-proxy.ts";

export interface ChildEnvironmentParts {
  /** What the command would have had without `sluice exec`. */
  readonly environment: Readonly<Record<string, string | undefined>>;
  readonly serverUrl: string;
  readonly interceptor: { readonly port: number; readonly proxyUrl: string };
  /** Paths of files that live as long as the command. */
  readonly files: {
    /** The authority's certificate alone. */
    readonly authority: string;
    /** Every root with ours. */
    readonly bundle: string;
    /** Roots that Node adds to its own, with ours. */
    readonly extraRoots: string;
    /** The preload for Node programs. */
    readonly preload: string;
  };
  /** Credentials to set, by variable. */
  readonly keys: Readonly<Record<string, string>>;
}

/** The environment in which every known client finds this server; what it does not need is left as it was. */
export function createChildEnvironment(parts: ChildEnvironmentParts): Record<string, string | undefined> {
  const { environment, serverUrl, interceptor, files, keys } = parts;
  const changed: Record<string, string | undefined> = {
    ...environment,
    ...keys,
    SLUICE_URL: serverUrl,
    SLUICE_EXEC: JSON.stringify({
      port: interceptor.port,
      authority: files.authority,
      hosts: OFFICIAL_HOSTS,
    }),
    NODE_OPTIONS: [environment["NODE_OPTIONS"], `--require ${quote(files.preload)}`]
      .filter(Boolean)
      .join(" "),
    NODE_EXTRA_CA_CERTS: files.extraRoots,
    HTTPS_PROXY: interceptor.proxyUrl,
    https_proxy: interceptor.proxyUrl,
  };
  for (const name of BUNDLE_VARIABLES) changed[name] = files.bundle;
  const exceptions = formatExceptions(environment, new URL(serverUrl).hostname);
  changed["NO_PROXY"] = exceptions;
  changed["no_proxy"] = exceptions;
  const pathName = Object.keys(environment).find((name) => name.toUpperCase() === "PATH") ?? "PATH";
  changed[pathName] = removeOwnPrograms(environment[pathName] ?? "", import.meta.dirname);
  return changed;
}

/**
 * What goes past the proxy: as before without the official hosts, plus this server, whose file addresses another
 * proxy could not reach.
 */
function formatExceptions(
  environment: Readonly<Record<string, string | undefined>>,
  serverHost: string,
): string {
  const names = OFFICIAL_HOSTS.map((host) => host.replace("*.", "v3."));
  const kept = splitExceptions(environment["no_proxy"] ?? environment["NO_PROXY"]).filter(
    (entry) => !names.some((name) => matchesException(entry, name, 443)),
  );
  const own = isOfficialHost(serverHost) ? [] : [serverHost];
  return [...new Set([...kept, "127.0.0.1", "localhost", ...own])].join(",");
}

/**
 * `npx` and `npm run` put a clone's own programs first on the path, its pinned Node among them; the command must
 * get those that its caller has. An installed package's `.bin` is its user's own and stays.
 *
 * @param folder a folder of this package
 */
export function removeOwnPrograms(path: string, folder: string): string {
  if (folder.split(sep).includes("node_modules")) return path;
  const own = new Set<string>();
  // This package, and the workspace that holds it.
  const packageFolder = resolve(folder, "../..");
  for (const holder of [packageFolder, dirname(packageFolder)]) own.add(join(holder, "node_modules", ".bin"));
  const separator = process.platform === "win32" ? ";" : ":";
  return path
    .split(separator)
    .filter((entry) => !own.has(resolve(entry)))
    .join(separator);
}

/** As `NODE_OPTIONS` reads it: in quotes when it holds a space. */
function quote(path: string): string {
  return /[\s"\\]/.test(path) ? `"${path.replace(/["\\]/g, "\\$&")}"` : path;
}
