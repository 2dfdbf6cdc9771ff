import type { Statements } from "../database/database.ts";
import type { RequestId } from "../ids.ts";
import { type HistoryRow, selectEvents, selectLogs } from "./events.ts";
import { readPayload, removeBlobs } from "./payload-store.ts";
import type { QueueContext } from "./queue-context.ts";
import type {
  EndpointStats,
  RequestOutline,
  RequestRecord,
  StoredEvent,
  StoredLog,
  StoredPayload,
  StoredResult,
} from "./request-queue.ts";
import {
  OUTLINE_COLUMNS,
  type OutlineRow,
  REQUEST_COLUMNS,
  type RequestRow,
  toEntry,
  toOutline,
  toRecord,
} from "./request-rows.ts";

export async function findRequest(context: QueueContext, id: RequestId): Promise<RequestRecord | undefined> {
  const row = await context.database.read((tx) => tx.get<RequestRow>(SELECT_REQUEST, [id]));
  return row === undefined ? undefined : toRecord(row);
}

const SELECT_REQUEST = `SELECT ${REQUEST_COLUMNS} FROM requests r
  JOIN payloads p ON p.request_number = r.number WHERE r.id = $1`;

export async function findOutline(context: QueueContext, id: RequestId): Promise<RequestOutline | undefined> {
  const row = await context.database.read((tx) => tx.get<OutlineRow>(SELECT_OUTLINE, [id]));
  return row === undefined ? undefined : toOutline(row);
}

const SELECT_OUTLINE = `SELECT ${OUTLINE_COLUMNS} FROM requests WHERE id = $1`;

/** 0 for a request that does not wait. */
export async function getPosition(context: QueueContext, id: RequestId): Promise<number> {
  const row = await context.database.read((tx) =>
    tx.get<Pick<RequestRow, "id" | "app" | "endpoint_id" | "priority" | "fair_rank">>(
      "SELECT id, app, endpoint_id, priority, fair_rank FROM requests WHERE id = $1 AND state = 'queued'",
      [id],
    ),
  );
  return row === undefined ? 0 : context.positions.getPosition(toEntry(row));
}

export async function listLogs(
  context: QueueContext,
  id: RequestId,
  after: number,
  limit: number,
): Promise<readonly StoredLog[]> {
  return context.database.read(async (tx) => {
    const row = await tx.get<{ number: number }>("SELECT number FROM requests WHERE id = $1", [id]);
    return row === undefined ? [] : selectLogs(tx, row.number, after, limit);
  });
}

export async function listEvents(context: QueueContext, id: RequestId): Promise<readonly StoredEvent[]> {
  return context.database.read(async (tx) => {
    const row = await tx.get<HistoryRow>(
      "SELECT number, created_at, ended_at, attempts, state, status_code FROM requests WHERE id = $1",
      [id],
    );
    return row === undefined ? [] : selectEvents(tx, row);
  });
}

export async function readInput(context: QueueContext, id: RequestId): Promise<StoredPayload | undefined> {
  const row = await context.database.read((tx) =>
    tx.get<{
      has_input: number;
      input: Uint8Array | null;
      input_blob: string | null;
      removed_at: number | null;
    }>(
      `SELECT p.has_input, p.input, p.input_blob, p.removed_at FROM requests r
       JOIN payloads p ON p.request_number = r.number WHERE r.id = $1`,
      [id],
    ),
  );
  if (row === undefined || row.removed_at !== null) return undefined;
  if (row.has_input === 0) return { body: null };
  const body = await readPayload(context.blobs, row.input, row.input_blob);
  return body === undefined ? undefined : { body };
}

export async function readResult(context: QueueContext, id: RequestId): Promise<StoredResult | undefined> {
  const row = await context.database.read((tx) =>
    tx.get<{
      status_code: number | null;
      result_headers: string | null;
      result: Uint8Array | null;
      result_blob: string | null;
    }>(
      `SELECT r.status_code, p.result_headers, p.result, p.result_blob FROM requests r
       JOIN payloads p ON p.request_number = r.number WHERE r.id = $1`,
      [id],
    ),
  );
  if (row === undefined || row.status_code === null || row.result_headers === null) return undefined;
  const body = await readPayload(context.blobs, row.result, row.result_blob);
  if (body === undefined) return undefined;
  return {
    statusCode: row.status_code,
    headers: JSON.parse(row.result_headers) as Record<string, string>,
    body,
  };
}

/** Only of requests that have ended; the record itself stays. */
export async function removePayloads(context: QueueContext, id: RequestId): Promise<boolean> {
  const now = context.clock.now();
  const row = await context.database.transaction(async (tx) => {
    const request = await tx.get<{ number: number }>(
      "SELECT number FROM requests WHERE id = $1 AND ended_at IS NOT NULL",
      [id],
    );
    if (request === undefined) return undefined;
    const blobs = await tx.get<{ input_blob: string | null; result_blob: string | null }>(
      "SELECT input_blob, result_blob FROM payloads WHERE request_number = $1 AND removed_at IS NULL",
      [request.number],
    );
    if (blobs === undefined) return undefined;
    await tx.run(
      `UPDATE payloads SET input = NULL, input_blob = NULL, result = NULL, result_blob = NULL,
         result_headers = NULL, removed_at = $1 WHERE request_number = $2`,
      [now, request.number],
    );
    await tx.run("UPDATE requests SET remove_payloads_at = NULL WHERE number = $1", [request.number]);
    return blobs;
  });
  if (row === undefined) return false;
  await removeBlobs(context, [row.input_blob, row.result_blob]);
  return true;
}

export async function getStats(context: QueueContext): Promise<readonly EndpointStats[]> {
  const waiting = await context.positions.countWaiting();
  return context.database.read(async (tx) => {
    const stats = new Map<string, { -readonly [K in keyof EndpointStats]: EndpointStats[K] }>();
    const add = (endpointId: string) => {
      let entry = stats.get(endpointId);
      if (entry === undefined) {
        entry = { endpointId, queued: 0, running: 0, oldestQueuedAt: null, isPaused: false };
        stats.set(endpointId, entry);
      }
      return entry;
    };
    for (const [endpointId, count] of waiting) {
      if (count === 0) continue;
      const entry = add(endpointId);
      entry.queued = count;
      entry.oldestQueuedAt = await findOldest(tx, endpointId);
    }
    for (const row of await tx.all<{ endpoint_id: string; count: number }>(
      // `|| ''`: counted from the few that run, and not along an index of everything by endpoint.
      `SELECT endpoint_id || '' AS endpoint_id, count(*) AS count FROM requests WHERE state = 'running'
       GROUP BY endpoint_id || ''`,
    )) {
      add(row.endpoint_id).running = row.count;
    }
    for (const row of await tx.all<{ endpoint_id: string }>("SELECT endpoint_id FROM paused_endpoints")) {
      add(row.endpoint_id).isPaused = true;
    }
    return [...stats.values()];
  });
}

/** Keys that wait at once, at most, for the oldest wait to be exact. */
const MAX_KEYS = 1_000;

/**
 * The request that has waited longest is the first of its key and priority, and the firsts of all keys stand at
 * the head of the line: a walk through the head finds it, however long the line is.
 */
async function findOldest(tx: Statements, endpointId: string): Promise<number | null> {
  let oldest: number | null = null;
  for (const priority of [0, 1]) {
    const row = await tx.get<{ created_at: number | null }>(
      `SELECT min(created_at) AS created_at FROM (
         SELECT created_at FROM requests WHERE state = 'queued' AND endpoint_id = $1 AND priority = $2
         ORDER BY fair_rank, id LIMIT ${MAX_KEYS}) AS head`,
      [endpointId, priority],
    );
    const createdAt = row?.created_at ?? null;
    if (createdAt !== null && (oldest === null || createdAt < oldest)) oldest = createdAt;
  }
  return oldest;
}
