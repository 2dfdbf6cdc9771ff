import { matchesAny } from "./match-pattern.ts";
import type { ProxyOptions } from "./proxy-options.ts";

export type Surface = "queue" | "run" | "rest";

/** Where a call may go. */
export interface Target {
  readonly url: URL;
  /** Set when a model is called, as opposed to a question about a request, an upload or a token. */
  readonly endpoint: string | undefined;
  readonly isToken: boolean;
}

/** A call that the proxy does not make; the reason is for whoever set it up. */
export interface Refusal {
  readonly refused: string;
}

const HOSTED: Readonly<Record<string, Surface>> = {
  "fal.run": "run",
  "queue.fal.run": "queue",
  "rest.fal.ai": "rest",
  "rest.alpha.fal.ai": "rest",
};
const HOSTED_BASE: Readonly<Record<Surface, string>> = {
  queue: "https://queue.fal.run",
  run: "https://fal.run",
  rest: "https://rest.fal.ai",
};
const UPLOADS = /^\/storage\/upload\/(initiate|initiate-multipart|complete-multipart)$/;
const TOKENS = /^\/tokens(\/realtime)?\/?$/;
const REQUEST = /^\/.+?\/requests\/[^/]+(\/status\/stream|\/status|\/cancel|\/response)?\/?$/;

/**
 * Decides whether the target that a page names may be called, and where that is. Hosted names mean the parts of
 * the API wherever it is; the API's own address is understood as well; anything else is refused.
 *
 * @param header value of `x-fal-target-url`
 * @param origin the API's address
 */
export function parseTarget(
  header: string | null,
  method: string,
  origin: string,
  options: ProxyOptions,
): Target | Refusal {
  if (!header) return { refused: "the header x-fal-target-url is missing" };
  if (!URL.canParse(header)) return { refused: "x-fal-target-url is not an absolute URL" };
  const url = new URL(header);
  if (url.username !== "" || url.password !== "") return { refused: "the target holds a user name" };
  // Ids need no such characters, and what hides behind them is read differently by different servers.
  if (/%|\\|\/\//.test(url.pathname)) return { refused: "the target's path holds an escaped character" };
  const place = locate(url, origin);
  const name = place === undefined ? url.host + url.pathname + url.search : formatHosted(place);
  if (options.allowedUrlPatterns !== undefined && matchesAny(name, options.allowedUrlPatterns)) {
    if (place === undefined && url.protocol !== "https:") return { refused: "the target is not https" };
    const isCall = place !== undefined && place.surface !== "rest" && !isRequestRoute(place, method);
    if (!isCall)
      return { url: place === undefined ? url : build(place, origin), endpoint: undefined, isToken: false };
  }
  if (place === undefined) return { refused: `the target ${url.host} is not the API` };
  if (place.surface === "rest") return checkRest(place, method, origin, options);
  if (isRequestRoute(place, method))
    return { url: build(place, origin), endpoint: undefined, isToken: false };
  const endpoint = place.path.replace(/^\/|\/$/g, "");
  // Streams and sockets are ways to call the endpoint, not endpoints of their own.
  const bare = place.surface === "run" ? endpoint.replace(/\/stream$/, "") : endpoint;
  if (!matchesAny(endpoint, options.allowedEndpoints) && !matchesAny(bare, options.allowedEndpoints)) {
    return { refused: `the endpoint ${endpoint} is not in allowedEndpoints` };
  }
  return { url: build(place, origin), endpoint, isToken: false };
}

interface Place {
  readonly surface: Surface;
  readonly path: string;
  readonly search: string;
}

function locate(url: URL, origin: string): Place | undefined {
  const { pathname, search } = url;
  const hosted = url.protocol === "https:" && url.port === "" ? HOSTED[url.hostname] : undefined;
  if (hosted !== undefined) return { surface: hosted, path: pathname, search };
  const base = new URL(origin);
  const prefix = base.pathname.replace(/\/+$/, "");
  if (url.origin !== base.origin || !pathname.startsWith(`${prefix}/`)) return undefined;
  const [, surface, path] = /^\/(queue|run|rest)(\/.*)$/.exec(pathname.slice(prefix.length)) ?? [];
  return path === undefined ? undefined : { surface: surface as Surface, path, search };
}

function build(place: Place, origin: string): URL {
  const base = new URL(origin);
  const isHosted = /(^|\.)fal\.(run|ai)$/.test(base.hostname);
  const root = isHosted
    ? HOSTED_BASE[place.surface]
    : `${base.origin}${base.pathname.replace(/\/+$/, "")}/${place.surface}`;
  return new URL(root + place.path + place.search);
}

function formatHosted(place: Place): string {
  return new URL(HOSTED_BASE[place.surface]).host + place.path + place.search;
}

/** Status, result and cancel: whoever knows the id may ask. A POST there would be a call. */
function isRequestRoute(place: Place, method: string): boolean {
  return place.surface === "queue" && method !== "POST" && REQUEST.test(place.path);
}

function checkRest(place: Place, method: string, origin: string, options: ProxyOptions): Target | Refusal {
  const url = build(place, origin);
  if (method === "POST" && UPLOADS.test(place.path)) {
    if (options.allowUploads === false) return { refused: "uploads are turned off (allowUploads)" };
    const isKnown = ["", "?storage_type=fal-cdn-v3"].includes(place.search);
    return isKnown
      ? { url, endpoint: undefined, isToken: false }
      : { refused: "the upload asks for an unknown kind of storage" };
  }
  if (method === "POST" && TOKENS.test(place.path) && place.search === "") {
    return options.allowTokens === true
      ? { url, endpoint: undefined, isToken: true }
      : { refused: "tokens are turned off (allowTokens)" };
  }
  return { refused: `${method} ${place.path} is not open to pages` };
}
