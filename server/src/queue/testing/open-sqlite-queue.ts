import { join } from "node:path";
import { migrateDatabase } from "../../database/migrate-database.ts";
import { openSqliteDatabase } from "../../database/sqlite-database.ts";
import { silentLogger } from "../../logger.ts";
import type { ManualClock } from "./manual-clock.ts";
import { openQueueOn } from "./open-queue-on.ts";
import type { QueueFixture } from "./queue-fixture.ts";

/** A queue on SQLite in a folder of its own. */
export function openSqliteQueue(clock: ManualClock): Promise<QueueFixture> {
  return openQueueOn(clock, async (folder) => {
    const database = await openSqliteDatabase({ path: join(folder, "test.db"), clock, logger: silentLogger });
    await migrateDatabase(database);
    return { database, close: () => database[Symbol.asyncDispose]() };
  });
}
