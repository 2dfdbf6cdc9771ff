import type { SqlValue } from "../database/database.ts";
import type { QueueContext } from "./queue-context.ts";
import type { RequestFilter, RequestPage } from "./request-queue.ts";
import { REQUEST_COLUMNS, type RequestRow, toRecord } from "./request-rows.ts";

/** Up to this many unfinished requests, a page of them starts from them and not from the whole history. */
const FEW_WAITING = 5_000;

/** One page of the history. Sorting by end or duration leaves out what has none. */
export async function listRequests(context: QueueContext, filter: RequestFilter): Promise<RequestPage> {
  const query = createQuery(filter, await isUnfinishedRare(context, filter));
  const rows = await context.database.read((tx) =>
    tx.all<RequestRow & { readonly sort_value: number }>(query.sql, query.parameters),
  );
  const page = rows.slice(0, filter.limit);
  const last = page.at(-1);
  return {
    requests: page.map(toRecord),
    nextCursor: rows.length > filter.limit && last !== undefined ? encodeCursor(last) : null,
  };
}

const SORT_EXPRESSIONS: Readonly<Record<NonNullable<RequestFilter["sortBy"]>, string>> = {
  created_at: "created_at",
  ended_at: "ended_at",
  duration: "(ended_at - started_at)",
};

function createQuery(
  filter: RequestFilter,
  startsFromUnfinished: boolean,
): { readonly sql: string; readonly parameters: readonly SqlValue[] } {
  const parameters: SqlValue[] = [];
  const bind = (value: SqlValue): string => `$${parameters.push(value)}`;
  const list = (values: readonly string[]): string => values.map(bind).join(", ");
  const sortBy = filter.sortBy ?? "created_at";
  const sort = SORT_EXPRESSIONS[sortBy];
  const conditions: string[] = [];

  // Failures are few: their own index serves, and `|| ''` keeps the others out of the planner's choice.
  const failed =
    sortBy === "created_at" &&
    (filter.outcome === "user_error" ||
      filter.outcome === "error" ||
      filter.states?.every((state) => state === "failed" || state === "cancelled"));
  const indexed = failed || startsFromUnfinished ? "|| ''" : "";
  if (failed) conditions.push("status_code >= 400");
  if (sortBy !== "created_at") conditions.push("ended_at IS NOT NULL");
  if (sortBy === "duration") conditions.push("started_at IS NOT NULL");
  if (filter.requestId !== undefined) conditions.push(`id = ${bind(filter.requestId)}`);
  if (filter.accountId !== undefined) conditions.push(`account_id ${indexed} = ${bind(filter.accountId)}`);
  if (filter.keyId !== undefined) conditions.push(`key_id ${indexed} = ${bind(filter.keyId)}`);
  if (filter.endpointIds !== undefined) {
    if (filter.endpointIds.length === 0) conditions.push("1 = 0");
    else conditions.push(`endpoint_id ${indexed} IN (${list(filter.endpointIds)})`);
  }
  if (filter.states !== undefined) {
    if (filter.states.length === 0) conditions.push("1 = 0");
    else conditions.push(`state IN (${list(filter.states)})`);
  }
  const [low, high] = OUTCOMES[filter.outcome ?? "any"];
  if (low !== null) conditions.push(`status_code >= ${low} AND status_code < ${high}`);
  if (filter.startAt !== undefined) conditions.push(`created_at >= ${bind(Math.ceil(filter.startAt))}`);
  if (filter.endAt !== undefined) conditions.push(`created_at < ${bind(Math.ceil(filter.endAt))}`);
  if (filter.cursor !== undefined) {
    const cursor = decodeCursor(filter.cursor);
    conditions.push(`(${sort}, number) < (${bind(cursor.value)}, ${bind(cursor.number)})`);
  }
  if (startsFromUnfinished) {
    conditions.push(
      `number IN (SELECT number FROM requests WHERE state = 'queued'
         UNION ALL SELECT number FROM requests WHERE state = 'running')`,
    );
  }
  const where = conditions.length === 0 ? "" : `WHERE ${conditions.join(" AND ")}`;
  // The page is found first and joined after: the payloads of a page, not of the history.
  const sql = `SELECT ${REQUEST_COLUMNS}, r.sort_value FROM (
      SELECT *, ${sort} AS sort_value FROM requests ${where} ORDER BY ${sort} DESC, number DESC LIMIT ${bind(filter.limit + 1)}
    ) AS r JOIN payloads p ON p.request_number = r.number ORDER BY r.sort_value DESC, r.number DESC`;
  return { sql, parameters };
}

const OUTCOMES: Readonly<
  Record<NonNullable<RequestFilter["outcome"]> | "any", readonly [number | null, number]>
> = {
  any: [null, 0],
  success: [200, 300],
  user_error: [400, 500],
  error: [500, 600],
};

/** A walk through a long history for the few that wait or run would read all of it. */
async function isUnfinishedRare(context: QueueContext, filter: RequestFilter): Promise<boolean> {
  if (filter.requestId !== undefined || filter.states === undefined) return false;
  if (!filter.states.every((state) => state === "queued" || state === "running")) return false;
  let waiting = 0;
  for (const count of (await context.positions.countWaiting()).values()) waiting += count;
  return waiting <= FEW_WAITING;
}

function encodeCursor(row: { readonly sort_value: number; readonly number: number }): string {
  return Buffer.from(`${row.sort_value}:${row.number}`).toString("base64url");
}

/** @throws CursorError for anything that is not one of ours. */
function decodeCursor(cursor: string): { readonly value: number; readonly number: number } {
  const match = /^(-?\d{1,15}):(\d{1,15})$/.exec(Buffer.from(cursor, "base64url").toString("latin1"));
  if (match === null) throw new CursorError();
  return { value: Number(match[1]), number: Number(match[2]) };
}

/** The caller's cursor is not one that a page gave out: a 4xx for the caller. */
export class CursorError extends Error {
  constructor() {
    super("The cursor is not valid. Use next_cursor of the page before as it is, or leave it out.");
    this.name = "CursorError";
  }
}
