import { type EndpointId, formatApp, formatEndpointId, parseEndpointId } from "@sluice/protocol";
import type { Catalog, CatalogEntry } from "../catalog/catalog.ts";
import type { NewRequest } from "../queue/request-queue.ts";

/** What a path names. */
export type FoundEndpoint = KnownEndpoint | UnknownApp;

export type KnownEndpoint =
  | { readonly kind: "endpoint"; readonly entry: CatalogEntry }
  /** The app is known, the path below it is not: the app itself answers 404. */
  | {
      readonly kind: "unknown_path";
      readonly endpointId: string;
      readonly app: string;
      /** With a leading slash. */
      readonly path: string;
    };

export interface UnknownApp {
  readonly kind: "unknown_app";
  /** What "not found" quotes. */
  readonly name: string;
}

export function findEndpoint(catalog: Catalog, endpoint: string): FoundEndpoint {
  const entry = catalog.find(endpoint);
  if (entry !== undefined) return { kind: "endpoint", entry };
  const id = endpoint.length > MAX_LENGTH ? undefined : parseEndpointId(endpoint);
  if (id === undefined) return { kind: "unknown_app", name: endpoint.slice(0, MAX_LENGTH) };
  return findParsed(catalog, id);
}

const MAX_LENGTH = 256;

function findParsed(catalog: Catalog, id: EndpointId): FoundEndpoint {
  const app = formatApp(id);
  const endpointId = formatEndpointId(id);
  const entry = catalog.find(endpointId);
  if (entry !== undefined) return { kind: "endpoint", entry };
  if (!catalog.hasApp(app)) return { kind: "unknown_app", name: id.alias };
  return { kind: "unknown_path", endpointId, app, path: `/${id.path ?? ""}` };
}

/** A request's fields that say what is called. */
export function describeTarget(found: KnownEndpoint): Pick<NewRequest, "endpointId" | "app" | "timeoutMs"> {
  if (found.kind === "unknown_path") return { endpointId: found.endpointId, app: found.app, timeoutMs: 0 };
  const { endpointId, app, manifest } = found.entry;
  return { endpointId, app, timeoutMs: manifest.limits.timeoutMs };
}

/** The endpoint of a surface's path: decoded, without the slashes around it. Text that cannot be decoded stays. */
export function readEndpointPath(path: string): string {
  let end = path.length;
  while (end > 1 && path.charCodeAt(end - 1) === SLASH) end -= 1;
  const endpoint = path.slice(1, end);
  if (!endpoint.includes("%")) return endpoint;
  try {
    return decodeURIComponent(endpoint);
  } catch {
    return endpoint;
  }
}

const SLASH = 47;
