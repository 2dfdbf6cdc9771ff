import type { RequestId } from "../ids.ts";
import type { QueueContext } from "./queue-context.ts";
import type { Wait } from "./request-queue.ts";
import { type RequestRow, toEntry } from "./request-rows.ts";

/** What keeps a request from being leased now; undefined for one that does not wait. */
export async function explainWait(context: QueueContext, id: RequestId): Promise<Wait | undefined> {
  const now = context.clock.now();
  const found = await context.database.read(async (tx) => {
    const row = await tx.get<WaitingRow>(SELECT_WAITING, [id]);
    if (row === undefined) return undefined;
    const paused = await context.pauses.list(tx);
    const running = await tx.get<{ count: number }>(COUNT_RUNNING, [row.app]);
    const ofKey =
      row.key_id === null ? undefined : await tx.get<{ count: number }>(COUNT_OF_KEY, [row.key_id]);
    return {
      row,
      isPaused: paused.has(row.endpoint_id),
      running: running?.count ?? 0,
      runningOfKey: ofKey?.count ?? 0,
    };
  });
  if (found === undefined) return undefined;
  const { row, isPaused, running, runningOfKey } = found;
  const before = await context.positions.getPosition(toEntry(row));
  const isKeyBusy = row.key_concurrency !== null && runningOfKey >= row.key_concurrency;
  const facts = { before, running };
  if (isPaused) return { ...facts, reason: "paused" };
  if (row.available_at > now) return { ...facts, reason: "backing_off", until: row.available_at };
  if (isKeyBusy) return { ...facts, reason: "key_limit", runningOfKey, limit: row.key_concurrency ?? 0 };
  return { ...facts, reason: before > 0 ? "behind_others" : "next" };
}

interface WaitingRow
  extends Pick<RequestRow, "id" | "app" | "endpoint_id" | "priority" | "fair_rank" | "key_id"> {
  readonly available_at: number;
  readonly key_concurrency: number | null;
}

const SELECT_WAITING = `SELECT id, app, endpoint_id, priority, fair_rank, key_id, available_at, key_concurrency
  FROM requests WHERE id = $1 AND state = 'queued'`;
// `|| ''`: among the few that run, and not among everything that there ever was.
const COUNT_RUNNING = "SELECT count(*) AS count FROM requests WHERE state = 'running' AND app || '' = $1";
const COUNT_OF_KEY = "SELECT count(*) AS count FROM requests WHERE state = 'running' AND key_id || '' = $1";
