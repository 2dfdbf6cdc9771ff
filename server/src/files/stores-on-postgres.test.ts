import { after } from "node:test";
import { openPostgresDatabase } from "../database/postgres-database.ts";
import { startTestPostgres } from "../database/testing/start-postgres.ts";
import { silentLogger } from "../logger.ts";
import { testFileStore } from "./testing/file-store-conformance.ts";
import { openTestStorage, type TestStorage } from "./testing/open-test-storage.ts";
import { testUploadStore } from "./testing/upload-store-conformance.ts";

const postgres = await startTestPostgres();
after(() => postgres[Symbol.asyncDispose]());

async function open(): Promise<TestStorage> {
  const url = await postgres.createDatabase();
  return await openTestStorage({
    openDatabase: () => openPostgresDatabase({ url, logger: silentLogger }),
  });
}

testFileStore("postgres", open);
testUploadStore("postgres", open);
