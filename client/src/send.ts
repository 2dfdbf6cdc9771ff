import { abortable, openScope } from "./abort.ts";
import { ApiError, ConnectionError } from "./api-error.ts";
import { getAuthorization, type RequiredConfig } from "./config.ts";
import { type RequestConfig, withProxy } from "./middleware.ts";
import { createApiError } from "./read-response.ts";
import { DEFAULT_RETRY, type RetryOptions, withRetry } from "./retry.ts";
import { isBrowser } from "./runtime.ts";

/** One call to the server. */
export interface Call {
  readonly method: string;
  readonly url: string;
  readonly headers?: Readonly<Record<string, string | undefined>> | undefined;
  readonly body?: BodyInit | undefined;
  readonly signal?: AbortSignal | undefined;
  /** Neither credentials nor middleware nor proxy: the URL carries its own permission. */
  readonly isDirect?: boolean;
  /** How this kind of call is retried; the caller's `config.retry` wins. */
  readonly retry?: Partial<RetryOptions>;
  /** One try, its answer included, may take this long. Unset: as long as it takes. */
  readonly attemptTimeoutMs?: number | undefined;
  /** Set when a finished request is read: an error that carries this id is its stored result, not a failed call. */
  readonly storedRequestId?: string;
}

/** For calls that a server answers at once. */
export const QUICK_MS = 60_000;
/** For calls that a server answers at once, but with megabytes in one of the directions. */
export const BULK_MS = 300_000;

const USER_AGENT = "@sluice/client/0.1.0";

/**
 * Sends a call, with retries, and reads its answer.
 *
 * @throws ApiError when the server refuses
 * @throws ConnectionError when it cannot be reached or goes away in the middle
 * @throws the reason of the signal when it is aborted
 */
export function send<T>(
  config: RequiredConfig,
  call: Call,
  read: (response: Response) => Promise<T>,
): Promise<T> {
  const isStored = (error: unknown) =>
    call.storedRequestId !== undefined &&
    error instanceof ApiError &&
    error.requestId === call.storedRequestId &&
    error.retryAfterMs === undefined;
  const attempt = () => sendOnce(config, call, read);
  return withRetry(attempt, getRetry(config, call.retry), call.signal, isStored);
}

/** As {@link send}, without retries. */
export async function sendOnce<T>(
  config: RequiredConfig,
  call: Call,
  read: (response: Response) => Promise<T>,
): Promise<T> {
  const scope = openScope(call.signal);
  const { attemptTimeoutMs: limit, url } = call;
  const giveUp = () =>
    scope.abort(new ConnectionError(`No answer within ${limit}ms from ${url}`, url, undefined));
  const timer = limit === undefined ? undefined : setTimeout(giveUp, limit);
  try {
    const response = await open(config, call, scope.signal);
    return await abortable(read(response), scope.signal);
  } catch (error) {
    throw explain(error, url, scope.signal);
  } finally {
    clearTimeout(timer);
    scope.close();
  }
}

/** Retries of one kind of call, with the caller's wishes on top. */
export function getRetry(config: RequiredConfig, kind: Partial<RetryOptions> = {}): RetryOptions {
  return { ...DEFAULT_RETRY, ...kind, ...config.retry };
}

/** Sends a call once; the answer's body is still unread. The signal must live as long as the body is read. */
export async function open(config: RequiredConfig, call: Call, signal: AbortSignal): Promise<Response> {
  try {
    signal.throwIfAborted();
    const request = call.isDirect ? undefined : await prepare(config, call);
    const init: RequestInit = {
      method: request?.method ?? call.method,
      headers: request === undefined ? dropUnset(call.headers ?? {}) : flatten(request.headers ?? {}),
      body: call.body ?? null,
      signal,
    };
    const response = await abortable(config.fetch(request?.url ?? call.url, init), signal);
    if (response.ok) return response;
    throw await abortable(createApiError(response), signal);
  } catch (error) {
    throw explain(error, call.url, signal);
  }
}

/** Says why a call failed: the abort's reason, or where it was going when the connection failed. */
export function explain(error: unknown, url: string, signal: AbortSignal): unknown {
  if (signal.aborted) return signal.reason;
  if (!(error instanceof TypeError) || error instanceof ConnectionError || !isNetworkFailure(error))
    return error;
  const cause = error.cause as { code?: unknown; message?: unknown } | undefined;
  const why = cause?.code ?? cause?.message ?? error.message;
  const { origin } = URL.canParse(url) ? new URL(url) : { origin: url };
  return new ConnectionError(
    `fetch failed: no answer from ${origin} (${String(why)}). Is the server running, and is SLUICE_URL or config({ url }) right?`,
    url,
    error,
  );
}

/** Browsers and runtimes agree on TypeError for a failed transport, and on nothing else. */
function isNetworkFailure(error: TypeError): boolean {
  return /fetch failed|failed to fetch|network|load failed|terminated|input stream|sending request|unable to connect/i.test(
    error.message,
  );
}

async function prepare(config: RequiredConfig, call: Call): Promise<RequestConfig> {
  let request: RequestConfig = { method: call.method, url: call.url, headers: dropUnset(call.headers ?? {}) };
  if (config.requestMiddleware !== undefined) request = await config.requestMiddleware(request);
  const proxy = config.proxyUrl;
  if (proxy) {
    const { url, when = "browser" } = typeof proxy === "string" ? { url: proxy } : proxy;
    request = await withProxy({ targetUrl: url, when })(request);
  }
  const defaults = dropUnset({
    authorization: getAuthorization(config),
    accept: "application/json",
    "content-type": "application/json",
    "user-agent": isBrowser() ? undefined : USER_AGENT,
  });
  return { ...request, headers: { ...defaults, ...lowerCased(request.headers ?? {}) } };
}

function dropUnset(headers: Readonly<Record<string, string | undefined>>): Record<string, string> {
  const kept: Record<string, string> = {};
  for (const [name, value] of Object.entries(headers))
    if (value !== undefined) kept[name.toLowerCase()] = value;
  return kept;
}

function lowerCased(headers: Record<string, string | string[]>): Record<string, string | string[]> {
  return Object.fromEntries(Object.entries(headers).map(([name, value]) => [name.toLowerCase(), value]));
}

function flatten(headers: Record<string, string | string[]>): Record<string, string> {
  return Object.fromEntries(Object.entries(headers).map(([name, value]) => [name, String(value)]));
}
