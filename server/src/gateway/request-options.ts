import { createErrorDetail, type ErrorDetail } from "@sluice/protocol";
import { LifecycleError, parseLifecycle } from "../files/lifecycle.ts";
import type { NewRequest, RetryPolicy } from "../queue/request-queue.ts";

/** What headers and query say about one submit or run, in the words of the queue. */
export type RequestOptions = Pick<
  NewRequest,
  | "priority"
  | "startDeadlineAt"
  | "hint"
  | "retry"
  | "webhookUrl"
  | "keepsPayloads"
  | "fileLifecycle"
  | "tags"
  | "headers"
  | "idempotencyKey"
  | "maxQueueLength"
>;

export type ReadOptions =
  | { readonly kind: "options"; readonly options: RequestOptions }
  /** A header or parameter that cannot be ignored, in words for the caller. */
  | { readonly kind: "bad_request"; readonly message: string }
  /** A query parameter that fails validation. */
  | { readonly kind: "invalid"; readonly detail: readonly ErrorDetail[] };

/**
 * Reads the optional headers and query parameters of submit and run (fal model API, "Queue: submit"). What the hosted
 * service ignores when malformed is ignored here; what changes the meaning of the call is refused.
 */
export function readRequestOptions(request: Request, url: URL, now: number): ReadOptions {
  const { headers } = request;
  const start = readStartTimeout(headers);
  if (typeof start === "string") return { kind: "bad_request", message: start };
  const query = url.search === "" ? NO_QUERY : readQuery(url.searchParams);
  if (query.kind !== "options") return query;
  const idempotencyKey = headers.get("idempotency-key");
  if (idempotencyKey !== null && (idempotencyKey === "" || idempotencyKey.length > 255))
    return { kind: "bad_request", message: "Idempotency-Key must have 1 to 255 characters." };
  const lifecycle = readLifecycleHeader(headers.get("x-fal-object-lifecycle-preference"));
  if (typeof lifecycle === "string") return { kind: "bad_request", message: lifecycle };
  const hint = headers.get("x-fal-runner-hint")?.slice(0, MAX_HINT_LENGTH);
  const tags = parseTags(headers.get("x-fal-tags"));
  const visible = collectVisibleHeaders(headers);
  return {
    kind: "options",
    options: {
      priority: headers.get("x-fal-queue-priority")?.toLowerCase() === "low" ? "low" : "normal",
      retry: readRetryPolicy(headers),
      keepsPayloads: headers.get("x-fal-store-io") !== "0",
      ...(start === undefined ? {} : { startDeadlineAt: now + start }),
      ...(hint === undefined || hint === "" ? {} : { hint }),
      ...(lifecycle === undefined ? {} : { fileLifecycle: lifecycle }),
      ...(tags === undefined ? {} : { tags }),
      ...(visible === undefined ? {} : { headers: visible }),
      ...(idempotencyKey === null ? {} : { idempotencyKey }),
      ...query.options,
    },
  };
}

const MAX_HINT_LENGTH = 256;
const MAX_ATTEMPTS = 10;
const MAX_WEBHOOK_LENGTH = 2_048;
const MAX_START_TIMEOUT_MS = 366 * 86_400_000;

type QueryOptions = Pick<RequestOptions, "webhookUrl" | "maxQueueLength">;
const NO_QUERY: { readonly kind: "options"; readonly options: QueryOptions } = {
  kind: "options",
  options: {},
};

/** Milliseconds; undefined when no deadline is set; a sentence when it cannot be read. */
function readStartTimeout(headers: Headers): number | undefined | string {
  for (const name of ["X-Fal-Request-Start-Timeout", "X-Fal-Request-Timeout"]) {
    const text = headers.get(name);
    if (text === null) continue;
    const seconds = /^\d{1,15}(\.\d+)?$/.test(text) ? Number(text) : Number.NaN;
    if (!(seconds >= 0.1)) return `${name} must be a number of seconds, at least 0.1, for example 30.`;
    return Math.min(Math.round(seconds * 1000), MAX_START_TIMEOUT_MS);
  }
  return undefined;
}

function readQuery(query: URLSearchParams): ReadOptions | { kind: "options"; options: QueryOptions } {
  const webhook = query.get("fal_webhook");
  const webhookUrl = webhook === null ? undefined : parseWebhookUrl(webhook);
  if (webhook !== null && webhookUrl === undefined) {
    const detail = createErrorDetail("value_error", ["query", "fal_webhook"], {
      msg: `value must be a valid URL with the scheme http or https and at most ${MAX_WEBHOOK_LENGTH} characters`,
      input: webhook.slice(0, 256),
    });
    return { kind: "invalid", detail: [detail] };
  }
  const length = query.get("fal_max_queue_length");
  if (length !== null && !/^\d{1,12}$/.test(length)) {
    const detail = createErrorDetail("int_parsing", ["query", "fal_max_queue_length"], {
      input: length.slice(0, 256),
    });
    return { kind: "invalid", detail: [detail] };
  }
  return {
    kind: "options",
    options: {
      ...(webhookUrl === undefined ? {} : { webhookUrl }),
      ...(length === null ? {} : { maxQueueLength: Number(length) }),
    },
  };
}

function parseWebhookUrl(text: string): string | undefined {
  if (text.length > MAX_WEBHOOK_LENGTH || !URL.canParse(text)) return undefined;
  const { protocol, href } = new URL(text);
  return protocol === "http:" || protocol === "https:" ? href : undefined;
}

const DEFAULT_RETRY: RetryPolicy = { connectionError: 10, serverError: 3, timeout: 2 };
const NO_RETRY: RetryPolicy = { connectionError: 1, serverError: 1, timeout: 1 };

function readRetryPolicy(headers: Headers): RetryPolicy {
  const noRetry = headers.get("x-fal-no-retry")?.toLowerCase();
  if (noRetry === "1" || noRetry === "true" || noRetry === "yes") return NO_RETRY;
  const text = headers.get("x-fal-retry-config");
  if (text === null) return DEFAULT_RETRY;
  let config: unknown;
  try {
    config = JSON.parse(text);
  } catch {
    return DEFAULT_RETRY; // as the hosted service does
  }
  if (typeof config !== "object" || config === null) return DEFAULT_RETRY;
  const readAttempts = (name: string, fallback: number): number => {
    const retries = (config as Record<string, { retries?: unknown } | null>)[name]?.retries;
    if (typeof retries !== "number" || !Number.isInteger(retries) || retries < 0) return fallback;
    return Math.min(retries + 1, MAX_ATTEMPTS);
  };
  return {
    connectionError: readAttempts("connection_error", DEFAULT_RETRY.connectionError),
    serverError: readAttempts("server_error", DEFAULT_RETRY.serverError),
    timeout: readAttempts("timeout", DEFAULT_RETRY.timeout),
  };
}

function readLifecycleHeader(text: string | null): Record<string, unknown> | undefined | string {
  if (text === null) return undefined;
  try {
    parseLifecycle(text);
  } catch (error) {
    if (error instanceof LifecycleError) return `X-Fal-Object-Lifecycle-Preference: ${error.message}`;
    throw error;
  }
  return JSON.parse(text) as Record<string, unknown>; // just checked to be an object
}

/** Tags that follow the rules; the others are dropped, as the hosted service does. */
function parseTags(text: string | null): Record<string, string> | undefined {
  if (text === null) return undefined;
  const tags = new Map<string, string>();
  let total = 0;
  for (const pair of text.split(",")) {
    const equals = pair.indexOf("=");
    if (equals === -1) continue;
    const key = pair.slice(0, equals).trim().toLowerCase();
    const value = pair.slice(equals + 1).trim();
    if (!/^[a-z0-9._-]{1,64}$/.test(key) || key.startsWith("fal.") || value.length > 256) continue;
    if (total + key.length + value.length > 1_024 || (tags.size >= 10 && !tags.has(key))) continue;
    total += key.length + value.length;
    tags.set(key, value);
  }
  return tags.size === 0 ? undefined : Object.fromEntries(tags);
}

/** Headers that say something about the connection, the credential, or options that have fields of their own. */
const HIDDEN_HEADERS = new Set([
  "x-fal-cdn-token",
  "x-fal-no-retry",
  "x-fal-object-lifecycle-preference",
  "x-fal-queue-priority",
  "x-fal-request-start-timeout",
  "x-fal-request-timeout",
  "x-fal-retry-config",
  "x-fal-runner-hint",
  "x-fal-store-io",
  "x-fal-tags",
  "x-fal-target-url",
  "x-api-key",
  "x-real-ip",
]);
const MAX_VISIBLE_BYTES = 1_024;

/** The caller's own `x-…` headers, `user-agent` and `accept-language`: small, and never a credential. */
function collectVisibleHeaders(headers: Headers): Record<string, string> | undefined {
  const visible: Record<string, string> = {};
  let total = 0;
  let isEmpty = true;
  for (const [name, value] of headers) {
    const isOwn = name.startsWith("x-") && !name.startsWith("x-forwarded-") && !HIDDEN_HEADERS.has(name);
    if (!isOwn && name !== "user-agent" && name !== "accept-language") continue;
    total += name.length + value.length;
    if (total > MAX_VISIBLE_BYTES) break;
    visible[name] = value;
    isEmpty = false;
  }
  return isEmpty ? undefined : visible;
}
