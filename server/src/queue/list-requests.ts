import { CursorError } from "../cursor-error.ts";
import type { Dialect, SqlValue } from "../database/database.ts";
import type { QueueContext } from "./queue-context.ts";
import type { RequestFilter, RequestPage } from "./request-queue.ts";
import { REQUEST_COLUMNS, type RequestRow, toRecord } from "./request-rows.ts";

/** Up to this many rows can be looked at one by one for a page. */
const FEW = 5_000;

/** Requests that one page of a search by text looks through: what a page costs at most. */
const SEARCHED = 5_000;

/** One page of the history. Sorting by end or duration leaves out what has none. */
export async function listRequests(context: QueueContext, filter: RequestFilter): Promise<RequestPage> {
  const selection = createSelection(filter, await findHints(context, filter));
  return context.database.read(async (tx) => {
    const { sql, parameters } = createPageQuery(selection, filter, context.database.dialect);
    const rows = await tx.all<RequestRow & Place>(sql, parameters);
    const page = rows.slice(0, filter.limit);
    const last = page.at(-1);
    const isFull = rows.length > filter.limit && last !== undefined;
    // A search that found less than a page may have stopped before the end of the history.
    const stop =
      isFull || filter.text === undefined
        ? undefined
        : await tx.get<Place & { readonly created_at: number }>(
            `${selection.sql} LIMIT 1 OFFSET ${SEARCHED - 1}`,
            selection.parameters,
          );
    return {
      requests: page.map(toRecord),
      nextCursor: isFull ? encodeCursor(last) : stop === undefined ? null : encodeCursor(stop),
      searchedTo: stop?.created_at ?? null,
    };
  });
}

/** Where a row stands in the order of the list. */
interface Place {
  readonly sort_value: number;
  readonly number: number;
}

interface Selection {
  /** All columns and `sort_value` of the requests that the filter names, but for its text, in order. */
  readonly sql: string;
  readonly parameters: readonly SqlValue[];
}

/** The page is found first and joined after: the payloads of a page, not of the history. */
function createPageQuery(
  selection: Selection,
  { text, limit }: RequestFilter,
  dialect: Dialect,
): { readonly sql: string; readonly parameters: readonly SqlValue[] } {
  const parameters = [...selection.parameters];
  const bind = (value: SqlValue): string => `$${parameters.push(value)}`;
  const search = text === undefined ? undefined : createTextCondition(text, dialect, bind);
  const wanted = bind(limit + 1);
  const looked = search === undefined ? wanted : SEARCHED;
  const sql = `SELECT ${REQUEST_COLUMNS}, r.sort_value FROM (${selection.sql} LIMIT ${looked}) AS r
    JOIN payloads p ON p.request_number = r.number ${search === undefined ? "" : `WHERE ${search}`}
    ORDER BY r.sort_value DESC, r.number DESC ${search === undefined ? "" : `LIMIT ${wanted}`}`;
  return { sql, parameters };
}

/** True of a request whose input, error, tags or id hold the text. */
function createTextCondition(text: string, dialect: Dialect, bind: (value: SqlValue) => string): string {
  const like = dialect === "sqlite" ? "LIKE" : "ILIKE";
  const contains = (column: string, part: string): string =>
    `${column} ${like} ${bind(`%${part.replace(/[\\%_]/g, "\\$&")}%`)} ESCAPE '\\'`;
  // Bytes as text, whatever they are: PostgreSQL writes what is not ASCII as \\ooo.
  const input = dialect === "sqlite" ? "CAST(p.input AS TEXT)" : "encode(p.input, 'escape')";
  const encodeInput = (part: string): string =>
    dialect === "sqlite"
      ? part
      : [...Buffer.from(part)]
          .map((byte) =>
            byte === 0x5c
              ? "\\\\"
              : byte < 0x80
                ? String.fromCharCode(byte)
                : `\\${byte.toString(8).padStart(3, "0")}`,
          )
          .join("");
  // Inputs are JSON as it came: quotes are escaped in it, and some clients escape everything that is not ASCII.
  const quoted = JSON.stringify(text).slice(1, -1);
  const plain = quoted.replaceAll(
    /[\u0080-\uffff]/g,
    (unit) => `\\u${unit.charCodeAt(0).toString(16).padStart(4, "0")}`,
  );
  return `(${[
    ...[...new Set([text, quoted, plain])].map((part) => contains(input, encodeInput(part))),
    contains("r.error", text),
    ...[...new Set([text, quoted])].map((part) => contains("p.tags", part)),
    contains("r.id", text),
  ].join(" OR ")})`;
}

const SORT_EXPRESSIONS: Readonly<Record<NonNullable<RequestFilter["sortBy"]>, string>> = {
  created_at: "created_at",
  ended_at: "ended_at",
  duration: "(ended_at - started_at)",
};

/** What is known of the proportions: a planner without statistics cannot. */
interface Hints {
  /** Only requests that wait or run are wanted, and they are few. */
  readonly isUnfinishedRare: boolean;
  /** So many wait that a walk through the newest requests would pass over all of them to find one that ended. */
  readonly isEndedRare: boolean;
  /** A column whose filter leaves so few rows that they can be sorted. */
  readonly rare: FilterColumn | undefined;
}

type FilterColumn = "account_id" | "key_id" | "endpoint_id";

function createSelection(filter: RequestFilter, hints: Hints): Selection {
  const parameters: SqlValue[] = [];
  const bind = (value: SqlValue): string => `$${parameters.push(value)}`;
  const list = (values: readonly string[]): string => values.map(bind).join(", ");
  const sortBy = filter.sortBy ?? "created_at";
  const sort = SORT_EXPRESSIONS[sortBy];
  const conditions: string[] = [];

  // Where few of many rows can match, the index of just those serves; `|| ''` keeps the planner from the others.
  const conditionOfFew =
    sortBy !== "created_at"
      ? undefined
      : isFailure(filter)
        ? "status_code >= 400"
        : hints.isEndedRare && isEnded(filter)
          ? "ended_at IS NOT NULL"
          : undefined;
  const isDecided = conditionOfFew !== undefined || hints.isUnfinishedRare || sortBy !== "created_at";
  const off = (column: FilterColumn): string => (isDecided && hints.rare !== column ? "|| ''" : "");
  if (conditionOfFew !== undefined) conditions.push(conditionOfFew);
  if (sortBy !== "created_at") conditions.push("ended_at IS NOT NULL");
  if (sortBy === "duration") conditions.push("started_at IS NOT NULL");
  if (filter.requestId !== undefined) conditions.push(`id = ${bind(filter.requestId)}`);
  if (filter.accountId !== undefined)
    conditions.push(`account_id ${off("account_id")} = ${bind(filter.accountId)}`);
  if (filter.keyId !== undefined) conditions.push(`key_id ${off("key_id")} = ${bind(filter.keyId)}`);
  if (filter.endpointIds !== undefined) {
    if (filter.endpointIds.length === 0) conditions.push("1 = 0");
    else conditions.push(`endpoint_id ${off("endpoint_id")} IN (${list(filter.endpointIds)})`);
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
  if (hints.isUnfinishedRare) {
    const unfinished = (filter.states ?? []).map((state) => UNFINISHED[state as keyof typeof UNFINISHED]);
    conditions.push(`number IN (${unfinished.join(" UNION ALL ")})`);
  }
  const where = conditions.length === 0 ? "" : `WHERE ${conditions.join(" AND ")}`;
  const sql = `SELECT *, ${sort} AS sort_value FROM requests ${where} ORDER BY ${sort} DESC, number DESC`;
  return { sql, parameters };
}

const UNFINISHED = {
  queued: "SELECT number FROM requests WHERE state = 'queued'",
  running: "SELECT number FROM requests WHERE state = 'running'",
} as const;

const OUTCOMES: Readonly<
  Record<NonNullable<RequestFilter["outcome"]> | "any", readonly [number | null, number]>
> = {
  any: [null, 0],
  success: [200, 300],
  user_error: [400, 500],
  error: [500, 600],
};

async function findHints(context: QueueContext, filter: RequestFilter): Promise<Hints> {
  const { states } = filter;
  const isUnfinished = states?.every((state) => state === "queued" || state === "running") ?? false;
  const isRunning = states?.every((state) => state === "running") ?? false;
  let waiting = 0;
  if (filter.requestId === undefined && !isRunning && (isUnfinished || isEnded(filter))) {
    for (const count of (await context.positions.countWaiting()).values()) waiting += count;
  }
  return {
    isUnfinishedRare: filter.requestId === undefined && isUnfinished && waiting <= FEW,
    isEndedRare: waiting > FEW,
    rare: (filter.sortBy ?? "created_at") === "created_at" ? undefined : await findRare(context, filter),
  };
}

async function findRare(context: QueueContext, filter: RequestFilter): Promise<FilterColumn | undefined> {
  const [endpointId] = filter.endpointIds ?? [];
  const candidates: readonly (readonly [FilterColumn, string | undefined])[] = [
    ["key_id", filter.keyId],
    ["account_id", filter.accountId],
    ["endpoint_id", filter.endpointIds?.length === 1 ? endpointId : undefined],
  ];
  return context.database.read(async (tx) => {
    for (const [column, value] of candidates) {
      if (value === undefined) continue;
      const row = await tx.get<{ count: number }>(
        `SELECT count(*) AS count FROM (SELECT 1 FROM requests WHERE ${column} = $1 LIMIT ${FEW}) AS few`,
        [value],
      );
      if ((row?.count ?? 0) < FEW) return column;
    }
    return undefined;
  });
}

const isFailure = (filter: RequestFilter): boolean =>
  filter.outcome === "user_error" ||
  filter.outcome === "error" ||
  (filter.states?.every((state) => state === "failed" || state === "cancelled") ?? false);

const isEnded = (filter: RequestFilter): boolean =>
  filter.outcome !== undefined ||
  (filter.states?.every((state) => state !== "queued" && state !== "running") ?? false);

function encodeCursor(row: Place): string {
  return Buffer.from(`${row.sort_value}:${row.number}`).toString("base64url");
}

/** @throws CursorError for anything that is not one of ours. */
function decodeCursor(cursor: string): { readonly value: number; readonly number: number } {
  const match = /^(-?\d{1,15}):(\d{1,15})$/.exec(Buffer.from(cursor, "base64url").toString("latin1"));
  if (match === null) throw new CursorError();
  return { value: Number(match[1]), number: Number(match[2]) };
}
