import { randomUUID } from "node:crypto";
import type { Clock } from "../clock.ts";
import type { Database, Statements } from "../database/database.ts";
import type { AccountId, RequestId } from "../ids.ts";
import { insertEvents } from "../queue/events.ts";
import { MAX_DELAY_MS } from "./retry-schedule.ts";

/**
 * Webhook deliveries in the database. The commit that ends a request writes the row; what is here moves it on.
 *
 * States: `owed` → `delivered` | `given_up`. An owed delivery is due when `next_at` has passed. Who takes it puts a
 * token into the row and sets `next_at` to the end of the lease: a process that dies while it sends loses nothing, the
 * delivery becomes due again and is repeated. A redelivery makes it owed again.
 */
export interface DeliveryStore {
  /** When the next delivery to a receiver other than these is due, epoch ms; undefined when none is owed. */
  findNextDue(busyReceivers: readonly string[]): Promise<number | undefined>;
  /** Takes due deliveries, longest due first. Each belongs to one taker until its lease ends. */
  takeDue(options: TakeOptions): Promise<readonly TakenDelivery[]>;
  /** Writes down an attempt and what follows from it; false when the lease was lost, and then nothing is written. */
  record(taken: TakenDelivery, attempt: NewAttempt, next: NextStep): Promise<boolean>;
  /** Gives a taken delivery back: it is due at once, and the attempt does not count. */
  release(taken: TakenDelivery): Promise<void>;
  /** Makes every taken delivery due. Only for a process that knows it is the only one. */
  releaseAll(): Promise<void>;
  /** The delivery of a request with its attempts, oldest first. */
  find(requestId: RequestId): Promise<Delivery | undefined>;
  /** Makes the delivery owed at once, with all its attempts ahead. One that is being sent right now stays as it is. */
  redeliver(requestId: RequestId): Promise<boolean>;
}

export interface TakeOptions {
  readonly limit: number;
  /** Receivers that have enough at a time; see {@link getReceiver}. */
  readonly busyReceivers: readonly string[];
  /** How long an attempt with this many before it is the taker's alone, in milliseconds. */
  readonly getLeaseMs: (attemptsMade: number) => number;
}

export interface TakenDelivery {
  readonly requestId: RequestId;
  readonly accountId: AccountId;
  readonly url: string;
  /** Attempts made before this one. */
  readonly attemptsMade: number;
  readonly token: string;
}

export interface NewAttempt {
  readonly at: number;
  readonly durationMs: number;
  /** HTTP status; null when there was no answer. */
  readonly status: number | null;
  /** Why it is not delivered; null when it is. */
  readonly error: string | null;
}

export type NextStep =
  | { readonly kind: "delivered" }
  | { readonly kind: "given_up" }
  | { readonly kind: "retry"; readonly delayMs: number };

export interface Delivery {
  readonly requestId: RequestId;
  readonly url: string;
  readonly state: "owed" | "delivered" | "given_up";
  readonly createdAt: number;
  /** Null when nothing more is owed. */
  readonly nextAttemptAt: number | null;
  readonly attempts: readonly NewAttempt[];
}

/** What deliveries to one receiver have in common: the URL up to its path. */
export function getReceiver(url: string): string {
  const end = url.indexOf("/", url.indexOf("//") + 2);
  return end === -1 ? url : url.slice(0, end + 1);
}

/**
 * True when a delivery put off until `nextAt` is due. None is ever put off longer than the longest delay: what is, was
 * put off before the clock was set back.
 */
export function isDue(nextAt: number, now: number): boolean {
  return nextAt <= now || nextAt > now + MAX_DELAY_MS;
}

export function createDeliveryStore(parts: {
  readonly database: Database;
  readonly clock: Clock;
}): DeliveryStore {
  const { database, clock } = parts;
  return {
    async findNextDue(busyReceivers) {
      const values: string[] = [];
      const others = excludeReceivers(busyReceivers, values);
      const row = await database.read((tx) =>
        tx.get<{ next_at: number | null }>(
          `SELECT min(next_at) AS next_at FROM deliveries WHERE state = 'owed'${others}`,
          values,
        ),
      );
      return row?.next_at ?? undefined;
    },

    takeDue: ({ limit, busyReceivers, getLeaseMs }) =>
      database.transaction(async (tx) => {
        const now = clock.now();
        const values: (string | number)[] = [Math.round(now), Math.round(now + MAX_DELAY_MS)];
        const others = excludeReceivers(busyReceivers, values);
        const skipLocked = database.dialect === "postgres" ? " FOR UPDATE SKIP LOCKED" : "";
        const rows = await tx.all<DueRow>(
          `SELECT request_id, account_id, url, attempt FROM deliveries
           WHERE state = 'owed' AND (next_at <= $1 OR next_at > $2)${others}
           ORDER BY next_at LIMIT ${limit}${skipLocked}`,
          values,
        );
        const taken = rows.map(toTaken);
        for (const { requestId, token, attemptsMade } of taken) {
          await tx.run("UPDATE deliveries SET lease_token = $1, next_at = $2 WHERE request_id = $3", [
            token,
            Math.round(now + getLeaseMs(attemptsMade)),
            requestId,
          ]);
        }
        return taken;
      }),

    record: (taken, attempt, next) =>
      database.transaction(async (tx) => {
        const nextAt = Math.round(clock.now() + (next.kind === "retry" ? next.delayMs : 0));
        const changed = await tx.run(
          `UPDATE deliveries SET state = $1, attempt = attempt + 1, next_at = $2, lease_token = NULL,
             last_attempt_at = $3, last_status = $4, last_error = $5
           WHERE request_id = $6 AND lease_token = $7 AND state = 'owed'`,
          [
            next.kind === "retry" ? "owed" : next.kind,
            nextAt,
            Math.round(attempt.at),
            attempt.status,
            attempt.error,
            taken.requestId,
            taken.token,
          ],
        );
        if (changed === 0) return false;
        await insertAttempt(tx, taken.requestId, attempt);
        if (next.kind !== "retry") await tellHistory(tx, taken.requestId, attempt, next.kind);
        return true;
      }),

    async release({ requestId, token }) {
      await database.transaction((tx) =>
        tx.run(
          "UPDATE deliveries SET lease_token = NULL, next_at = $1 WHERE request_id = $2 AND lease_token = $3",
          [Math.round(clock.now()), requestId, token],
        ),
      );
    },

    async releaseAll() {
      await database.transaction((tx) =>
        tx.run(
          "UPDATE deliveries SET lease_token = NULL, next_at = $1 WHERE state = 'owed' AND lease_token IS NOT NULL",
          [Math.round(clock.now())],
        ),
      );
    },

    find: (requestId) =>
      database.read(async (tx) => {
        const row = await tx.get<DeliveryRow>(
          "SELECT url, state, created_at, next_at FROM deliveries WHERE request_id = $1",
          [requestId],
        );
        if (row === undefined) return undefined;
        const attempts = await tx.all<AttemptRow>(
          "SELECT at, duration_ms, status, error FROM delivery_attempts WHERE request_id = $1 ORDER BY sequence",
          [requestId],
        );
        return {
          requestId,
          url: row.url,
          state: row.state,
          createdAt: row.created_at,
          nextAttemptAt: row.state === "owed" ? row.next_at : null,
          attempts: attempts.map(({ at, duration_ms, status, error }) => ({
            at,
            durationMs: duration_ms,
            status,
            error,
          })),
        };
      }),

    redeliver: (requestId) =>
      database.transaction(async (tx) => {
        const now = Math.round(clock.now());
        const changed = await tx.run(
          `UPDATE deliveries SET state = 'owed', attempt = 0, next_at = $1, lease_token = NULL
           WHERE request_id = $2 AND NOT (state = 'owed' AND lease_token IS NOT NULL AND next_at > $1)`,
          [now, requestId],
        );
        if (changed > 0) return true;
        return (
          (await tx.get("SELECT 1 AS known FROM deliveries WHERE request_id = $1", [requestId])) !== undefined
        );
      }),
  };
}

interface DueRow {
  readonly request_id: RequestId;
  readonly account_id: AccountId;
  readonly url: string;
  readonly attempt: number;
}

interface DeliveryRow {
  readonly url: string;
  readonly state: Delivery["state"];
  readonly created_at: number;
  readonly next_at: number;
}

interface AttemptRow {
  readonly at: number;
  readonly duration_ms: number;
  readonly status: number | null;
  readonly error: string | null;
}

function toTaken(row: DueRow): TakenDelivery {
  return {
    requestId: row.request_id,
    accountId: row.account_id,
    url: row.url,
    attemptsMade: row.attempt,
    token: randomUUID(),
  };
}

function excludeReceivers(receivers: readonly string[], values: (string | number)[]): string {
  return receivers
    .map((receiver) => ` AND substr(url, 1, ${receiver.length}) <> $${values.push(receiver)}`)
    .join("");
}

async function insertAttempt(tx: Statements, requestId: RequestId, attempt: NewAttempt): Promise<void> {
  const row = await tx.get<{ last: number | null }>(
    "SELECT max(sequence) AS last FROM delivery_attempts WHERE request_id = $1",
    [requestId],
  );
  await tx.run(
    `INSERT INTO delivery_attempts (request_id, sequence, at, duration_ms, status, error)
     VALUES ($1, $2, $3, $4, $5, $6)`,
    [
      requestId,
      (row?.last ?? 0) + 1,
      Math.round(attempt.at),
      Math.round(attempt.durationMs),
      attempt.status,
      attempt.error,
    ],
  );
}

/** The last line of a request's timeline. */
async function tellHistory(
  tx: Statements,
  requestId: RequestId,
  { at, durationMs, status, error }: NewAttempt,
  outcome: "delivered" | "given_up",
): Promise<void> {
  const request = await tx.get<{ number: number; attempts: number }>(
    "SELECT number, attempts FROM requests WHERE id = $1",
    [requestId],
  );
  if (request === undefined) return;
  const event =
    outcome === "delivered"
      ? { kind: "delivered", at: at + durationMs, data: { status_code: status } }
      : { kind: "delivery_given_up", at: at + durationMs, data: { status_code: status, error } };
  await insertEvents(tx, request.number, request.attempts, [event]);
}
