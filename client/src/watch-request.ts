/**
 * Waiting for a request to end. Push first: one connection on which the server tells every change, so that the end
 * is known within milliseconds. Where that does not work (a server or a proxy without streaming, or a page that has
 * too many connections open) the status is asked for again and again. Either way the wait survives lost
 * connections and restarts of the server: the request is the server's, and the wait is only resumed.
 */
import { openScope, sleep } from "./abort.ts";
import { ApiError } from "./api-error.ts";
import type { RequiredConfig } from "./config.ts";
import { appendQuery, buildRequestUrl } from "./endpoint-url.ts";
import type { StreamingConnectionMode } from "./fal-stream.ts";
import type { CompletedQueueStatus, QueueStatus, RequestLog } from "./queue-status.ts";
import { isEventStream, readEvents } from "./read-events.ts";
import { readData } from "./read-response.ts";
import { backOff, isRetryableError, type RetryOptions } from "./retry.ts";
import { isBrowser } from "./runtime.ts";
import { type Call, getRetry, open, sendOnce } from "./send.ts";
import { getTemporaryToken } from "./temporary-token.ts";

export interface WatchOptions {
  readonly requestId: string;
  readonly logs?: boolean | undefined;
  readonly mode?: "polling" | "streaming" | undefined;
  readonly pollInterval?: number | undefined;
  readonly connectionMode?: StreamingConnectionMode | undefined;
  readonly onQueueUpdate?: ((status: QueueStatus) => void) | undefined;
}

const POLL_MS = 500;
const POLL_LIMIT_MS = 30_000;
/** A server tells the status at once: one that has not is behind something that holds events back. */
const FIRST_EVENT_MS = 5_000;
/** Three of the server's signs of life. */
const IDLE_MS = 45_000;
/** Browsers keep about six connections to a host: some must be left for everything else. */
const MAX_PAGE_STREAMS = 3;

/** A server that is away is asked again for more than two minutes before the wait fails. */
const PATIENCE: Partial<RetryOptions> = {
  maxRetries: 30,
  baseDelay: 250,
  maxDelay: 5_000,
  retryableStatusCodes: [408, 429, 500, 502, 503, 504],
};

let pageStreams = 0;

/** Resolves when the request has ended, well or not. */
export async function watchRequest(
  config: RequiredConfig,
  id: string,
  options: WatchOptions,
  signal: AbortSignal,
): Promise<CompletedQueueStatus> {
  const watch: Watch = { config, id, options, signal, logs: [] };
  const retry = getRetry(config, PATIENCE);
  const pollMs = options.pollInterval ?? POLL_MS;
  let isPush = options.mode !== "polling";
  let failures = 0;
  for (;;) {
    const report = (status: QueueStatus) => {
      failures = 0;
      return tell(watch, status);
    };
    try {
      const hasRoom = !isBrowser() || pageStreams < MAX_PAGE_STREAMS;
      const status = isPush && hasRoom ? await follow(watch, report) : await poll(watch, report);
      if (status === "unsupported") isPush = false;
      else if (status?.status === "COMPLETED") return status;
      else await sleep(pollMs, signal);
    } catch (error) {
      if (signal.aborted) throw signal.reason;
      if (error instanceof CallerError) throw error.cause;
      if (failures >= retry.maxRetries || !isRetryableError(error, retry.retryableStatusCodes)) throw error;
      await backOff(error, failures++, retry, signal);
    }
  }
}

interface Watch {
  readonly config: RequiredConfig;
  readonly id: string;
  readonly options: WatchOptions;
  readonly signal: AbortSignal;
  /** Every line so far. */
  logs: RequestLog[];
}

type Report = (status: QueueStatus) => void;

/** What the caller's own callback threw: never a reason to try again. */
class CallerError extends Error {}

async function poll(watch: Watch, report: Report): Promise<QueueStatus> {
  const call = await createCall(watch, "/status");
  const status: QueueStatus = await sendOnce(
    watch.config,
    { ...call, attemptTimeoutMs: POLL_LIMIT_MS },
    readData,
  );
  const whole = withLogs(status, mergeWhole(watch.logs, getLogs(status)));
  watch.logs = getLogs(whole);
  report(whole);
  return whole;
}

/** Follows the status stream to its end; the last status, if there was one. */
async function follow(watch: Watch, report: Report): Promise<QueueStatus | "unsupported" | undefined> {
  const scope = openScope(watch.signal);
  let last: QueueStatus | undefined;
  let isFirstEvent = true;
  let hasGivenUp = false;
  const firstEvent = setTimeout(() => {
    hasGivenUp = true;
    scope.abort(undefined);
  }, FIRST_EVENT_MS);
  pageStreams++;
  try {
    const call = await createCall(watch, "/status/stream");
    const response = await open(watch.config, { ...call, headers: { accept: ACCEPT } }, scope.signal);
    if (!isEventStream(response)) {
      scope.abort(undefined);
      return "unsupported";
    }
    for await (const text of readEvents(response, scope, IDLE_MS)) {
      clearTimeout(firstEvent);
      const status: QueueStatus = JSON.parse(text);
      // The first event of a connection tells all there is, the next ones only what is new.
      const news = getLogs(status);
      watch.logs = isFirstEvent ? mergeWhole(watch.logs, news) : [...watch.logs, ...news];
      isFirstEvent = false;
      last = withLogs(status, watch.logs);
      report(last);
      if (last.status === "COMPLETED") return last;
    }
    return last ?? "unsupported";
  } catch (error) {
    if (watch.signal.aborted || error instanceof CallerError) throw error;
    const isRefused = error instanceof ApiError && !isRetryableError(error, PATIENCE.retryableStatusCodes);
    // The plain status call says what is wrong, if something is.
    if (hasGivenUp || isRefused || error instanceof SyntaxError) return "unsupported";
    if (error instanceof DOMException) return last;
    throw error;
  } finally {
    clearTimeout(firstEvent);
    pageStreams--;
    scope.abort(undefined);
    scope.close();
  }
}

const ACCEPT = "application/json, text/event-stream";

async function createCall(watch: Watch, suffix: "/status" | "/status/stream"): Promise<Call> {
  const { config, id, options, signal } = watch;
  const url = buildRequestUrl(config, id, options.requestId, suffix, { logs: options.logs ? "1" : "0" });
  if (options.connectionMode !== "client" || suffix === "/status") return { method: "GET", url, signal };
  const token = await getTemporaryToken(config, id, signal);
  return { method: "GET", url: appendQuery(url, { fal_jwt_token: token }), signal, isDirect: true };
}

function tell(watch: Watch, status: QueueStatus): void {
  try {
    watch.options.onQueueUpdate?.(status);
  } catch (cause) {
    throw new CallerError("onQueueUpdate failed", { cause });
  }
}

function getLogs(status: QueueStatus): RequestLog[] {
  return ("logs" in status && status.logs) || [];
}

/** The status with all lines so far, and without the nulls that servers send for what was not asked for. */
export function withLogs(status: QueueStatus, logs: RequestLog[]): QueueStatus {
  switch (status.status) {
    case "IN_QUEUE":
      return status;
    case "IN_PROGRESS":
      return { ...status, logs };
    default:
      return { ...status, logs, metrics: status.metrics ?? { inference_time: null } };
  }
}

/** Puts a list that should hold every line in the place of the known ones; some servers send the latest ones only. */
function mergeWhole(known: RequestLog[], list: RequestLog[]): RequestLog[] {
  const getKey = (log: RequestLog | undefined) => `${log?.timestamp} ${log?.message}`;
  if (list.length >= known.length && (known.length === 0 || getKey(known[0]) === getKey(list[0])))
    return list;
  const keys = new Set(known.map(getKey));
  return [...known, ...list.filter((log) => !keys.has(getKey(log)))];
}
