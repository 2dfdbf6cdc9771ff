import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before } from "node:test";
import type { Database } from "../database/database.ts";
import { migrateDatabase } from "../database/migrate-database.ts";
import { openPostgresDatabase } from "../database/postgres-database.ts";
import { startTestPostgres, type TestPostgres } from "../database/testing/start-postgres.ts";
import { openDiskBlobStore } from "../files/disk-blob-store.ts";
import type { KeyLimits } from "../keys/key-store.ts";
import { silentLogger } from "../logger.ts";
import { createRequestQueue } from "./create-request-queue.ts";
import { testRequestQueue } from "./testing/conformance.ts";
import { createManualClock } from "./testing/manual-clock.ts";
import { type QueueFixture, RETENTION_MS } from "./testing/queue-fixture.ts";

let server: TestPostgres;
let database: Database;
before(async () => {
  server = await startTestPostgres();
  database = await openPostgresDatabase({ url: await server.createDatabase(), logger: silentLogger });
  await migrateDatabase(database);
});
after(async () => {
  await database[Symbol.asyncDispose]();
  await server[Symbol.asyncDispose]();
});

testRequestQueue(open);

async function open(): Promise<QueueFixture> {
  const folder = await mkdtemp(join(tmpdir(), "sluice-queue-"));
  const clock = createManualClock();
  const limits = new Map<string, KeyLimits>();
  await database.transaction((tx) =>
    tx.run("TRUNCATE requests, payloads, events, lines, paused_endpoints, key_days, deliveries"),
  );
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
      await rm(folder, { recursive: true });
    },
  };
}
