import { getErrorStatus } from "@sluice/protocol";
import type { CancelReason } from "@sluice/runtime/worker/messages";
import type { RequestId } from "../ids.ts";
import type { Lease, RequestQueue, RequestResult } from "../queue/request-queue.ts";
import { type ExecuteOptions, type ExecutionParts, executeRequest, type Outcome } from "./execute-request.ts";
import { createFlatResult, FAILURE_ERRORS } from "./failure-results.ts";
import { reportAttempt } from "./report-attempt.ts";
import { createRequestEvents, type RequestEvents } from "./request-events.ts";
import { removeFiles } from "./store-output.ts";
import type { PoolFile } from "./worker-pool.ts";

export interface LeaseParts extends ExecutionParts {
  readonly queue: RequestQueue;
  /** Time a lease lasts without a heartbeat, in milliseconds. */
  readonly leaseMs: number;
  /** Requests in progress, by id: how to stop them. */
  readonly running: Map<RequestId, (reason: CancelReason) => void>;
}

/**
 * Makes the attempt that a lease stands for, and tells the queue how it ended. Nothing is written once the lease is
 * lost: another attempt may have begun.
 *
 * @param options `stopping` aborts when running requests must give up; `onFree` is called when the worker is free
 */
export async function runLease(
  lease: Lease,
  file: PoolFile,
  parts: LeaseParts,
  { stopping, onFree }: { readonly stopping: AbortSignal; readonly onFree: () => void },
): Promise<void> {
  const { queue, live, clock, logger, running } = parts;
  const { requestId, request, attempt } = lease;
  const { accountId, endpointId } = request;
  const startedAt = clock.now();
  const controller = new AbortController();
  const stop = (reason: CancelReason): void => controller.abort(reason);
  const shutDown = (): void => stop("shutting_down");
  stopping.addEventListener("abort", shutDown, { once: true });
  running.set(requestId, stop);
  const isOver = new AbortController();
  const heartbeat = keepLease(lease, parts, stop, isOver.signal);
  const changed = (state: string): void =>
    live.publish({ type: "changed", requestId, accountId, endpointId, state });
  const events = createRequestEvents({
    requestId,
    live,
    clock,
    logger,
    append: (batch) => queue.appendEvents(lease, batch),
    onWritten: () => changed("running"),
  });
  try {
    if (stopping.aborted) shutDown();
    if (request.isCancelRequested) stop("cancelled");
    changed("running");
    const outcome = await attemptRequest(lease, file, parts, { events, signal: controller.signal, onFree });
    const state = await settle(outcome, lease, parts, events, controller.signal);
    report(lease, outcome, state, startedAt, parts);
    if (state !== undefined) changed(state);
    if (state === "queued") live.wake(endpointId);
  } catch (error) {
    // The lease runs out, and the request is leased again.
    logger.error({ requestId, endpointId, attempt, error }, "The end of a request could not be written.");
  } finally {
    isOver.abort("over"); // A reason of its own: the default one costs a stack trace per request.
    stopping.removeEventListener("abort", shutDown);
    running.delete(requestId);
    await heartbeat;
  }
}

/** @param state what the request is in after the attempt; undefined when the lease was lost */
function report(
  { requestId, request, attempt }: Lease,
  outcome: Outcome,
  state: string | undefined,
  startedAt: number,
  parts: LeaseParts,
): void {
  const { endpointId, surface, createdAt, startedAt: firstStartedAt } = request;
  const isOver = state !== undefined && state !== "queued";
  const name = outcome.kind === "failure" ? outcome.failure.kind : (state ?? "lost");
  const statusCode = isOver ? getStatusCode(outcome) : null;
  const ids = { requestId, endpointId, surface, attempt };
  reportAttempt({ ...ids, outcome: name, statusCode, createdAt, firstStartedAt, startedAt }, parts);
}

function getStatusCode(outcome: Outcome): number {
  switch (outcome.kind) {
    case "result":
      return outcome.result.statusCode;
    case "failure":
      return getErrorStatus(FAILURE_ERRORS[outcome.failure.kind]);
    case "stopped":
      return getErrorStatus("client_cancelled");
    default:
      return outcome satisfies never;
  }
}

async function attemptRequest(
  lease: Lease,
  file: PoolFile,
  parts: LeaseParts,
  options: ExecuteOptions,
): Promise<Outcome> {
  const { request, requestId, input, attempt } = lease;
  const { accountId, endpointId, timeoutMs, headers, fileLifecycle } = request;
  const execution = { requestId, accountId, endpointId, input, attempt, timeoutMs, headers, fileLifecycle };
  try {
    return await executeRequest(execution, file, parts, options);
  } catch (error) {
    parts.logger.error({ requestId, endpointId, attempt, error }, "The server failed to execute a request.");
    return {
      kind: "failure",
      failure: { kind: "server_error", message: "The server failed to execute the request." },
    };
  }
}

/** Tells the queue; the state the request is in afterwards, undefined when it is not ours any more. */
async function settle(
  outcome: Outcome,
  lease: Lease,
  parts: LeaseParts,
  events: RequestEvents,
  signal: AbortSignal,
): Promise<string | undefined> {
  const { queue, files } = parts;
  const isLost = (): boolean => signal.aborted && signal.reason === "lease_lost";
  const complete = async (result: RequestResult): Promise<string | undefined> => {
    const last = await events.takeLast();
    const written = isLost()
      ? "lost"
      : await insist(() => queue.complete(lease, result, last), parts, isLost);
    if (written === "completed") return result.state;
    await removeFiles(files, result.fileIds);
    return undefined;
  };
  switch (outcome.kind) {
    case "result":
      return await complete(outcome.result);
    case "failure": {
      if (isLost()) return undefined;
      await events.flush();
      const written = await insist(() => queue.abandon(lease, outcome.failure), parts, isLost);
      return written === "requeued" ? "queued" : written === "failed" ? "failed" : undefined;
    }
    case "stopped":
      if (outcome.reason === "cancelled") return await complete(createFlatResult("client_cancelled"));
      if (outcome.reason === "lease_lost") return undefined;
      await events.flush();
      return (await insist(() => queue.release(lease), parts, isLost)) === "requeued" ? "queued" : undefined;
    default:
      return outcome satisfies never;
  }
}

/** Writes again after a failure, for as long as the lease is held: a disk may be full for a moment. */
async function insist<T>(
  write: () => Promise<T>,
  parts: LeaseParts,
  isLost: () => boolean,
): Promise<T | "lost"> {
  const { clock, leaseMs, logger } = parts;
  const startedAt = clock.monotonic();
  for (let waitMs = 100; ; waitMs *= 2) {
    try {
      return await write();
    } catch (error) {
      if (isLost()) return "lost";
      if (clock.monotonic() - startedAt > 2 * leaseMs) throw error;
      logger.warn({ error }, "A write to the queue failed and is tried again.");
      await clock.sleep(Math.min(waitMs, 5_000));
    }
  }
}

/** Renews the lease until it is over, and stops the run when the queue says so or has been silent for too long. */
async function keepLease(
  lease: Lease,
  parts: LeaseParts,
  stop: (reason: CancelReason) => void,
  isOver: AbortSignal,
): Promise<void> {
  const { queue, clock, leaseMs, logger } = parts;
  let renewedAt = clock.monotonic();
  while (!isOver.aborted) {
    await clock.sleep(leaseMs / 3, isOver).catch(() => {});
    if (isOver.aborted) return;
    try {
      const sentAt = clock.monotonic();
      const outcome = await queue.heartbeat(lease);
      renewedAt = sentAt;
      if (isOver.aborted) return;
      if (outcome === "cancel_requested") stop("cancelled");
      if (outcome === "lost") return stop("lease_lost");
    } catch (error) {
      logger.warn({ requestId: lease.requestId, error }, "A lease could not be renewed.");
      if (clock.monotonic() - renewedAt > leaseMs) return stop("lease_lost");
    }
  }
}
