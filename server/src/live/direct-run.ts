import type { RequestId } from "../ids.ts";
import type { NewRequest, RequestResult } from "../queue/request-queue.ts";

/**
 * A request that is executed without being queued durably: direct run, stream, realtime. It takes a worker at once
 * when one is free and waits in line in memory otherwise. The gateway gets this as an argument, so that it never
 * imports the runner.
 */
export interface DirectRun {
  /**
   * Runs the request. Aborting the signal cancels it. Never rejects for what the model or the worker did: that is
   * the result. Writes one history record after the result is known; the answer does not wait for it.
   */
  run(request: NewRequest, options: DirectRunOptions): Promise<RequestResult>;
}

export interface DirectRunOptions {
  readonly signal: AbortSignal;
  /** Called when a worker starts on it. */
  readonly onStart?: (requestId: RequestId) => void;
}
