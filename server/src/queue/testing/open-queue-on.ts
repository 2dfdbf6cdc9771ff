import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { Database } from "../../database/database.ts";
import { openDiskBlobStore } from "../../files/disk-blob-store.ts";
import type { KeyLimits } from "../../keys/key-store.ts";
import { silentLogger } from "../../logger.ts";
import { createRequestQueue } from "../create-request-queue.ts";
import type { ManualClock } from "./manual-clock.ts";
import { type QueueFixture, RETENTION_MS } from "./queue-fixture.ts";

/**
 * A queue on a migrated database, with blobs in a folder of its own.
 *
 * @param openDatabase is given the folder, which is removed after `close` at the end
 */
export async function openQueueOn(
  clock: ManualClock,
  openDatabase: (folder: string) => Promise<{ readonly database: Database; close(): PromiseLike<void> }>,
): Promise<QueueFixture> {
  const folder = await mkdtemp(join(tmpdir(), "sluice-queue-"));
  const limits = new Map<string, KeyLimits>();
  const { database, close } = await openDatabase(folder);
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
      await close();
      await rm(folder, { recursive: true });
    },
  };
}
