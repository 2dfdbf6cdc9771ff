import type { Clock } from "../clock.ts";
import type { Database, Statements } from "../database/database.ts";
import type { BlobStore } from "../files/blob-store.ts";
import type { KeyId } from "../ids.ts";
import type { KeyLimits } from "../keys/key-store.ts";
import type { Logger } from "../logger.ts";
import type { Pauses } from "./pauses.ts";
import type { LineEntry, Positions } from "./positions.ts";
import type { RunsUnderWay } from "./runs-under-way.ts";

/** What every operation of the queue is given. */
export interface QueueContext {
  readonly database: Database;
  readonly blobs: BlobStore;
  readonly clock: Clock;
  readonly logger: Logger;
  readonly getKeyLimits: (keyId: KeyId) => Promise<KeyLimits | undefined>;
  readonly positions: Positions;
  readonly pauses: Pauses;
  readonly runs: RunsUnderWay;
}

/** What a transaction did to the lines; told to {@link Positions} once it is committed. */
export interface LineChange {
  readonly entry: LineEntry;
  readonly change: "joined" | "leased" | "left";
}

/** A transaction that changes who waits. The changes reach the positions in the order of the commits. */
export async function changeLines<T>(
  context: QueueContext,
  work: (tx: Statements, changes: LineChange[]) => Promise<T>,
): Promise<T> {
  let changes: LineChange[] = [];
  const value = await context.database.transaction((tx) => {
    // A new list for each execution: PostgreSQL may run `work` again.
    changes = [];
    return work(tx, changes);
  });
  for (const { entry, change } of changes) {
    if (change === "joined") context.positions.join(entry);
    else context.positions.leave(entry, change === "leased");
  }
  return value;
}
