import type { Database, Statements } from "../database/database.ts";

/** The endpoints whose requests are not leased. */
export interface Pauses {
  list(tx: Statements): Promise<ReadonlySet<string>>;
  pause(endpointId: string, now: number): Promise<void>;
  resume(endpointId: string): Promise<void>;
}

/** Kept in memory where no other process can change them (SQLite): every lease asks. */
export function createPauses(database: Database): Pauses {
  let known: ReadonlySet<string> | undefined;

  async function change(sql: string, parameters: readonly (string | number)[]): Promise<void> {
    try {
      await database.transaction((tx) => tx.run(sql, parameters));
    } finally {
      // Also after a failure: a lease of the same commit may have read what was then undone.
      known = undefined;
    }
  }

  return {
    async list(tx) {
      if (known !== undefined) return known;
      const rows = await tx.all<{ endpoint_id: string }>("SELECT endpoint_id FROM paused_endpoints");
      const paused = new Set(rows.map((row) => row.endpoint_id));
      if (database.dialect === "sqlite") known = paused;
      return paused;
    },
    pause: (endpointId, now) =>
      change("INSERT INTO paused_endpoints (endpoint_id, paused_at) VALUES ($1, $2) ON CONFLICT DO NOTHING", [
        endpointId,
        now,
      ]),
    resume: (endpointId) => change("DELETE FROM paused_endpoints WHERE endpoint_id = $1", [endpointId]),
  };
}
