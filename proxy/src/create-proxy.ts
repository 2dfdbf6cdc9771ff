import { isAllowedOrigin } from "./check-origin.ts";
import { matchesAny } from "./match-pattern.ts";
import { parseTarget } from "./parse-target.ts";
import type { ProxyOptions } from "./proxy-options.ts";
import { BodyTooLargeError, drainBody, type RequestBody, readRequestBody } from "./request-body.ts";

/** The path at which clients look for the proxy by habit. */
export const DEFAULT_PROXY_ROUTE = "/api/fal/proxy";
export const TARGET_URL_HEADER = "x-fal-target-url";

const DEFAULT_ORIGIN = "http://127.0.0.1:7777";
const MAX_BODY_BYTES = 32 * 1024 * 1024;

/** Answers a page's call by making it with the key that the page must not have. */
export type ProxyHandler = (request: Request) => Promise<Response>;

/**
 * Creates the proxy of a web app: a function from a request to a response, for any framework that has these.
 * Bodies pass through as streams in both directions, and a page that goes away ends the call.
 *
 * @param adapter named to the API in `x-fal-client-proxy`
 * @throws TypeError when `allowedEndpoints` is missing
 */
export function createProxy(options: ProxyOptions, adapter = "web"): ProxyHandler {
  if (!Array.isArray(options?.allowedEndpoints)) {
    throw new TypeError(
      'The proxy needs `allowedEndpoints`: list the endpoints that pages may call, for example ["fal-ai/flux-pro"]',
    );
  }
  return async (request) => {
    const answer = await handle(request, options, adapter);
    void drainBody(request);
    return answer;
  };
}

async function handle(request: Request, options: ProxyOptions, adapter: string): Promise<Response> {
  const { method } = request;
  const origin = options.targetOrigin ?? readEnvironment("SLUICE_URL") ?? DEFAULT_ORIGIN;
  const target = parseTarget(request.headers.get(TARGET_URL_HEADER), method, origin, options);
  if ("refused" in target) return refuse(400, `Invalid request: ${target.refused}`);
  if (!isAllowedOrigin(request, options.allowedOrigins ?? [])) {
    return refuse(403, "Invalid request: the page is not of this origin; see allowedOrigins");
  }
  if (!(await isAuthenticated(request, options))) return refuse(401, "Unauthorized");
  const call = { request, target: target.url, endpoint: target.endpoint };
  const verdict = (await options.rateLimit?.(call)) ?? true;
  if (verdict instanceof Response) return verdict;
  if (!verdict) return refuse(429, "Too many requests");
  const authorization = await resolveAuthorization(request, options);
  if (!authorization) return refuse(401, "Unauthorized: the proxy has no key; set FAL_KEY");
  try {
    const hasBody = method !== "GET" && method !== "HEAD";
    const body = hasBody ? await readRequestBody(request, options.maxBodyBytes ?? MAX_BODY_BYTES) : undefined;
    if (target.isToken && !asksForAllowed(body, options)) {
      return refuse(400, "Invalid request: the token is for an app that is not in allowedEndpoints");
    }
    return await forward(request, target.url, { authorization, adapter, body, options });
  } catch (error) {
    if (isTooLarge(error)) return refuse(413, "Request body too large");
    if (request.signal.aborted) return refuse(499, "The caller went away");
    return refuse(502, "The API cannot be reached");
  }
}

interface Forwarding {
  readonly authorization: string;
  readonly adapter: string;
  readonly body: RequestBody;
  readonly options: ProxyOptions;
}

async function forward(
  request: Request,
  target: URL,
  { authorization, adapter, body, options }: Forwarding,
): Promise<Response> {
  const headers = new Headers();
  for (const [name, value] of request.headers) {
    if (isForwarded(name)) headers.set(name, value);
  }
  headers.set("authorization", authorization);
  headers.set("accept", request.headers.get("accept") ?? "application/json");
  if (body !== undefined)
    headers.set("content-type", request.headers.get("content-type") ?? "application/json");
  headers.set("x-fal-client-proxy", `@sluice/proxy/${adapter}`);
  const send = options.fetch ?? fetch;
  const response = await send(target, {
    method: request.method,
    headers,
    body: body as BodyInit,
    signal: request.signal,
    // A redirect is the caller's to follow: the key goes to no other host.
    redirect: "manual",
    ...(body instanceof ReadableStream ? { duplex: "half" } : {}),
  } as RequestInit);
  return new Response(response.body, {
    status: response.status,
    statusText: response.statusText,
    headers: [...response.headers].filter(([name]) => isReturned(name)),
  });
}

/** The API's own headers, and the key that makes a repeated submit safe. Where the call goes is not among them. */
function isForwarded(name: string): boolean {
  if (name === TARGET_URL_HEADER || name === "x-fal-client-proxy") return false;
  return (
    name.startsWith("x-fal-") ||
    name.startsWith("x-app-fal-") ||
    ["idempotency-key", "user-agent"].includes(name)
  );
}

/** Headers that belong to one connection, to a body that is decoded by now, or to the API's own visitors. */
const KEPT_BACK =
  /^(connection|keep-alive|transfer-encoding|te|trailer|upgrade|content-length|content-encoding|set-cookie|proxy-.*|access-control-.*|alt-svc|strict-transport-security)$/;

function isReturned(name: string): boolean {
  return !KEPT_BACK.test(name);
}

async function isAuthenticated(request: Request, options: ProxyOptions): Promise<boolean> {
  if (options.isAuthenticated !== undefined) return options.isAuthenticated(request);
  return options.allowUnauthorizedRequests !== false || Boolean(request.headers.get("authorization")?.trim());
}

/**
 * A caller with a key of its own pays with it. Any other `Authorization` is the app's business, a session perhaps,
 * and never leaves it.
 */
async function resolveAuthorization(request: Request, options: ProxyOptions): Promise<string | undefined> {
  if (options.resolveFalAuth !== undefined) return options.resolveFalAuth(request);
  const own = request.headers.get("authorization");
  if (own !== null && /^key\s+\S/i.test(own)) return own;
  const { credentials = readCredentials } = options;
  const key = (typeof credentials === "function" ? await credentials() : credentials)?.trim();
  return key ? `Key ${key}` : undefined;
}

/** Whether every app of a token could be called through the proxy too. Tokens name apps by their alias alone. */
function asksForAllowed(body: RequestBody, options: ProxyOptions): boolean {
  if (!(body instanceof Uint8Array)) return false;
  try {
    const { allowed_apps: apps } = JSON.parse(new TextDecoder().decode(body));
    if (!Array.isArray(apps) || apps.length === 0) return false;
    return apps.every(
      (app: unknown) => typeof app === "string" && isAllowedApp(app, options.allowedEndpoints),
    );
  } catch {
    return false;
  }
}

function isAllowedApp(app: string, patterns: readonly string[]): boolean {
  if (!app.includes("/")) {
    return patterns.some((pattern) => pattern === "**" || matchesAny(app, [pattern.split("/")[1] ?? ""]));
  }
  return matchesAny(app, patterns) || matchesAny(app.replace(/\/(realtime|stream)$/, ""), patterns);
}

function isTooLarge(error: unknown): boolean {
  if (error instanceof BodyTooLargeError) return true;
  return error instanceof Error && error.cause !== undefined && isTooLarge(error.cause);
}

function refuse(status: number, detail: string): Response {
  return Response.json({ detail }, { status, headers: { "cache-control": "no-store" } });
}

function readCredentials(): string | undefined {
  const id = readEnvironment("FAL_KEY_ID");
  const secret = readEnvironment("FAL_KEY_SECRET");
  return readEnvironment("FAL_KEY") ?? (id && secret && `${id}:${secret}`);
}

function readEnvironment(name: string): string | undefined {
  const { process } = globalThis as { process?: { env?: Record<string, string | undefined> } };
  return process?.env?.[name] || undefined;
}
