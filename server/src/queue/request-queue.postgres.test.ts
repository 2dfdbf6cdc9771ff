import { after, before } from "node:test";
import type { Database } from "../database/database.ts";
import { migrateDatabase } from "../database/migrate-database.ts";
import { openPostgresDatabase } from "../database/postgres-database.ts";
import { startTestPostgres, type TestPostgres } from "../database/testing/start-postgres.ts";
import { silentLogger } from "../logger.ts";
import { testRequestQueue } from "./testing/conformance.ts";
import { createManualClock } from "./testing/manual-clock.ts";
import { openQueueOn } from "./testing/open-queue-on.ts";
import type { QueueFixture } from "./testing/queue-fixture.ts";

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

function open(): Promise<QueueFixture> {
  return openQueueOn(createManualClock(), async () => {
    await database.transaction((tx) =>
      tx.run("TRUNCATE requests, payloads, events, lines, paused_endpoints, key_days, deliveries"),
    );
    // One database serves every test.
    return { database, close: () => Promise.resolve() };
  });
}
