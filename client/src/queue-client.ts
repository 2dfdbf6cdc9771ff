import { abortable, openScope } from "./abort.ts";
import type { RequiredConfig } from "./config.ts";
import { buildEndpointUrl, buildRequestUrl } from "./endpoint-url.ts";
import type { EndpointType, InputType, OutputType } from "./endpoints.ts";
import { FalStream, type StreamingConnectionMode } from "./fal-stream.ts";
import type { CompletedQueueStatus, InQueueQueueStatus, QueueStatus } from "./queue-status.ts";
import { REQUEST_ID_HEADER, type Result, readData } from "./read-response.ts";
import { withRetry } from "./retry.ts";
import { buildRunHeaders, type RunOptions } from "./run-options.ts";
import { randomUuid } from "./runtime.ts";
import { BULK_MS, type Call, getRetry, QUICK_MS, send, sendOnce } from "./send.ts";
import { uploadInputFiles } from "./storage-client.ts";
import type { Untyped } from "./untyped.ts";
import { watchRequest, withLogs } from "./watch-request.ts";

export type QueuePriority = "low" | "normal";

export type SubmitOptions<Input> = RunOptions<Input> & {
  /** Called by the server when the request has ended. */
  webhookUrl?: string | undefined;
  /** `normal` by default. */
  priority?: QueuePriority | undefined;
  /** Prefer a runner that served the same hint. */
  hint?: string | undefined;
  /** Sent with the submit; the named options win. */
  headers?: Record<string, string> | undefined;
  /** Submits with the same key are one request. Unset: a new key for each call, so that its retries are safe. */
  idempotencyKey?: string | undefined;
};

export type BaseQueueOptions = {
  requestId: string;
  abortSignal?: AbortSignal | undefined;
};

export type QueueStatusOptions = BaseQueueOptions & {
  /** False by default. */
  logs?: boolean | undefined;
};

export type QueueStatusStreamOptions = QueueStatusOptions & {
  connectionMode?: StreamingConnectionMode | undefined;
};

/** How to wait. Without a mode: the server tells changes as they come, with polling where that does not work. */
export type QueueModeOptions =
  | {
      mode?: "polling" | undefined;
      /** Milliseconds between status calls; 500 by default. */
      pollInterval?: number | undefined;
    }
  | {
      mode: "streaming";
      connectionMode?: StreamingConnectionMode | undefined;
    };

export type QueueStatusSubscriptionOptions = QueueStatusOptions &
  QueueModeOptions & {
    onQueueUpdate?: ((status: QueueStatus) => void) | undefined;
    /** Milliseconds; when they have passed the request is cancelled on the server. */
    timeout?: number | undefined;
  };

export interface QueueClient {
  /** Hands a request to the server; resolves when the server has accepted it. */
  submit<Id extends EndpointType>(
    endpointId: Id,
    options: SubmitOptions<InputType<Id>>,
  ): Promise<InQueueQueueStatus>;
  status(endpointId: string, options: QueueStatusOptions): Promise<QueueStatus>;
  /** Every change of the status as it happens. Each event holds only the log lines that are new. */
  streamStatus(
    endpointId: string,
    options: QueueStatusStreamOptions,
  ): Promise<FalStream<unknown, QueueStatus>>;
  /** Waits for the end of the request, through lost connections and restarts of the server. */
  subscribeToStatus(
    endpointId: string,
    options: QueueStatusSubscriptionOptions,
  ): Promise<CompletedQueueStatus>;
  /** The output of a request that has ended. @throws ApiError when it failed, or has not ended yet */
  result<Id extends EndpointType>(endpointId: Id, options: BaseQueueOptions): Promise<Result<OutputType<Id>>>;
  /** @throws ApiError when the request has ended already (400) or is unknown (404) */
  cancel(endpointId: string, options: BaseQueueOptions): Promise<void>;
}

export function createQueueClient(config: RequiredConfig): QueueClient {
  return {
    submit: (id, options) => submit(config, id, options),
    status: (id, options) => getStatus(config, id, options),
    streamStatus: async (id, options) => streamStatus(config, id, options),
    subscribeToStatus: (id, options) => subscribeToStatus(config, id, options),
    result: (id, options) => getResult(config, id, options),
    cancel: (id, options) => cancel(config, id, options),
  };
}

/** Statuses and results are asked for again after any failure of the server: reading twice is harmless. */
const READ_RETRY = { maxRetries: 5, maxDelay: 30_000, retryableStatusCodes: [429, 500, 502, 503, 504] };
const SUBMIT_RETRY = { maxDelay: 60_000 };
/** What an abandoned submit may take to say its request id, so that it can be cancelled. */
const ABANDONED_MS = 5_000;

export async function submit<Input>(
  config: RequiredConfig,
  id: string,
  options: SubmitOptions<Input> & { readonly path?: string | undefined },
): Promise<InQueueQueueStatus> {
  const scope = openScope(options.abortSignal, options.timeout);
  const { signal } = scope;
  try {
    const call = await createSubmitCall(config, id, options, signal);
    const attempt = async () => {
      // An aborted attempt may have reached the server: it is heard out, to cancel what it started.
      const own = openScope();
      const sending: Promise<InQueueQueueStatus> = sendOnce(
        config,
        { ...call, signal: own.signal },
        readData,
      );
      try {
        return await abortable(sending, signal);
      } catch (error) {
        if (signal.aborted) void abandon(config, id, sending, () => own.abort(signal.reason));
        throw error;
      }
    };
    return await withRetry(attempt, getRetry(config, SUBMIT_RETRY), signal);
  } finally {
    scope.close();
  }
}

export async function getStatus(
  config: RequiredConfig,
  id: string,
  { requestId, logs, abortSignal }: QueueStatusOptions,
): Promise<QueueStatus> {
  const url = buildRequestUrl(config, id, requestId, "/status", { logs: logs ? "1" : "0" });
  const call: Call = {
    method: "GET",
    url,
    signal: abortSignal,
    retry: READ_RETRY,
    attemptTimeoutMs: QUICK_MS,
  };
  const status: QueueStatus = await send(config, call, readData);
  return withLogs(status, (status as { logs?: Untyped }).logs ?? []);
}

export function streamStatus(
  config: RequiredConfig,
  id: string,
  { requestId, logs, connectionMode, abortSignal }: QueueStatusStreamOptions,
): FalStream<unknown, QueueStatus> {
  const url = buildRequestUrl(config, id, requestId, "/status/stream", { logs: logs ? "1" : "0" });
  return new FalStream(id, config, { url, method: "get", connectionMode, signal: abortSignal });
}

export async function subscribeToStatus(
  config: RequiredConfig,
  id: string,
  options: QueueStatusSubscriptionOptions,
): Promise<CompletedQueueStatus> {
  const { abortSignal, timeout } = options;
  const scope = openScope(abortSignal, timeout, describeTimeout(timeout));
  try {
    return await watchRequest(config, id, options, scope.signal);
  } catch (error) {
    if (scope.signal.aborted && !abortSignal?.aborted) cancelQuietly(config, id, options.requestId);
    throw error;
  } finally {
    scope.close();
  }
}

export async function getResult<Output>(
  config: RequiredConfig,
  id: string,
  { requestId, abortSignal }: BaseQueueOptions,
): Promise<Result<Output>> {
  const call: Call = {
    method: "GET",
    url: buildRequestUrl(config, id, requestId, ""),
    signal: abortSignal,
    retry: READ_RETRY,
    attemptTimeoutMs: BULK_MS,
    storedRequestId: requestId,
  };
  return send(config, call, (response) => readResult(config, response));
}

export async function cancel(
  config: RequiredConfig,
  id: string,
  { requestId, abortSignal }: BaseQueueOptions,
): Promise<void> {
  const url = buildRequestUrl(config, id, requestId, "/cancel");
  await send(config, { method: "PUT", url, signal: abortSignal, attemptTimeoutMs: QUICK_MS }, readData);
}

/** Cancels without waiting for it. That it comes too late, or not at all, is nothing the caller can act on. */
export function cancelQuietly(config: RequiredConfig, id: string, requestId: string): void {
  cancel(config, id, { requestId }).catch(() => undefined);
}

/** An answer of a model with its request id. */
export async function readResult<Output>(
  config: RequiredConfig,
  response: Response,
): Promise<Result<Output>> {
  const data = await (config.responseHandler ?? readData)(response);
  return { data, requestId: response.headers.get(REQUEST_ID_HEADER) ?? "" };
}

export function describeTimeout(timeout: number | undefined): string {
  return `Client timed out waiting for the request to complete after ${timeout}ms`;
}

async function createSubmitCall<Input>(
  config: RequiredConfig,
  id: string,
  options: SubmitOptions<Input> & { readonly path?: string | undefined },
  signal: AbortSignal,
): Promise<Call> {
  const { webhookUrl, path, priority, hint, idempotencyKey } = options;
  const given = Object.entries(options.headers ?? {}).map(([name, value]) => [name.toLowerCase(), value]);
  const headers = {
    "idempotency-key": randomUuid(),
    ...(Object.fromEntries(given) as Record<string, string>),
    ...buildRunHeaders(options),
    "x-fal-queue-priority": priority ?? "normal",
    ...(hint === undefined ? {} : { "x-fal-runner-hint": hint }),
    ...(idempotencyKey === undefined ? {} : { "idempotency-key": idempotencyKey }),
  };
  // Built first: a wrong id fails before anything is uploaded.
  const url = buildEndpointUrl(config, "queue", id, { path, query: { fal_webhook: webhookUrl } });
  return { ...(await createInputCall(config, url, options, signal)), headers, attemptTimeoutMs: BULK_MS };
}

/** The input as a body, or as query parameters for GET; files are uploaded first. */
export async function createInputCall<Input>(
  config: RequiredConfig,
  url: string,
  options: RunOptions<Input>,
  signal: AbortSignal,
): Promise<Call> {
  const { autoUpload = true, method = "post" } = options;
  const input =
    autoUpload && options.input ? await uploadInputFiles(config, options.input, signal) : options.input;
  if (method.toLowerCase() !== "get") {
    return { method: method.toUpperCase(), url, signal, body: input ? JSON.stringify(input) : undefined };
  }
  const query = new URLSearchParams((input ?? {}) as Record<string, string>).toString();
  return {
    method: "GET",
    url: query === "" ? url : `${url}${url.includes("?") ? "&" : "?"}${query}`,
    signal,
  };
}

async function abandon(
  config: RequiredConfig,
  id: string,
  sending: Promise<InQueueQueueStatus>,
  stop: () => void,
): Promise<void> {
  const timer = setTimeout(stop, ABANDONED_MS);
  try {
    const { request_id: requestId } = await sending;
    cancelQuietly(config, id, requestId);
  } catch {
    // Nothing was accepted, as far as can be known.
  } finally {
    clearTimeout(timer);
  }
}
