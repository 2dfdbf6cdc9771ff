import type { Database } from "../database/database.ts";
import {
  compareEntries,
  EXACT_POSITIONS,
  estimatePosition,
  type LineEntry,
  type LineShape,
  type Positions,
} from "./positions.ts";

/** Entries read at once when a window runs short. */
const WINDOW = 2_048;
/** A window is cut back when it grows beyond this. */
const MAX_WINDOW = 4_096;

/**
 * Positions for a database that only this process writes (SQLite): the head of each line is kept in memory and
 * follows the commits, so that a position is a binary search however long the line is. A window that has run short
 * is read again: one entry read per request leased, on average.
 */
export function createWindowPositions(database: Database): Positions {
  let lines: Map<string, Line> | undefined;
  let loading: Promise<Map<string, Line>> | undefined;

  function load(): Promise<Map<string, Line>> {
    loading ??= loadLines(database).then(
      (loaded) => {
        lines = loaded;
        return loaded;
      },
      (error: unknown) => {
        loading = undefined;
        throw error;
      },
    );
    return loading;
  }

  return {
    join(entry) {
      // Before the lines are loaded the database knows better.
      if (lines === undefined) return;
      const line = lines.get(entry.app) ?? addLine(lines, entry.app);
      const shape = line.shapes[entry.priority === 0 ? 0 : 1];
      shape.lastRank = shape.count === 0 ? entry.fairRank : Math.max(shape.lastRank, entry.fairRank);
      shape.count++;
      line.waiting.set(entry.endpointId, (line.waiting.get(entry.endpointId) ?? 0) + 1);
      const last = line.head.at(-1);
      if (!line.isWhole && (last === undefined || compareEntries(entry, last) > 0)) return;
      const index = findIndex(line.head, entry);
      line.head.splice(index, 0, entry);
      if (line.head.length > MAX_WINDOW) {
        line.head.length = WINDOW;
        line.isWhole = false;
      }
    },
    leave(entry, isLeased) {
      const line = lines?.get(entry.app);
      if (line === undefined) return;
      const shape = line.shapes[entry.priority === 0 ? 0 : 1];
      shape.count--;
      if (isLeased) shape.virtualTime = Math.max(shape.virtualTime, entry.fairRank);
      line.waiting.set(entry.endpointId, (line.waiting.get(entry.endpointId) ?? 1) - 1);
      const index = findIndex(line.head, entry);
      if (line.head[index]?.id === entry.id) line.head.splice(index, 1);
    },
    async getPosition(entry) {
      const line = (lines ?? (await load())).get(entry.app);
      if (line === undefined) return 0;
      // No other change can come between the reading and its use: see readHead.
      if (!line.isWhole && line.head.length < EXACT_POSITIONS) await refill(database, entry.app, line);
      const index = findIndex(line.head, entry);
      if (index < line.head.length || line.isWhole) return index;
      return estimatePosition(entry, line.shapes);
    },
    mayHaveWaiting(endpointId) {
      if (lines === undefined) {
        void load().catch(() => {
          // The caller's own statement will tell the same failure.
        });
        return true;
      }
      for (const line of lines.values()) if ((line.waiting.get(endpointId) ?? 0) > 0) return true;
      return false;
    },
    async countWaiting() {
      const counts = new Map<string, number>();
      for (const line of (lines ?? (await load())).values()) {
        for (const [endpointId, count] of line.waiting) counts.set(endpointId, count);
      }
      return counts;
    },
  };
}

interface Line {
  /** The first entries of the line, in order. */
  head: LineEntry[];
  /** True when `head` is the whole line. */
  isWhole: boolean;
  refilling: Promise<void> | undefined;
  readonly shapes: readonly [Writable<LineShape>, Writable<LineShape>];
  readonly waiting: Map<string, number>;
}

type Writable<T> = { -readonly [K in keyof T]: T[K] };

function addLine(lines: Map<string, Line>, app: string): Line {
  const line: Line = {
    head: [],
    isWhole: true,
    refilling: undefined,
    shapes: [
      { count: 0, virtualTime: 0, lastRank: 0 },
      { count: 0, virtualTime: 0, lastRank: 0 },
    ],
    waiting: new Map(),
  };
  lines.set(app, line);
  return line;
}

/** Index of the entry, or where it would be. */
function findIndex(head: readonly LineEntry[], entry: LineEntry): number {
  let low = 0;
  let high = head.length;
  while (low < high) {
    const middle = (low + high) >> 1;
    if (compareEntries(head[middle] as LineEntry, entry) < 0) low = middle + 1;
    else high = middle;
  }
  return low;
}

interface CountRow {
  readonly endpoint_id: string;
  readonly priority: number;
  readonly count: number;
  readonly last_rank: number;
}

async function loadLines(database: Database): Promise<Map<string, Line>> {
  const lines = new Map<string, Line>();
  await database.read(async (tx) => {
    // Along the index of the line; the app is not in it and read once per endpoint.
    const counts = await tx.all<CountRow>(
      `SELECT endpoint_id, priority, count(*) AS count, max(fair_rank) AS last_rank
       FROM requests WHERE state = 'queued' GROUP BY endpoint_id, priority`,
    );
    for (const row of counts) {
      const first = await tx.get<{ app: string }>(
        "SELECT app FROM requests WHERE state = 'queued' AND endpoint_id = $1 LIMIT 1",
        [row.endpoint_id],
      );
      if (first === undefined) continue;
      const line = lines.get(first.app) ?? addLine(lines, first.app);
      const shape = line.shapes[row.priority === 0 ? 0 : 1];
      shape.count += row.count;
      shape.lastRank = Math.max(shape.lastRank, row.last_rank);
      line.waiting.set(row.endpoint_id, (line.waiting.get(row.endpoint_id) ?? 0) + row.count);
    }
    const times = await tx.all<{ app: string; priority: number; virtual_time: number }>(
      "SELECT app, priority, virtual_time FROM lines",
    );
    for (const row of times) {
      const line = lines.get(row.app) ?? addLine(lines, row.app);
      line.shapes[row.priority === 0 ? 0 : 1].virtualTime = row.virtual_time;
    }
    // The heads follow when a position is asked for.
    for (const line of lines.values()) line.isWhole = line.shapes[0].count + line.shapes[1].count === 0;
  });
  return lines;
}

function refill(database: Database, app: string, line: Line): Promise<void> {
  line.refilling ??= readHead(database, app, line).finally(() => {
    line.refilling = undefined;
  });
  return line.refilling;
}

interface HeadRow {
  readonly id: string;
  readonly priority: number;
  readonly fair_rank: number;
}

/**
 * A read resolves after the callers of every commit that it saw were told, and before the next commit: so what it
 * found is exactly the line as this process knows it, and can replace the window.
 */
async function readHead(database: Database, app: string, line: Line): Promise<void> {
  const head: LineEntry[] = [];
  await database.read(async (tx) => {
    for (const endpointId of line.waiting.keys()) {
      for (const row of await tx.all<HeadRow>(
        `SELECT id, priority, fair_rank FROM requests
         WHERE state = 'queued' AND endpoint_id = $1 ORDER BY priority, fair_rank, id LIMIT $2`,
        [endpointId, WINDOW],
      )) {
        head.push({ id: row.id, app, endpointId, priority: row.priority, fairRank: row.fair_rank });
      }
    }
  });
  head.sort(compareEntries);
  line.isWhole = head.length <= WINDOW && line.shapes[0].count + line.shapes[1].count <= head.length;
  if (head.length > WINDOW) head.length = WINDOW;
  line.head = head;
}
