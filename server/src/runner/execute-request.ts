import { createHash } from "node:crypto";
import { createErrorDetail } from "@sluice/protocol";
import type { CancelReason, FileReply } from "@sluice/runtime/worker/messages";
import type { Catalog, CatalogEntry } from "../catalog/catalog.ts";
import type { Clock } from "../clock.ts";
import type { FileStore } from "../files/file-store.ts";
import { getExpiry, readLifecycle } from "../files/lifecycle.ts";
import type { AccountId, RequestId } from "../ids.ts";
import type { Live } from "../live/live.ts";
import type { Logger } from "../logger.ts";
import type { Metrics } from "../metrics/metrics.ts";
import type { AttemptFailure, RequestResult } from "../queue/request-queue.ts";
import { createListResult } from "./failure-results.ts";
import type { RequestEvents } from "./request-events.ts";
import { removeFiles, storeOutput } from "./store-output.ts";
import { formatExit } from "./worker-exit.ts";
import type { PoolFile, TakenWorker, WorkerPool } from "./worker-pool.ts";
import { type RunOutcome, WorkerStartError } from "./worker-process.ts";

/** One attempt at one request, queued or direct. */
export interface Execution {
  readonly requestId: RequestId;
  readonly accountId: AccountId;
  readonly endpointId: string;
  /** The body as it came. */
  readonly input: Uint8Array | null;
  readonly attempt: number;
  readonly timeoutMs: number;
  readonly headers: Readonly<Record<string, string>>;
  readonly fileLifecycle: Readonly<Record<string, unknown>> | null;
}

export interface ExecutionParts {
  readonly catalog: Catalog;
  readonly pool: WorkerPool;
  readonly files: FileStore;
  readonly readInputFile: ReadInputFile;
  readonly live: Live;
  readonly metrics: Metrics;
  readonly clock: Clock;
  readonly logger: Logger;
  /** Null: files are kept for ever unless the request says otherwise. */
  readonly fileRetentionMs: number | null;
}

/**
 * Turns what a caller put into a file field (URL, data URI, own file) into bytes. Refusals are replies; anything
 * thrown is a failure of the server.
 */
export type ReadInputFile = (
  value: unknown,
  options: {
    readonly loc: readonly (string | number)[];
    readonly maxBytes: number;
    readonly accountId: AccountId;
    readonly signal: AbortSignal;
  },
) => Promise<FileReply>;

export type Outcome =
  | {
      readonly kind: "result";
      readonly result: RequestResult;
      /** The body for the history, where it differs: bytes that were asked to be kept nowhere. */
      readonly historyBody?: Uint8Array;
    }
  /** The attempt failed for a reason that is not the model's answer. */
  | { readonly kind: "failure"; readonly failure: AttemptFailure }
  /** It was told to stop. */
  | { readonly kind: "stopped"; readonly reason: Exclude<CancelReason, "timed_out"> };

export interface ExecuteOptions {
  readonly events: RequestEvents;
  readonly signal: AbortSignal;
  /** Called when a worker starts on the request. */
  readonly onRun?: (() => void) | undefined;
  /** Called when the worker is free for the next one: storing what it made is the runner's work. */
  readonly onFree?: (() => void) | undefined;
}

/**
 * Makes one attempt: checks the input, takes a worker, runs the model, stores what it made. The signal's reason is a
 * {@link CancelReason}. Files of an attempt that does not end with a result are removed again.
 *
 * @throws what the server itself failed at: a full disk, a lost database
 */
export async function executeRequest(
  execution: Execution,
  file: PoolFile,
  parts: ExecutionParts,
  options: ExecuteOptions,
): Promise<Outcome> {
  const { events } = options;
  const entry = parts.catalog.find(execution.endpointId);
  if (entry === undefined) return fail("setup_failed", `${execution.endpointId} is not offered any more.`);
  const validation = entry.validateInput(execution.input);
  if (!validation.ok) return { kind: "result", result: createListResult(validation.detail) };

  let taken: TakenWorker;
  try {
    taken = await parts.pool.take(file, {
      request: { id: execution.requestId, endpointId: execution.endpointId },
      signal: options.signal,
      log: events.log,
    });
  } catch (error) {
    if (options.signal.aborted) return stop(options.signal.reason as CancelReason, execution);
    if (!(error instanceof WorkerStartError)) throw error;
    events.log("ERROR", `The model could not be loaded: ${error.message}`);
    return fail("setup_failed", "The model could not be loaded.");
  }
  if (!taken.isWarm) parts.metrics.observeLoad({ modelFile: file.path, loadMs: taken.loadMs });
  events.mark("loaded", { warm: taken.isWarm, load_ms: taken.isWarm ? 0 : Math.round(taken.loadMs) });

  const deadline = new AbortController();
  const signal = AbortSignal.any([options.signal, deadline.signal]);
  const timer = setTimeout(() => deadline.abort("timed_out" satisfies CancelReason), execution.timeoutMs);
  let outcome: RunOutcome;
  try {
    options.onRun?.();
    outcome = await runWorker(execution, validation.input, taken, parts, events, signal);
  } finally {
    clearTimeout(timer);
    taken.release();
  }
  options.onFree?.();
  return await finish(outcome, execution, entry, parts, events, options.signal);
}

function runWorker(
  execution: Execution,
  input: unknown,
  taken: TakenWorker,
  parts: ExecutionParts,
  events: RequestEvents,
  signal: AbortSignal,
): Promise<RunOutcome> {
  const { requestId, endpointId, attempt, headers, accountId } = execution;
  return taken.worker.run(
    {
      runId: `${requestId}/${attempt}`,
      requestId,
      endpointId,
      attempt,
      seed: deriveSeed(requestId),
      input,
      headers,
      wantsPreviews: parts.live.hasPreviewListener(requestId),
    },
    {
      log: events.log,
      progress: events.progress,
      preview: events.preview,
      emit: events.emit,
      wantsPreviews: () => parts.live.hasPreviewListener(requestId),
      readFile: (value, options) => parts.readInputFile(value, { ...options, accountId }),
    },
    signal,
  );
}

async function finish(
  outcome: RunOutcome,
  execution: Execution,
  entry: CatalogEntry,
  parts: ExecutionParts,
  events: RequestEvents,
  signal: AbortSignal,
): Promise<Outcome> {
  const { requestId, endpointId } = execution;
  switch (outcome.kind) {
    case "done":
      return await keep(outcome, execution, entry, parts, events, signal);
    case "model_error":
      return { kind: "result", result: createListResult(outcome.detail, outcome.status) };
    case "exception": {
      const { message, stack = message } = outcome;
      parts.logger.warn({ requestId, endpointId, stack }, `The model threw: ${message}`);
      events.log("ERROR", JSON.stringify({ traceback: stack }));
      return { kind: "result", result: createUnexplainedResult() };
    }
    case "stopped":
      return stop(outcome.reason, execution);
    case "exited":
      events.log("ERROR", `The worker ended during the request: ${formatExit(outcome.exit)}`);
      return fail("server_error", "The worker ended while it ran the request.");
    default:
      return outcome satisfies never;
  }
}

async function keep(
  done: Extract<RunOutcome, { kind: "done" }>,
  execution: Execution,
  entry: CatalogEntry,
  parts: ExecutionParts,
  events: RequestEvents,
  signal: AbortSignal,
): Promise<Outcome> {
  const { requestId, accountId, endpointId } = execution;
  const { files, clock, logger } = parts;
  const { manifest } = entry;
  // Most models that answer without files pay nothing for this.
  const defaults = done.artifacts.length === 0 ? {} : await files.getDefaults(accountId);
  const lifecycle = {
    ...defaults,
    ...(execution.fileLifecycle === null ? {} : readLifecycle(execution.fileLifecycle)),
  };
  let stored: Awaited<ReturnType<typeof storeOutput>>;
  try {
    stored = await storeOutput(done.output, done.artifacts, {
      files,
      schema: manifest.output,
      accountId,
      endpointId,
      requestId,
      expiresAt: getExpiry(lifecycle, clock.now(), parts.fileRetentionMs),
      ...(lifecycle.acl === undefined ? {} : { acl: lifecycle.acl }),
      signal,
    });
  } catch (error) {
    if (signal.aborted) return stop(signal.reason as CancelReason, execution);
    throw error;
  }
  const problems = entry.validateOutput(stored.sample);
  if (problems.length > 0) {
    await removeFiles(files, stored.paths);
    logger.error({ requestId, endpointId, problems }, "The model's output does not fit its output schema.");
    return { kind: "result", result: createUnexplainedResult() };
  }
  for (const bytes of stored.sizes) parts.metrics.countFile({ kind: "output", bytes });
  const inferenceSeconds = Math.round(done.inferenceMs * 10) / 10_000;
  events.mark("stored", {
    files: stored.paths.length,
    bytes: stored.sizes.reduce((sum, size) => sum + size, 0),
    inference_ms: Math.round(done.inferenceMs),
    ...(events.stepMs.length === 0 ? {} : { step_ms: events.stepMs }),
  });
  const result: RequestResult = {
    state: "succeeded",
    statusCode: 200,
    headers: {
      "content-type": "application/json",
      "x-fal-billable-units": formatUnits(done.billableUnits),
      "x-model": `${manifest.model.name}@${manifest.model.version}`,
    },
    body: stored.write("answer"),
    billableUnits: done.billableUnits,
    inferenceSeconds,
    ...(stored.pixels === undefined ? {} : { outputPixels: stored.pixels }),
    fileIds: stored.paths,
  };
  return { kind: "result", result, ...(stored.hasInline ? { historyBody: stored.write("history") } : {}) };
}

/** The caller learns nothing about the inside: that is for the author, in the log. */
function createUnexplainedResult(): RequestResult {
  return createListResult([createErrorDetail("internal_server_error", ["body"])]);
}

function stop(reason: CancelReason, execution: Execution): Outcome {
  if (reason !== "timed_out") return { kind: "stopped", reason };
  return fail("timeout", `The attempt took longer than ${execution.timeoutMs / 1000} seconds.`);
}

function fail(kind: AttemptFailure["kind"], message: string): Outcome {
  return { kind: "failure", failure: { kind, message } };
}

/** 0..2^32-1, the same for every attempt at a request. */
function deriveSeed(requestId: RequestId): number {
  return createHash("sha256").update(requestId).digest().readUInt32BE(0);
}

/** A decimal number without an exponent. */
function formatUnits(units: number): string {
  return units.toFixed(6).replace(/\.?0+$/, "");
}
