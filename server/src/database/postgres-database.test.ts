import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { silentLogger } from "../logger.ts";
import { openPostgresDatabase } from "./postgres-database.ts";
import { testDatabase } from "./testing/database-conformance.ts";
import { startTestPostgres, type TestPostgres } from "./testing/start-postgres.ts";

let server: TestPostgres;
before(async () => {
  server = await startTestPostgres();
});
after(() => server[Symbol.asyncDispose]());

testDatabase(async () => openPostgresDatabase({ url: await server.createDatabase(), logger: silentLogger }));

test("a server that does not answer is named as such", async () => {
  await assert.rejects(
    openPostgresDatabase({ url: "postgres://sluice@127.0.0.1:1/none", logger: silentLogger }),
    { name: "DatabaseError", kind: "unreachable" },
  );
});

test("a database that does not exist is named as such", async () => {
  const url = (await server.createDatabase()).replace(/\/[^/]*$/, "/absent");
  await assert.rejects(openPostgresDatabase({ url, logger: silentLogger }), {
    name: "DatabaseError",
    kind: "unreachable",
  });
});

test("a connection that the server ends costs one call, not the database", async () => {
  await using database = await openPostgresDatabase({
    url: await server.createDatabase(),
    logger: silentLogger,
  });
  await assert.rejects(
    database.transaction((tx) => tx.get("SELECT pg_terminate_backend(pg_backend_pid())")),
    { name: "DatabaseError", kind: "unreachable" },
  );
  assert.deepEqual({ ...(await database.read((tx) => tx.get("SELECT 1 AS one"))) }, { one: 1 });
});

test("backups are left to the tools of PostgreSQL", async () => {
  await using database = await openPostgresDatabase({
    url: await server.createDatabase(),
    logger: silentLogger,
  });
  await assert.rejects(database.backup("/nowhere"), /pg_dump/);
});
