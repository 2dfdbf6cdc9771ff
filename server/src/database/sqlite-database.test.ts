import assert from "node:assert/strict";
import { mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, test } from "node:test";
import { systemClock } from "../clock.ts";
import { silentLogger } from "../logger.ts";
import { openSqliteDatabase } from "./sqlite-database.ts";
import { testDatabase } from "./testing/database-conformance.ts";

let folder = "";
before(async () => {
  folder = await mkdtemp(join(tmpdir(), "sluice-database-"));
});
after(() => rm(folder, { recursive: true }));

const open = (name: string) =>
  openSqliteDatabase({ path: join(folder, name), clock: systemClock, logger: silentLogger });

let count = 0;
testDatabase(() => open(`conformance-${++count}.db`));

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

test("damage in the middle of the file is found at start", async () => {
  const name = "damaged.db";
  {
    await using database = await open(name);
    await database.transaction((tx) => tx.run("CREATE TABLE notes (text TEXT)"));
    for (let i = 0; i < 50; i++) {
      await database.transaction((tx) => tx.run("INSERT INTO notes VALUES ($1)", ["x".repeat(3_000)]));
    }
  }
  const path = join(folder, name);
  const content = await readFile(path);
  content.fill(0xa5, 8_192, 8_192 + 40_000);
  await writeFile(path, content);
  await assert.rejects(open(name), (error: Error & { kind?: string }) => {
    assert.equal(error.kind, "corrupt");
    assert.ok(error.message.includes(path));
    return true;
  });
});
