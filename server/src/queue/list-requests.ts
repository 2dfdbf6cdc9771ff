import { CursorError } from "../cursor-error.ts";
import type { Dialect, SqlValue, Statements } from "../database/database.ts";
import type { QueueContext } from "./queue-context.ts";
import type { RequestFilter, RequestPage } from "./request-queue.ts";
import { REQUEST_COLUMNS, type RequestRow, toRecord } from "./request-rows.ts";

/** Up to this many rows can be looked at one by one for a page. */
const FEW = 5_000;

/** Requests that one page of a search by text looks through: what a page costs at most. */
const SEARCHED = 2_000;

/** One page of the history. Sorting by end or duration leaves out what has none. */
export async function listRequests(context: QueueContext, filter: RequestFilter): Promise<RequestPage> {
  const selection = createSelection(filter, await findHints(context, filter));
  const { text, limit } = filter;
  return context.database.read(async (tx) => {
    const found =
      text === undefined
        ? { rows: await selectPage(tx, selection, limit + 1), stop: undefined }
        : await searchPage(tx, selection, { text, limit: limit + 1, dialect: context.database.dialect });
    const page = found.rows.slice(0, limit);
    const last = page.at(-1);
    const isFull = found.rows.length > limit && last !== undefined;
    const stop = isFull ? undefined : found.stop;
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

/** The requests that the filter names, but for its text. */
interface Selection {
  readonly conditions: readonly string[];
  readonly parameters: readonly SqlValue[];
  /** What they are sorted by, descending, and then by number. */
  readonly sort: string;
}

/** The page is found first and joined after: the payloads of a page, not of the history. */
async function selectPage(
  tx: Statements,
  { conditions, parameters, sort }: Selection,
  limit: number,
): Promise<readonly (RequestRow & Place)[]> {
  const sql = `SELECT ${REQUEST_COLUMNS}, r.sort_value FROM (
      SELECT *, ${sort} AS sort_value FROM requests ${formatWhere(conditions)}
      ORDER BY ${sort} DESC, number DESC LIMIT $${parameters.length + 1}
    ) AS r JOIN payloads p ON p.request_number = r.number ORDER BY r.sort_value DESC, r.number DESC`;
  return await tx.all(sql, [...parameters, limit]);
}

/** Looks through the next requests for the text, up to `stop`; undefined when that is the end of the history. */
async function searchPage(
  tx: Statements,
  { conditions, parameters, sort }: Selection,
  options: { readonly text: string; readonly limit: number; readonly dialect: Dialect },
): Promise<{
  readonly rows: readonly (RequestRow & Place)[];
  readonly stop: (Place & { readonly created_at: number }) | undefined;
}> {
  const stop = await tx.get<Place & { readonly created_at: number }>(
    `SELECT ${sort} AS sort_value, number, created_at FROM requests ${formatWhere(conditions)}
     ORDER BY ${sort} DESC, number DESC LIMIT 1 OFFSET ${SEARCHED - 1}`,
    parameters,
  );
  const all = [...parameters];
  const bind = (value: SqlValue): string => `$${all.push(value)}`;
  const bound =
    stop === undefined ? [] : [`(${sort}, number) >= (${bind(stop.sort_value)}, ${bind(stop.number)})`];
  const where = formatWhere([
    ...conditions,
    ...bound,
    "p.request_number = r.number",
    createTextCondition(options.text, options.dialect, bind),
  ]);
  // CROSS: SQLite keeps to this order, newest first, and ends as soon as the page is full.
  const rows = await tx.all<RequestRow & Place>(
    `SELECT ${REQUEST_COLUMNS}, ${sort} AS sort_value FROM requests r CROSS JOIN payloads p ${where}
     ORDER BY ${sort} DESC, number DESC LIMIT ${bind(options.limit)}`,
    all,
  );
  return { rows, stop };
}

function formatWhere(conditions: readonly string[]): string {
  return conditions.length === 0 ? "" : `WHERE ${conditions.join(" AND ")}`;
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
    sortBy !== "created_at" || hints.rare !== undefined
      ? undefined
      : isFailure(filter)
        ? "status_code >= 400"
        : hints.isEndedRare && isEnded(filter)
          ? "ended_at IS NOT NULL"
          : undefined;
  // Failures of one state have indexes by endpoint, key and account.
  const isOfOneState = conditionOfFew !== undefined && isFailure(filter) && filter.states?.length === 1;
  const isDecided =
    (conditionOfFew !== undefined && !isOfOneState) ||
    hints.isUnfinishedRare ||
    hints.rare !== undefined ||
    sortBy !== "created_at";
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
  return { conditions, parameters, sort };
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
    rare:
      (filter.sortBy ?? "created_at") === "created_at" && !isFailure(filter)
        ? undefined
        : await findRare(context, filter),
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
