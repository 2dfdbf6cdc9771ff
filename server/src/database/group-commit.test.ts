import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { DatabaseSync } from "node:sqlite";
import { afterEach, beforeEach, test } from "node:test";
import { systemClock } from "../clock.ts";
import { silentLogger } from "../logger.ts";
import { createManualClock } from "../queue/testing/manual-clock.ts";
import type { Database } from "./database.ts";
import { openSqliteDatabase, type SqliteDatabaseOptions } from "./sqlite-database.ts";

let folder = "";
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), "sluice-group-commit-"));
});
afterEach(() => rm(folder, { recursive: true }));

async function open(options: Partial<SqliteDatabaseOptions> = {}): Promise<Database> {
  const path = join(folder, "test.db");
  const database = await openSqliteDatabase({
    path,
    clock: systemClock,
    logger: silentLogger,
    ...options,
  });
  await database.transaction((tx) => tx.run("CREATE TABLE IF NOT EXISTS notes (text TEXT)"));
  return database;
}

const write = (database: Database, text: string): Promise<number> =>
  database.transaction((tx) => tx.run("INSERT INTO notes VALUES ($1)", [text]));

const readAll = (database: Database): Promise<string[]> =>
  database.read(async (tx) =>
    (await tx.all<{ text: string }>("SELECT text FROM notes ORDER BY rowid")).map((row) => row.text),
  );

const turns = async (count: number): Promise<void> => {
  for (let i = 0; i < count; i++) await new Promise(setImmediate);
};

/** A disk that takes a write only when told to. */
function createGate(): { syncFile: () => Promise<void>; syncs: (() => void)[]; isOpen: boolean } {
  const gate = {
    syncs: [] as (() => void)[],
    isOpen: true,
    syncFile: (): Promise<void> =>
      gate.isOpen ? Promise.resolve() : new Promise((resolve) => gate.syncs.push(() => resolve())),
  };
  return gate;
}

/** How often the disk was asked to take a write. */
function createSyncCounter(): { syncFile: () => Promise<void>; syncs: number } {
  const counter = {
    syncs: 0,
    syncFile: async (): Promise<void> => {
      counter.syncs++;
    },
  };
  return counter;
}

test("the transactions of one turn share one sync", async () => {
  const counter = createSyncCounter();
  // On the machine's clock a busy machine ends the group before its last transaction.
  await using database = await open({ syncFile: counter.syncFile, clock: createManualClock() });
  counter.syncs = 0;
  await Promise.all(Array.from({ length: 50 }, (_, i) => write(database, `note ${i}`)));
  assert.equal(counter.syncs, 1);
  assert.equal((await readAll(database)).length, 50);
});

test("a group that takes long ends, so that the event loop keeps turning, and the rest is the next one", async () => {
  const counter = createSyncCounter();
  const clock = createManualClock();
  await using database = await open({ syncFile: counter.syncFile, clock });
  counter.syncs = 0;
  const slow = (text: string): Promise<number> =>
    database.transaction((tx) => {
      clock.advance(5);
      return tx.run("INSERT INTO notes VALUES ($1)", [text]);
    });
  await Promise.all(Array.from({ length: 5 }, (_, i) => slow(`note ${i}`)));
  assert.equal(counter.syncs, 3, "two transactions of 5 ms pass the 8 ms of a group");
  assert.equal((await readAll(database)).length, 5);
});

test("a commit is not answered before it is on the disk", async () => {
  const gate = createGate();
  await using database = await open(gate);
  gate.isOpen = false;
  let isAnswered = false;
  const written = write(database, "note").then(() => {
    isAnswered = true;
  });
  await turns(20);
  assert.equal(gate.syncs.length, 1);
  assert.equal(isAnswered, false);
  gate.isOpen = true;
  gate.syncs[0]?.();
  await written;
});

test("a read that has seen an unsynced commit waits for the disk", async () => {
  const gate = createGate();
  await using database = await open(gate);
  gate.isOpen = false;
  const written = write(database, "note");
  await turns(20);
  let seen: string[] | undefined;
  const read = readAll(database).then((notes) => {
    seen = notes;
  });
  await turns(20);
  assert.equal(seen, undefined);
  gate.isOpen = true;
  gate.syncs[0]?.();
  await Promise.all([written, read]);
  assert.deepEqual(seen, ["note"]);
});

test("a transaction that throws takes nothing of its neighbours in the group with it", async () => {
  await using database = await open();
  const outcomes = await Promise.allSettled([
    write(database, "first"),
    database.transaction(async (tx) => {
      await tx.run("INSERT INTO notes VALUES ('half')");
      throw new Error("changed my mind");
    }),
    database.transaction((tx) => tx.run("INSERT INTO nowhere VALUES (1)")),
    write(database, "last"),
  ]);
  assert.deepEqual(
    outcomes.map((outcome) => outcome.status),
    ["fulfilled", "rejected", "rejected", "fulfilled"],
  );
  assert.deepEqual(await readAll(database), ["first", "last"]);
});

test("when the disk fails nothing is answered any more", async () => {
  let isBroken = false;
  await using database = await open({
    syncFile: async (file) => {
      if (isBroken) throw Object.assign(new Error("EIO: i/o error, fdatasync"), { code: "EIO" });
      await file.datasync();
    },
  });
  await write(database, "kept");
  isBroken = true;
  const failed = { name: "DatabaseError", kind: "failed" };
  await assert.rejects(write(database, "unknown"), failed);
  isBroken = false;
  await assert.rejects(write(database, "later"), failed);
  await assert.rejects(readAll(database), failed);
});

test("a full disk refuses the write, keeps what was there, and goes on when there is room again", async () => {
  await using database = await open();
  await write(database, "before");
  await database.transaction((tx) => tx.get("PRAGMA max_page_count=4"));
  await assert.rejects(write(database, "x".repeat(100_000)), { name: "DatabaseError", kind: "full" });
  assert.deepEqual(await readAll(database), ["before"]);
  await database.transaction((tx) => tx.get("PRAGMA max_page_count=1000000"));
  await write(database, "after");
  assert.deepEqual(await readAll(database), ["before", "after"]);
});

test("a folder that cannot be written is refused as read-only", async () => {
  await assert.rejects(
    openSqliteDatabase({ path: "/sys/sluice/test.db", clock: systemClock, logger: silentLogger }),
    { name: "DatabaseError", kind: "read_only" },
  );
});

test("the log is copied into the database file and starts over while writes go on", async () => {
  await using database = await open({ checkpointFrames: 64 });
  // The header of the log counts how often it started over.
  const readRestarts = (): number => readFileSync(join(folder, "test.db-wal")).readUInt32BE(12);
  const before = readRestarts();
  const until = performance.now() + 30_000;
  let count = 0;
  while (readRestarts() - before < 3 && performance.now() < until) {
    await Promise.all([write(database, `${count} ${"x".repeat(6_000)}`), write(database, "small")]);
    count += 2;
  }
  assert.ok(readRestarts() - before >= 3, "the log did not start over");
  assert.equal((await readAll(database)).length, count);
});

test("what was answered is there after a restart, and the log was emptied", async () => {
  {
    await using database = await open({ checkpointFrames: 32 });
    for (let i = 0; i < 100; i++) await write(database, `note ${i}`);
  }
  await using database = await open();
  assert.equal((await readAll(database)).length, 100);
});

test("a backup taken under load is whole and opens on its own", async () => {
  await using database = await open();
  for (let i = 0; i < 50; i++) await write(database, `note ${i}`);
  const target = join(folder, "copy.db");
  const writing = Promise.all(Array.from({ length: 50 }, (_, i) => write(database, `later ${i}`)));
  await database.backup(target);
  await writing;
  const copy = new DatabaseSync(target, { readOnly: true });
  try {
    const row = copy.prepare("SELECT count(*) AS notes FROM notes").get();
    assert.ok(Number(row?.["notes"]) >= 50);
    assert.equal(copy.prepare("PRAGMA integrity_check").get()?.["integrity_check"], "ok");
  } finally {
    copy.close();
  }
});

test("a backup that cannot be written says so and leaves the database in use", async () => {
  await using database = await open();
  await assert.rejects(database.backup(join(folder, "absent", "copy.db")), {
    name: "DatabaseError",
    kind: "read_only",
  });
  await write(database, "note");
});
