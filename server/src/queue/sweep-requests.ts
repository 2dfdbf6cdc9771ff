import type { RequestId } from "../ids.ts";
import { failAttempt, RUNNING_COLUMNS, type RunningRow } from "./abandon-request.ts";
import { ENDABLE_COLUMNS, type EndableRow, endByPlatform, START_EXPIRED } from "./end-request.ts";
import { removeBlobs } from "./payload-store.ts";
import { changeLines, type QueueContext } from "./queue-context.ts";
import { removePayloads } from "./read-request.ts";
import type { SweepReport } from "./request-queue.ts";

/** Rows per transaction, so that other work gets its turn; a sweep goes on until nothing is left. */
const BATCH = 100;
/** A sweep ends after this many batches of one kind; the next one goes on. */
const MAX_BATCHES = 50;

export interface SweepTimes {
  /** Records of requests that ended before this are removed. */
  readonly removeBefore: number;
}

export async function sweepRequests(context: QueueContext, times: SweepTimes): Promise<SweepReport> {
  const expiredLeases = await repeat(() => expireLeases(context));
  const expiredStarts = await repeat(() => expireStarts(context));
  const forgotten = await repeat(() => forgetPayloads(context));
  const removed = await repeat(() => removeRecords(context, times.removeBefore));
  return { expiredLeases, expiredStarts, removed: forgotten.length + removed.length };
}

async function repeat(step: () => Promise<readonly RequestId[]>): Promise<readonly RequestId[]> {
  const all: RequestId[] = [];
  for (let batch = 0; batch < MAX_BATCHES; batch++) {
    const ids = await step();
    all.push(...ids);
    if (ids.length < BATCH) break;
  }
  return all;
}

const skipLocked = (context: QueueContext): string =>
  context.database.dialect === "postgres" ? " FOR UPDATE SKIP LOCKED" : "";

async function expireLeases(context: QueueContext): Promise<readonly RequestId[]> {
  const now = context.clock.now();
  const isDue = await context.database.read((tx) =>
    tx.get("SELECT 1 AS due FROM requests WHERE state = 'running' AND lease_expires_at <= $1 LIMIT 1", [now]),
  );
  if (isDue === undefined) return [];
  return changeLines(context, async (tx, changes) => {
    const rows = await tx.all<RunningRow>(
      `SELECT ${RUNNING_COLUMNS} FROM requests WHERE state = 'running' AND lease_expires_at <= $1
       ORDER BY lease_expires_at LIMIT ${BATCH}${skipLocked(context)}`,
      [now],
    );
    for (const row of rows) await failAttempt(tx, row, LEASE_LOST, now, changes);
    return rows.map((row) => row.id as RequestId);
  });
}

const LEASE_LOST = {
  kind: "connection_error",
  message: "The runner vanished while it processed the request",
} as const;

async function expireStarts(context: QueueContext): Promise<readonly RequestId[]> {
  const now = context.clock.now();
  const isDue = await context.database.read((tx) =>
    tx.get(
      `SELECT 1 AS due FROM requests WHERE state = 'queued' AND start_deadline_at IS NOT NULL
       AND start_deadline_at <= $1 LIMIT 1`,
      [now],
    ),
  );
  if (isDue === undefined) return [];
  return changeLines(context, async (tx, changes) => {
    const rows = await tx.all<EndableRow>(
      `SELECT ${ENDABLE_COLUMNS} FROM requests WHERE state = 'queued' AND start_deadline_at IS NOT NULL
       AND start_deadline_at <= $1 ORDER BY start_deadline_at LIMIT ${BATCH}${skipLocked(context)}`,
      [now],
    );
    for (const row of rows) await endByPlatform(tx, row, START_EXPIRED, now, changes);
    return rows.map((row) => row.id as RequestId);
  });
}

async function forgetPayloads(context: QueueContext): Promise<readonly RequestId[]> {
  const rows = await context.database.read((tx) =>
    tx.all<{ id: RequestId }>(
      `SELECT id FROM requests WHERE remove_payloads_at IS NOT NULL AND remove_payloads_at <= $1
       ORDER BY remove_payloads_at LIMIT ${BATCH}`,
      [context.clock.now()],
    ),
  );
  for (const row of rows) await removePayloads(context, row.id);
  return rows.map((row) => row.id);
}

async function removeRecords(context: QueueContext, before: number): Promise<readonly RequestId[]> {
  const isDue = await context.database.read((tx) =>
    tx.get("SELECT 1 AS due FROM requests WHERE ended_at IS NOT NULL AND ended_at < $1 LIMIT 1", [before]),
  );
  if (isDue === undefined) return [];
  const rows = await context.database.transaction(async (tx) => {
    const due = await tx.all<{
      number: number;
      id: RequestId;
      input_blob: string | null;
      result_blob: string | null;
    }>(
      `SELECT r.number, r.id, p.input_blob, p.result_blob FROM requests r
       JOIN payloads p ON p.request_number = r.number
       WHERE r.ended_at IS NOT NULL AND r.ended_at < $1 ORDER BY r.ended_at LIMIT ${BATCH}${skipLocked(context)}`,
      [before],
    );
    for (const row of due) {
      await tx.run("DELETE FROM events WHERE request_number = $1", [row.number]);
      await tx.run("DELETE FROM payloads WHERE request_number = $1", [row.number]);
      await tx.run("DELETE FROM deliveries WHERE request_id = $1", [row.id]);
      await tx.run("DELETE FROM delivery_attempts WHERE request_id = $1", [row.id]);
      await tx.run("DELETE FROM requests WHERE number = $1", [row.number]);
    }
    return due;
  });
  await removeBlobs(
    context,
    rows.flatMap((row) => [row.input_blob, row.result_blob]),
  );
  return rows.map((row) => row.id);
}
