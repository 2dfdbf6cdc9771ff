import {
  formatApp,
  formatEndpointId,
  type EndpointId as ParsedId,
  parseEndpointId as parse,
} from "@sluice/protocol";
import type { RequiredConfig } from "./config.ts";
import { getSurfaceUrl, isTrustedUrl, type Surface } from "./surfaces.ts";

export type EndpointId = ParsedId;

/** Parts of an endpoint id, such as `fal-ai/flux/dev`. @throws Error when it is none */
export function parseEndpointId(id: string): EndpointId {
  const parsed = parse(id);
  if (parsed === undefined) {
    throw new Error(`Invalid app id: ${id}. Must be in the format <appOwner>/<appId>`);
  }
  return parsed;
}

export interface UrlParts {
  /** Appended to the id. */
  readonly path?: string | undefined;
  readonly query?: Readonly<Record<string, string | undefined>> | undefined;
}

/** Where an endpoint is called. An id may be a whole URL, if that is on the configured server or on fal's hosts. */
export function buildEndpointUrl(
  config: RequiredConfig,
  surface: Surface,
  id: string,
  { path = "", query = {} }: UrlParts = {},
): string {
  const suffix = path === "" || path.startsWith("/") ? path : `/${path}`;
  const base = /^https?:/i.test(id)
    ? checkUrl(config, id)
    : `${getSurfaceUrl(config.url, surface)}/${formatEndpointId(parseEndpointId(id))}`;
  return appendQuery(base.replace(/\/$/, "") + suffix.replace(/\/$/, ""), query);
}

/** Where a request is asked about: these routes leave out the path of the id. */
export function buildRequestUrl(
  config: RequiredConfig,
  id: string,
  requestId: string,
  suffix: "" | "/status" | "/status/stream" | "/cancel",
  query: Readonly<Record<string, string | undefined>> = {},
): string {
  if (!requestId) throw new TypeError("`requestId` is missing: give the id that submit returned");
  const app = formatApp(parseEndpointId(id));
  const base = `${getSurfaceUrl(config.url, "queue")}/${app}/requests/${encodeURIComponent(requestId)}`;
  return appendQuery(base + suffix, query);
}

/** The id with `fallback` as its last segment, unless it ends so or the caller gives another one. */
export function appendPath(id: string, path: string | undefined, fallback: string): string {
  if (path !== undefined) return `${id}/${path.replace(/^\/+/, "")}`;
  return id.endsWith(fallback) ? id : id + fallback;
}

export function appendQuery(url: string, query: Readonly<Record<string, string | undefined>>): string {
  const search = new URLSearchParams();
  for (const [name, value] of Object.entries(query)) if (value !== undefined) search.set(name, value);
  if (search.size === 0) return url;
  return `${url}${url.includes("?") ? "&" : "?"}${search}`;
}

function checkUrl(config: RequiredConfig, text: string): string {
  const url = new URL(text);
  if (!isTrustedUrl(config.url, url)) {
    throw new Error(`The endpoint ${url.origin} is not on the configured server: the key is not sent there`);
  }
  return text;
}
