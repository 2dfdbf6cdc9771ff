import type { RequestErrorType } from "@sluice/protocol";
import type { Statements } from "../database/database.ts";
import { CANCELLED, ENDABLE_COLUMNS, type EndableRow, endByPlatform } from "./end-request.ts";
import { insertEvents } from "./events.ts";
import { perDialect } from "./per-dialect.ts";
import { changeLines, type LineChange, type QueueContext } from "./queue-context.ts";
import type { AttemptFailure, LeaseRef } from "./request-queue.ts";
import { toEntry } from "./request-rows.ts";

/**
 * What each kind of failure costs. Failures are counted by kind; the request ends when as many attempts failed in
 * one way as its retry policy allows. A model that cannot be set up has the budget of a crashing one, counted on
 * its own: both may be a lack of memory that passes. Back-off doubles with each failure of the kind, to half a
 * minute at most.
 */
const KINDS: Readonly<
  Record<
    AttemptFailure["kind"],
    {
      readonly failures: keyof FailureCounts;
      readonly allowed: keyof AttemptLimits;
      readonly backOffMs: number;
      readonly errorType: RequestErrorType;
    }
  >
> = {
  connection_error: {
    failures: "connection_failures",
    allowed: "connection_attempts",
    backOffMs: 100,
    errorType: "runner_disconnected",
  },
  server_error: {
    failures: "server_failures",
    allowed: "server_attempts",
    backOffMs: 500,
    errorType: "runner_server_error",
  },
  timeout: {
    failures: "timeout_failures",
    allowed: "timeout_attempts",
    backOffMs: 500,
    errorType: "request_timeout",
  },
  setup_failed: {
    failures: "setup_failures",
    allowed: "server_attempts",
    backOffMs: 2_000,
    errorType: "runner_scheduling_failure",
  },
};
const MAX_BACK_OFF_MS = 30_000;

interface FailureCounts {
  readonly connection_failures: number;
  readonly server_failures: number;
  readonly timeout_failures: number;
  readonly setup_failures: number;
}

interface AttemptLimits {
  readonly connection_attempts: number;
  readonly server_attempts: number;
  readonly timeout_attempts: number;
}

/** A running request, with what decides whether it runs again. */
export interface RunningRow extends EndableRow, FailureCounts, AttemptLimits {
  readonly is_cancel_requested: number;
}

export const RUNNING_COLUMNS: string = `${ENDABLE_COLUMNS}, is_cancel_requested, connection_failures, server_failures,
  timeout_failures, setup_failures, connection_attempts, server_attempts, timeout_attempts`;

export async function abandonRequest(
  context: QueueContext,
  lease: LeaseRef,
  failure: AttemptFailure,
): Promise<"requeued" | "failed" | "lost"> {
  return changeLines(context, async (tx, changes) => {
    const row = await findHeld(context, tx, lease);
    if (row === undefined) return "lost";
    return failAttempt(tx, row, failure, context.clock.now(), changes);
  });
}

export async function releaseRequest(context: QueueContext, lease: LeaseRef): Promise<"requeued" | "lost"> {
  return changeLines(context, async (tx, changes) => {
    const row = await findHeld(context, tx, lease);
    if (row === undefined) return "lost";
    const now = context.clock.now();
    if (row.is_cancel_requested === 1) {
      await endByPlatform(tx, row, CANCELLED, now, changes);
      return "requeued";
    }
    await tx.run(
      `UPDATE requests SET state = 'queued', available_at = $1, attempts = attempts - 1,
         started_at = CASE WHEN attempts = 1 THEN NULL ELSE started_at END,
         lease_token = NULL, lease_expires_at = NULL, lease_ms = NULL
       WHERE number = $2`,
      [now, row.number],
    );
    await insertEvents(tx, row.number, row.attempts, [{ kind: "released", at: now, data: {} }]);
    changes.push({ entry: toEntry(row), change: "joined" });
    return "requeued";
  });
}

/** Ends one attempt of a running request whose row the transaction holds. */
export async function failAttempt(
  tx: Statements,
  row: RunningRow,
  failure: AttemptFailure,
  now: number,
  changes: LineChange[],
): Promise<"requeued" | "failed"> {
  const kind = KINDS[failure.kind];
  const failures = row[kind.failures] + 1;
  await insertEvents(tx, row.number, row.attempts, [
    { kind: "abandoned", at: now, data: { failure: failure.kind, message: failure.message } },
  ]);
  if (row.is_cancel_requested === 1) {
    await endByPlatform(tx, row, CANCELLED, now, changes);
    return "failed";
  }
  if (failures >= row[kind.allowed]) {
    await endByPlatform(tx, row, { errorType: kind.errorType, detail: failure.message }, now, changes);
    return "failed";
  }
  await tx.run(
    `UPDATE requests SET state = 'queued', available_at = $1, ${kind.failures} = $2,
       lease_token = NULL, lease_expires_at = NULL, lease_ms = NULL
     WHERE number = $3`,
    [now + Math.min(MAX_BACK_OFF_MS, kind.backOffMs * 2 ** (failures - 1)), failures, row.number],
  );
  changes.push({ entry: toEntry(row), change: "joined" });
  return "requeued";
}

async function findHeld(
  context: QueueContext,
  tx: Statements,
  lease: LeaseRef,
): Promise<RunningRow | undefined> {
  return tx.get<RunningRow>(SELECT_HELD[context.database.dialect], [lease.requestId, lease.token]);
}

const SELECT_HELD = perDialect(
  ({ lock }) =>
    `SELECT ${RUNNING_COLUMNS} FROM requests WHERE id = $1 AND lease_token = $2 AND state = 'running'${lock}`,
);
