import type { CancelReason } from "@sluice/runtime/worker/messages";
import type { RequestId } from "../ids.ts";
import type { NewRequest, RequestQueue, RequestResult } from "../queue/request-queue.ts";
import { type ExecutionParts, executeRequest, type Outcome } from "./execute-request.ts";
import { createFlatResult, FAILURE_ERRORS } from "./failure-results.ts";
import { reportAttempt } from "./report-attempt.ts";
import { createRequestEvents } from "./request-events.ts";
import type { PoolFile } from "./worker-pool.ts";

export interface DirectParts extends ExecutionParts {
  readonly queue: RequestQueue;
  readonly running: Map<RequestId, (reason: CancelReason) => void>;
  /** Is given writes that nobody waits for, so that a stopping runner can. */
  readonly keepTrack: (write: Promise<void>) => void;
}

/** A direct request in line or running. */
export interface DirectTicket {
  readonly request: NewRequest;
  readonly onStart: (() => void) | undefined;
  /** Aborts when the caller is gone. */
  readonly signal: AbortSignal;
  readonly answer: (result: RequestResult) => void;
}

/** Makes the one attempt of a direct request, answers it, and then writes its record to the history. */
export async function runDirect(
  ticket: DirectTicket,
  file: PoolFile,
  parts: DirectParts,
  { stopping, onFree }: { readonly stopping: AbortSignal; readonly onFree: () => void },
): Promise<void> {
  const { request, onStart, signal } = ticket;
  const { id: requestId, accountId, endpointId } = request;
  const { live, clock, logger, running } = parts;
  const controller = new AbortController();
  const stop = (reason: CancelReason): void => controller.abort(reason);
  const leave = (): void => stop("cancelled");
  const shutDown = (): void => stop("shutting_down");
  signal.addEventListener("abort", leave, { once: true });
  stopping.addEventListener("abort", shutDown, { once: true });
  running.set(requestId, stop);
  const startedAt = clock.now();
  const changed = (state: string): void =>
    live.publish({ type: "changed", requestId, accountId, endpointId, state });
  try {
    if (stopping.aborted) shutDown();
    if (signal.aborted) leave();
    changed("running");
    const events = createRequestEvents({ requestId, live, clock, logger, append: null });
    const { id, accountId, input, timeoutMs, headers = {}, fileLifecycle = null } = request;
    const execution = {
      requestId: id,
      accountId,
      endpointId,
      input,
      attempt: 1,
      timeoutMs,
      headers,
      fileLifecycle,
    };
    const outcome = await executeRequest(execution, file, parts, {
      events,
      signal: controller.signal,
      onRun: onStart,
      onFree,
    });
    answer(ticket, toResult(outcome, signal.aborted), startedAt, parts, outcome);
  } catch (error) {
    logger.error({ requestId, endpointId, error }, "The server failed to execute a request.");
    answer(ticket, createFlatResult("internal_error"), startedAt, parts);
  } finally {
    signal.removeEventListener("abort", leave);
    stopping.removeEventListener("abort", shutDown);
    running.delete(requestId);
  }
}

/** Answers a direct request that never ran. */
export function refuseDirect(ticket: DirectTicket, result: RequestResult, parts: DirectParts): void {
  answer(ticket, result, parts.clock.now(), parts);
}

function answer(
  ticket: DirectTicket,
  result: RequestResult,
  startedAt: number,
  parts: DirectParts,
  outcome?: Outcome,
): void {
  const { request } = ticket;
  const { queue, clock, live, logger } = parts;
  ticket.answer(result);
  const { id: requestId, accountId, endpointId, surface, createdAt } = request;
  const { state, statusCode } = result;
  const hasRun = outcome !== undefined;
  reportAttempt(
    {
      requestId,
      endpointId,
      surface,
      attempt: hasRun ? 1 : 0,
      outcome: state,
      statusCode,
      createdAt,
      firstStartedAt: hasRun ? startedAt : null,
      startedAt,
    },
    parts,
  );
  const body =
    outcome?.kind === "result" && outcome.historyBody !== undefined ? outcome.historyBody : result.body;
  // Told once it is written: who hears of it looks.
  const record = queue.record(request, { ...result, body }, { startedAt, endedAt: clock.now() }).then(
    () => live.publish({ type: "changed", requestId, accountId, endpointId, state }),
    (error: unknown) => logger.error({ requestId, error }, "A direct run was not recorded."),
  );
  parts.keepTrack(record);
}

function toResult(outcome: Outcome, isCallerGone: boolean): RequestResult {
  switch (outcome.kind) {
    case "result":
      return outcome.result;
    case "stopped":
      if (outcome.reason !== "cancelled") {
        return createFlatResult("runner_disconnected", {
          detail: "The server is stopping. Send the request again.",
        });
      }
      return createFlatResult(isCallerGone ? "client_disconnected" : "client_cancelled");
    case "failure": {
      const { kind, message } = outcome.failure;
      return createFlatResult(FAILURE_ERRORS[kind], { detail: message });
    }
    default:
      return outcome satisfies never;
  }
}
