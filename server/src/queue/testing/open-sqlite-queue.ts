import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { migrateDatabase } from "../../database/migrate-database.ts";
import { openSqliteDatabase } from "../../database/sqlite-database.ts";
import { openDiskBlobStore } from "../../files/disk-blob-store.ts";
import type { KeyLimits } from "../../keys/key-store.ts";
import { silentLogger } from "../../logger.ts";
import { createRequestQueue } from "../create-request-queue.ts";
import type { ManualClock } from "./manual-clock.ts";
import { type QueueFixture, RETENTION_MS } from "./queue-fixture.ts";

/** A queue on SQLite in a folder of its own. */
export async function openSqliteQueue(clock: ManualClock): Promise<QueueFixture> {
  const folder = await mkdtemp(join(tmpdir(), "sluice-queue-"));
  const limits = new Map<string, KeyLimits>();
  const database = await openSqliteDatabase({ path: join(folder, "test.db"), clock, logger: silentLogger });
  await migrateDatabase(database);
  const blobs = await openDiskBlobStore({ dir: join(folder, "blobs") });
  const queue = createRequestQueue({
    database,
    blobs,
    clock,
    logger: silentLogger,
    getKeyLimits: async (keyId) => limits.get(keyId),
    retentionMs: RETENTION_MS,
  });
  return {
    queue,
    database,
    blobs,
    clock,
    limits,
    async [Symbol.asyncDispose]() {
      await database[Symbol.asyncDispose]();
      await rm(folder, { recursive: true });
    },
  };
}
