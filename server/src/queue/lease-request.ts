import { randomUUID } from "node:crypto";
import type { SqlValue, Statements } from "../database/database.ts";
import { CANCELLED, ENDABLE_COLUMNS, type EndableRow, endByPlatform, START_EXPIRED } from "./end-request.ts";
import { insertEvents } from "./events.ts";
import { readPayload } from "./payload-store.ts";
import { compareEntries } from "./positions.ts";
import { changeLines, type LineChange, type QueueContext } from "./queue-context.ts";
import type { HeartbeatOutcome, Lease, LeaseOffer, LeaseRef } from "./request-queue.ts";
import { REQUEST_COLUMNS, type RequestRow, toEntry, toRecord } from "./request-rows.ts";

/** Requests whose start deadline turns out to have passed are ended on the way; at most this many per lease. */
const MAX_PASSED_OVER = 50;

export async function leaseRequest(context: QueueContext, offer: LeaseOffer): Promise<Lease | undefined> {
  for (;;) {
    // A transaction that finds nothing would still have to wait for the disk.
    if (!offer.endpointIds.some((id) => context.positions.mayHaveWaiting(id))) return undefined;
    const taken = await changeLines(context, (tx, changes) => takeNext(context, tx, offer, changes));
    if (taken === undefined) return undefined;
    const { row, input_blob, has_input } = taken;
    const input = await readPayload(context.blobs, taken.input, input_blob);
    const lease = { requestId: row.id as Lease["requestId"], token: taken.token };
    if (input !== undefined || has_input === 0) {
      return {
        ...lease,
        request: toRecord(row),
        input: input ?? null,
        attempt: row.attempts,
        expiresAt: taken.expiresAt,
      };
    }
    context.logger.error({ requestId: row.id, blob: input_blob }, "the stored input of a request is gone");
    await endWithoutInput(context, lease);
  }
}

export async function renewLease(context: QueueContext, lease: LeaseRef): Promise<HeartbeatOutcome> {
  const row = await context.database.transaction((tx) =>
    tx.get<{ is_cancel_requested: number }>(
      `UPDATE requests SET lease_expires_at = $1 + lease_ms
       WHERE id = $2 AND lease_token = $3 AND state = 'running' RETURNING is_cancel_requested`,
      [context.clock.now(), lease.requestId, lease.token],
    ),
  );
  if (row === undefined) return "lost";
  return row.is_cancel_requested === 1 ? "cancel_requested" : "renewed";
}

interface HeadRow extends EndableRow {
  readonly fair_key: string;
  readonly key_id: string | null;
  readonly key_concurrency: number | null;
  readonly start_deadline_at: number | null;
  readonly hint: string | null;
}

const HEAD_COLUMNS = `${ENDABLE_COLUMNS}, fair_key, key_id, key_concurrency, start_deadline_at, hint`;
const IN_ORDER = "ORDER BY priority, fair_rank, id LIMIT 1";
const SELECT_HEAD = `SELECT ${HEAD_COLUMNS} FROM requests
  WHERE state = 'queued' AND endpoint_id = $1 AND available_at <= $2 ${IN_ORDER}`;
const SELECT_AND_LOCK_HEAD = `${SELECT_HEAD} FOR UPDATE SKIP LOCKED`;

interface Taken {
  readonly row: RequestRow;
  readonly input: Uint8Array | null;
  readonly input_blob: string | null;
  readonly has_input: number;
  readonly token: string;
  readonly expiresAt: number;
}

async function takeNext(
  context: QueueContext,
  tx: Statements,
  offer: LeaseOffer,
  changes: LineChange[],
): Promise<Taken | undefined> {
  const now = context.clock.now();
  const endpointIds = await findOpenEndpoints(context, tx, offer);
  /** Next of an app whose first in line must wait for its key; null when nobody else waits. */
  const beside = new Map<string, HeadRow | null>();
  for (let passed = 0; passed < MAX_PASSED_OVER; passed++) {
    const heads = await findHeads(tx, endpointIds, now);
    for (const [app, row] of heads) {
      if (beside.has(app) || !(await isKeyBusy(tx, row))) continue;
      beside.set(app, await findBesideBusyKeys(context, tx, app, endpointIds, now));
    }
    let head = chooseApp(heads, beside);
    if (head === undefined) return undefined;
    if (!beside.has(head.app)) {
      if (context.database.dialect === "postgres") {
        // Another process may hold the very head: the next one behind it will do.
        const locked = await tx.get<HeadRow>(SELECT_AND_LOCK_HEAD, [head.endpoint_id, now]);
        if (locked === undefined) {
          endpointIds.splice(endpointIds.indexOf(head.endpoint_id), 1);
          continue;
        }
        head = locked;
        // Looked at again under the key's lock: two processes must not both take the last place.
        await lockKey(tx, head);
        if (await isKeyBusy(tx, head)) {
          beside.set(head.app, await findBesideBusyKeys(context, tx, head.app, endpointIds, now));
          continue;
        }
      }
    }
    if (head.start_deadline_at !== null && head.start_deadline_at <= now) {
      await endByPlatform(tx, head, START_EXPIRED, now, changes);
      beside.delete(head.app);
      continue;
    }
    return take(context, tx, (await findHinted(context, tx, head, offer, now)) ?? head, offer, now, changes);
  }
  return undefined;
}

async function findOpenEndpoints(
  context: QueueContext,
  tx: Statements,
  offer: LeaseOffer,
): Promise<string[]> {
  const waiting = offer.endpointIds.filter((id) => context.positions.mayHaveWaiting(id));
  if (waiting.length === 0) return waiting;
  const paused = await context.pauses.list(tx);
  return paused.size === 0 ? waiting : waiting.filter((id) => !paused.has(id));
}

/** The first in line of each app. */
async function findHeads(
  tx: Statements,
  endpointIds: readonly string[],
  now: number,
): Promise<Map<string, HeadRow>> {
  const heads = new Map<string, HeadRow>();
  for (const endpointId of endpointIds) {
    const row = await tx.get<HeadRow>(SELECT_HEAD, [endpointId, now]);
    if (row === undefined) continue;
    const first = heads.get(row.app);
    if (first === undefined || compareEntries(toEntry(row), toEntry(first)) < 0) {
      heads.set(row.app, row);
    }
  }
  return heads;
}

/** Among apps the higher priority is next, then the older request. */
function chooseApp(
  heads: ReadonlyMap<string, HeadRow>,
  beside: ReadonlyMap<string, HeadRow | null>,
): HeadRow | undefined {
  let next: HeadRow | undefined;
  for (const [app, first] of heads) {
    const row = beside.has(app) ? beside.get(app) : first;
    if (row === null || row === undefined) continue;
    if (
      next === undefined ||
      row.priority < next.priority ||
      (row.priority === next.priority && row.id < next.id)
    ) {
      next = row;
    }
  }
  return next;
}

/** Whether the request's key already runs as many requests as it may. */
async function isKeyBusy(tx: Statements, row: Pick<HeadRow, "key_id" | "key_concurrency">): Promise<boolean> {
  if (row.key_id === null || row.key_concurrency === null) return false;
  const running = await tx.get<{ count: number }>(
    // `|| ''`: among the few that run, and not among everything that the key ever asked.
    "SELECT count(*) AS count FROM requests WHERE state = 'running' AND key_id || '' = $1",
    [row.key_id],
  );
  return (running?.count ?? 0) >= row.key_concurrency;
}

/** PostgreSQL: one lease at a time for a key with a limit. */
async function lockKey(tx: Statements, row: Pick<HeadRow, "key_id" | "key_concurrency">): Promise<void> {
  if (row.key_id === null || row.key_concurrency === null) return;
  await tx.get("SELECT pg_advisory_xact_lock(hashtext($1))", [row.key_id]);
}

/**
 * The next of an app whose first in line must wait for its key: the first of each key, by a seek per key instead
 * of a walk over everything that the busy key has in line.
 */
async function findBesideBusyKeys(
  context: QueueContext,
  tx: Statements,
  app: string,
  endpointIds: readonly string[],
  now: number,
): Promise<HeadRow | null> {
  const heads: HeadRow[] = [];
  const places = endpointIds.map((_, index) => `$${index + 4}`).join(", ");
  const lock = context.database.dialect === "postgres" ? " FOR UPDATE SKIP LOCKED" : "";
  for (let after = ""; ; ) {
    const key = await tx.get<{ fair_key: string }>(
      `SELECT fair_key FROM requests WHERE state = 'queued' AND app = $1 AND fair_key > $2
       ORDER BY fair_key LIMIT 1`,
      [app, after],
    );
    if (key === undefined) break;
    after = key.fair_key;
    const row = await tx.get<HeadRow>(
      `SELECT ${HEAD_COLUMNS} FROM requests WHERE state = 'queued' AND app = $1 AND fair_key = $2
       AND available_at <= $3 AND endpoint_id IN (${places}) ${IN_ORDER}${lock}`,
      [app, after, now, ...endpointIds] satisfies SqlValue[],
    );
    if (row !== undefined) heads.push(row);
  }
  heads.sort((a, b) => compareEntries(toEntry(a), toEntry(b)));
  for (const row of heads) {
    if (context.database.dialect === "postgres") await lockKey(tx, row);
    if (!(await isKeyBusy(tx, row))) return row;
  }
  return null;
}

/** Of those with the same rank as the first in line, one that this runner has served the like of before. */
async function findHinted(
  context: QueueContext,
  tx: Statements,
  head: HeadRow,
  offer: LeaseOffer,
  now: number,
): Promise<HeadRow | undefined> {
  const hints = offer.hints ?? [];
  if (hints.length === 0 || (head.hint !== null && hints.includes(head.hint))) return undefined;
  const places = hints.map((_, index) => `$${index + 5}`).join(", ");
  const lock = context.database.dialect === "postgres" ? " FOR UPDATE SKIP LOCKED" : "";
  return tx.get<HeadRow>(
    `SELECT ${HEAD_COLUMNS} FROM requests WHERE state = 'queued' AND endpoint_id = $1 AND priority = $2
     AND fair_rank = $3 AND available_at <= $4 AND hint IN (${places}) AND key_concurrency IS NULL
     AND start_deadline_at IS NULL ORDER BY id LIMIT 1${lock}`,
    [head.endpoint_id, head.priority, head.fair_rank, now, ...hints],
  );
}

const TAKE = `UPDATE requests SET state = 'running', attempts = attempts + 1,
    started_at = coalesce(started_at, $1), runner_id = $2, lease_token = $3, lease_ms = $4, lease_expires_at = $5
  WHERE number = $6`;
const SELECT_TAKEN = `SELECT ${REQUEST_COLUMNS}, p.input, p.input_blob, p.has_input FROM requests r
  JOIN payloads p ON p.request_number = r.number WHERE r.number = $1`;

async function take(
  context: QueueContext,
  tx: Statements,
  head: HeadRow,
  offer: LeaseOffer,
  now: number,
  changes: LineChange[],
): Promise<Taken> {
  const token = randomUUID();
  const expiresAt = now + offer.leaseMs;
  await tx.run(TAKE, [now, offer.runnerId, token, offer.leaseMs, expiresAt, head.number]);
  await advance(context, tx, head);
  await insertEvents(tx, head.number, head.attempts + 1, [
    { kind: "leased", at: now, data: { runner: offer.runnerId } },
  ]);
  const row = await tx.get<RequestRow & Pick<Taken, "input" | "input_blob" | "has_input">>(SELECT_TAKEN, [
    head.number,
  ]);
  if (row === undefined) throw new Error(`The payloads of request ${head.id} are missing.`);
  changes.push({ entry: toEntry(head), change: "leased" });
  return {
    row,
    input: row.input,
    input_blob: row.input_blob,
    has_input: row.has_input,
    token,
    expiresAt,
  };
}

/**
 * Sets the line's virtual time. On PostgreSQL the line's row is passed over while another lease holds it: waiting
 * for it would make every lease of an app wait for the commit of the one before, and being late by a lease or two
 * changes nobody's turn by more than that.
 */
async function advance(context: QueueContext, tx: Statements, head: HeadRow): Promise<void> {
  const parameters = [head.app, head.priority, head.fair_rank];
  if (context.database.dialect === "sqlite") {
    await tx.run(
      `INSERT INTO lines (app, priority, virtual_time) VALUES ($1, $2, $3)
       ON CONFLICT (app, priority) DO UPDATE SET virtual_time = $3 WHERE virtual_time < $3`,
      parameters,
    );
    return;
  }
  const line = await tx.get("SELECT 1 AS one FROM lines WHERE app = $1 AND priority = $2", [
    head.app,
    head.priority,
  ]);
  await tx.run(
    line === undefined
      ? "INSERT INTO lines (app, priority, virtual_time) VALUES ($1, $2, $3) ON CONFLICT DO NOTHING"
      : `UPDATE lines SET virtual_time = $3 WHERE app = $1 AND priority = $2 AND EXISTS (
           SELECT 1 FROM lines WHERE app = $1 AND priority = $2 AND virtual_time < $3 FOR UPDATE SKIP LOCKED)`,
    parameters,
  );
}

/** The input's blob was removed from outside: no attempt could ever succeed. */
async function endWithoutInput(context: QueueContext, lease: LeaseRef): Promise<void> {
  await changeLines(context, async (tx, changes) => {
    const row = await tx.get<EndableRow & { readonly is_cancel_requested: number }>(
      `SELECT ${ENDABLE_COLUMNS}, is_cancel_requested FROM requests WHERE id = $1 AND lease_token = $2 AND state = 'running'`,
      [lease.requestId, lease.token],
    );
    if (row === undefined) return;
    const ending =
      row.is_cancel_requested === 1
        ? CANCELLED
        : { errorType: "internal_error" as const, detail: "The stored input of the request is gone." };
    await endByPlatform(tx, row, ending, context.clock.now(), changes);
  });
}
