import type { Clock } from "../clock.ts";
import type { Database, Statements } from "../database/database.ts";
import { EXACT_POSITIONS, estimatePosition, type LineShape, type Positions } from "./positions.ts";

/** How long a count of all waiting requests is used for estimates. */
const COUNTS_MS = 2_000;

/**
 * Positions for a database that several processes write (PostgreSQL): counted there, up to the exact limit. The
 * totals behind an estimate may be two seconds old.
 */
export function createQueriedPositions(database: Database, clock: Clock): Positions {
  let counts: { readonly rows: Promise<readonly CountRow[]>; readonly at: number } | undefined;

  function loadCounts(): Promise<readonly CountRow[]> {
    if (counts === undefined || clock.monotonic() - counts.at > COUNTS_MS) {
      const rows = database.read((tx) => tx.all<CountRow>(COUNT));
      counts = { rows, at: clock.monotonic() };
      rows.catch(() => {
        counts = undefined;
      });
    }
    return counts.rows;
  }

  return {
    join() {
      // Every question goes to the database.
    },
    leave() {
      // Likewise.
    },
    async getPosition(entry) {
      const row = await database.read((tx) =>
        tx.get<{ position: number }>(
          `SELECT count(*) AS position FROM (
             SELECT 1 FROM requests WHERE state = 'queued' AND app = $1
             AND (priority, fair_rank, id) < ($2, $3, $4) LIMIT ${EXACT_POSITIONS}) AS before`,
          [entry.app, entry.priority, entry.fairRank, entry.id],
        ),
      );
      const position = row?.position ?? 0;
      if (position < EXACT_POSITIONS) return position;
      const rows = await loadCounts();
      return database.read(async (tx) =>
        estimatePosition(entry, [
          await readShape(tx, entry.app, 0, rows),
          await readShape(tx, entry.app, 1, rows),
        ]),
      );
    },
    mayHaveWaiting: () => true,
    async countWaiting() {
      const waiting = new Map<string, number>();
      for (const row of await database.read((tx) => tx.all<CountRow>(COUNT))) {
        waiting.set(row.endpoint_id, (waiting.get(row.endpoint_id) ?? 0) + row.count);
      }
      return waiting;
    },
  };
}

const COUNT =
  "SELECT app, endpoint_id, priority, count(*) AS count FROM requests WHERE state = 'queued' GROUP BY app, endpoint_id, priority";

interface CountRow {
  readonly app: string;
  readonly endpoint_id: string;
  readonly priority: number;
  readonly count: number;
}

async function readShape(
  tx: Statements,
  app: string,
  priority: number,
  rows: readonly CountRow[],
): Promise<LineShape> {
  const line = await tx.get<{ virtual_time: number }>(
    "SELECT virtual_time FROM lines WHERE app = $1 AND priority = $2",
    [app, priority],
  );
  const last = await tx.get<{ fair_rank: number | null }>(
    "SELECT max(fair_rank) AS fair_rank FROM requests WHERE state = 'queued' AND app = $1 AND priority = $2",
    [app, priority],
  );
  let count = 0;
  for (const row of rows) if (row.app === app && row.priority === priority) count += row.count;
  return { count, virtualTime: line?.virtual_time ?? 0, lastRank: last?.fair_rank ?? 0 };
}
