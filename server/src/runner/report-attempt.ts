import type { Clock } from "../clock.ts";
import type { RequestId } from "../ids.ts";
import type { Logger } from "../logger.ts";
import type { Metrics } from "../metrics/metrics.ts";

/** An attempt that ended, in epoch milliseconds. */
export interface AttemptReport {
  readonly requestId: RequestId;
  readonly endpointId: string;
  readonly surface: string;
  /** 0 when the request ended without one. */
  readonly attempt: number;
  /** The state that the request ended in, the kind of failure, or `lost`. */
  readonly outcome: string;
  /** Of the request's end; null when it is queued again or another's. */
  readonly statusCode: number | null;
  readonly createdAt: number;
  /** When its first attempt started; null when none did. */
  readonly firstStartedAt: number | null;
  readonly startedAt: number;
}

/** Counts an attempt and, when its request ended, the request; writes its line to the server's log. */
export function reportAttempt(
  report: AttemptReport,
  { metrics, logger, clock }: { readonly metrics: Metrics; readonly logger: Logger; readonly clock: Clock },
): void {
  const { requestId, endpointId, surface, attempt, outcome, statusCode, createdAt, firstStartedAt } = report;
  const now = clock.now();
  const runMs = now - report.startedAt;
  if (attempt > 0) metrics.observeAttempt({ endpointId, outcome, runMs });
  const waitMs = firstStartedAt === null ? undefined : firstStartedAt - createdAt;
  const totalMs = now - createdAt;
  const fields = { requestId, endpointId, surface, attempt, outcome, runMs };
  if (statusCode === null) {
    logger.info(fields, "Attempt ended.");
    return;
  }
  metrics.observeRequest({ endpointId, surface, statusCode, waitMs, totalMs });
  logger.info({ ...fields, statusCode, waitMs, totalMs }, "Request ended.");
}
