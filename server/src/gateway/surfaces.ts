import type { Surface } from "./context.ts";

/** Where a request goes: a surface with the path inside it, the proxy entry, or a route of the server itself. */
export type Place =
  | {
      readonly kind: "surface";
      readonly surface: Surface;
      readonly path: string;
      /** Set when the host name picked the surface. */
      readonly virtualHost?: "official" | "own";
    }
  | { readonly kind: "proxy" }
  | { readonly kind: "server"; readonly path: string };

/**
 * Finds the surface of a request (fal model API, "One self-hosted origin"). A mount prefix wins over a virtual
 * host.
 *
 * @param host host with or without port, lower case
 * @param path as it came, beginning with `/`
 */
export function findPlace(host: string, path: string, baseDomain: string | null): Place {
  const mount = findMount(path);
  if (mount !== undefined) return mount;
  const name = stripPort(host);
  const official = OFFICIAL_HOSTS.get(name) ?? (name.endsWith(".fal.media") ? "cdn" : undefined);
  if (official !== undefined) return { kind: "surface", surface: official, path, virtualHost: "official" };
  if (baseDomain !== null && name.endsWith(`.${baseDomain}`)) {
    const surface = OWN_HOSTS.get(name.slice(0, -baseDomain.length - 1));
    if (surface !== undefined) return { kind: "surface", surface, path, virtualHost: "own" };
  }
  return { kind: "server", path };
}

const OFFICIAL_HOSTS: ReadonlyMap<string, Surface> = new Map([
  ["queue.fal.run", "queue"],
  ["queue.falrun.com", "queue"],
  ["fal.run", "run"],
  ["falrun.com", "run"],
  ["ws.fal.run", "ws"],
  ["rest.fal.ai", "rest"],
  ["rest.alpha.fal.ai", "rest"],
  ["fal.media", "cdn"],
  ["api.fal.ai", "platform"],
]);

const OWN_HOSTS: ReadonlyMap<string, Surface> = new Map([
  ["queue", "queue"],
  ["run", "run"],
  ["ws", "ws"],
  ["rest", "rest"],
  ["cdn", "cdn"],
  ["api", "platform"],
]);

const MOUNTS: ReadonlyMap<string, Surface> = new Map([
  ["queue", "queue"],
  ["run", "run"],
  ["ws", "ws"],
  ["rest", "rest"],
  ["cdn", "cdn"],
  ["v1", "platform"],
]);

function findMount(path: string): Place | undefined {
  const end = path.indexOf("/", 1);
  const first = end === -1 ? path.slice(1) : path.slice(1, end);
  const surface = MOUNTS.get(first);
  if (surface !== undefined) return { kind: "surface", surface, path: end === -1 ? "/" : path.slice(end) };
  if (path === "/api/fal/proxy" || path === "/api/fal/proxy/") return { kind: "proxy" };
  if (
    path.startsWith("/api/openapi/") ||
    path === "/llms.txt" ||
    (path.startsWith("/models/") && path.endsWith("/llms.txt"))
  )
    return { kind: "surface", surface: "docs", path };
  // Receivers of webhooks look for the key set at the root too.
  if (path === "/.well-known/jwks.json") return { kind: "surface", surface: "rest", path };
  if (SERVER_PATHS.has(path)) return { kind: "server", path };
  return undefined;
}

const SERVER_PATHS: ReadonlySet<string> = new Set([
  "/health",
  "/health/",
  "/ready",
  "/ready/",
  "/metrics",
  "/client.tgz",
]);

function stripPort(host: string): string {
  const colon = host.lastIndexOf(":");
  return colon === -1 || host.endsWith("]") ? host : host.slice(0, colon);
}
