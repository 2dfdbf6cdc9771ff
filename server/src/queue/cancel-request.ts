import type { RequestId } from "../ids.ts";
import { CANCELLED, ENDABLE_COLUMNS, type EndableRow, endByPlatform } from "./end-request.ts";
import { insertEvents } from "./events.ts";
import { perDialect } from "./per-dialect.ts";
import { changeLines, type QueueContext } from "./queue-context.ts";
import type { CancelOutcome } from "./request-queue.ts";

export async function cancelRequest(context: QueueContext, id: RequestId): Promise<CancelOutcome> {
  return changeLines(context, async (tx, changes) => {
    const row = await tx.get<EndableRow & { readonly is_cancel_requested: number }>(
      SELECT_ANY[context.database.dialect],
      [id],
    );
    if (row === undefined) return "not_found";
    const now = context.clock.now();
    if (row.state === "queued") {
      await endByPlatform(tx, row, CANCELLED, now, changes);
      return "cancelled";
    }
    if (row.state !== "running") return "already_completed";
    if (row.is_cancel_requested === 0) {
      await tx.run("UPDATE requests SET is_cancel_requested = 1 WHERE number = $1", [row.number]);
      await insertEvents(tx, row.number, row.attempts, [{ kind: "cancel_requested", at: now, data: {} }]);
    }
    return "requested";
  });
}

const SELECT_ANY = perDialect(
  ({ lock }) => `SELECT ${ENDABLE_COLUMNS}, is_cancel_requested FROM requests WHERE id = $1${lock}`,
);

/** Requests ended per transaction: other work gets its turn in between. */
const FLUSH_BATCH = 100;

/** What arrives while this runs is left alone. */
export async function flushEndpoint(context: QueueContext, endpointId: string): Promise<number> {
  const last = await context.database.read((tx) =>
    tx.get<{ number: number | null }>(
      "SELECT max(number) AS number FROM requests WHERE state = 'queued' AND endpoint_id = $1",
      [endpointId],
    ),
  );
  let ended = 0;
  for (;;) {
    const count = await changeLines(context, async (tx, changes) => {
      const rows = await tx.all<EndableRow>(SELECT_BATCH[context.database.dialect], [
        endpointId,
        last?.number ?? 0,
      ]);
      const now = context.clock.now();
      for (const row of rows) await endByPlatform(tx, row, CANCELLED, now, changes);
      return rows.length;
    });
    ended += count;
    if (count === 0) return ended;
  }
}

const SELECT_BATCH = perDialect(
  ({ lockFree }) =>
    `SELECT ${ENDABLE_COLUMNS} FROM requests WHERE state = 'queued' AND endpoint_id = $1 AND number <= $2
     ORDER BY priority, fair_rank, id LIMIT ${FLUSH_BATCH}${lockFree}`,
);
