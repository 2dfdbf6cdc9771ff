import assert from "node:assert/strict";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, test } from "node:test";
import { systemClock } from "../clock.ts";
import { silentLogger } from "../logger.ts";
import { migrateDatabase, readMigrations } from "./migrate-database.ts";
import { openSqliteDatabase } from "./sqlite-database.ts";

let folder = "";
before(async () => {
  folder = await mkdtemp(join(tmpdir(), "sluice-database-"));
});
after(() => rm(folder, { recursive: true }));

const open = (name: string) =>
  openSqliteDatabase({ path: join(folder, name), clock: systemClock, logger: silentLogger });

test("a fresh database gets every migration once", async () => {
  await using database = await open("fresh.db");
  const applied = await migrateDatabase(database);
  assert.deepEqual(
    applied,
    readMigrations("sqlite").map((migration) => migration.name),
  );
  assert.deepEqual(await migrateDatabase(database), []);
});

test("data of a newer program is refused and left as it is", async () => {
  await using database = await open("newer.db");
  await migrateDatabase(database);
  await database.transaction((tx) =>
    tx.run("INSERT INTO migrations (number, name, applied_at) VALUES ($1, $2, $3)", [9999, "future", 1]),
  );
  await assert.rejects(migrateDatabase(database), { name: "DatabaseError", kind: "newer" });
});

test("a second server on the same folder is told which folder is taken", async () => {
  await using _first = await open("taken.db");
  await assert.rejects(open("taken.db"), (error: Error & { kind?: string }) => {
    assert.equal(error.kind, "locked");
    assert.ok(error.message.includes(folder));
    return true;
  });
});

test("the folder is free again once the database is closed", async () => {
  {
    await using _first = await open("reopened.db");
  }
  await using _second = await open("reopened.db");
});

test("a file that is no database is refused as corrupt", async () => {
  await writeFile(join(folder, "corrupt.db"), "this is no database, only text ".repeat(1000));
  await assert.rejects(open("corrupt.db"), { name: "DatabaseError", kind: "corrupt" });
});

test("nothing of a transaction that throws is kept", async () => {
  await using database = await open("throws.db");
  await database.transaction((tx) => tx.run("CREATE TABLE notes (text TEXT)"));
  const failed = database.transaction(async (tx) => {
    await tx.run("INSERT INTO notes VALUES ($1)", ["lost"]);
    throw new Error("no");
  });
  const kept = database.transaction((tx) => tx.run("INSERT INTO notes VALUES ($1)", ["kept"]));
  await assert.rejects(failed, /no/);
  await kept;
  const rows = await database.read((tx) => tx.all<{ text: string }>("SELECT text FROM notes"));
  assert.deepEqual(
    rows.map((row) => row.text),
    ["kept"],
  );
});
