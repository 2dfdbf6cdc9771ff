import assert from "node:assert/strict";
import { test } from "node:test";
import type { Database } from "../database.ts";
import { migrateDatabase, readMigrations } from "../migrate-database.ts";

/**
 * What every {@link Database} must do.
 *
 * @param open gives an empty database.
 */
export function testDatabase(open: () => Promise<Database>): void {
  async function openWithNotes(): Promise<Database> {
    const database = await open();
    await database.transaction((tx) =>
      tx.run("CREATE TABLE notes (id INTEGER PRIMARY KEY, text TEXT, count BIGINT, share DOUBLE PRECISION)"),
    );
    return database;
  }

  test("values come back as they were written", async () => {
    await using database = await open();
    const binary = database.dialect === "sqlite" ? "BLOB" : "BYTEA";
    await database.transaction((tx) =>
      tx.run(`CREATE TABLE kinds (a TEXT, b BIGINT, c DOUBLE PRECISION, d ${binary}, e INTEGER, f TEXT)`),
    );
    const text = "üñí 🙂 ' \" \\ $1";
    const bytes = Uint8Array.from([0, 1, 127, 128, 255]);
    await database.transaction((tx) =>
      tx.run("INSERT INTO kinds VALUES ($1, $2, $3, $4, $5, $6)", [
        text,
        2 ** 53 - 1,
        0.1,
        bytes,
        true,
        null,
      ]),
    );
    const row = await database.read((tx) =>
      tx.get<{ a: string; b: number; c: number; d: Uint8Array; e: number; f: null }>("SELECT * FROM kinds"),
    );
    assert.equal(row?.a, text);
    assert.equal(row.b, 2 ** 53 - 1);
    assert.equal(row.c, 0.1);
    assert.deepEqual(Uint8Array.from(row.d), bytes);
    assert.equal(row.e, 1);
    assert.equal(row.f, null);
  });

  test("parameters are bound by number, in any order and as often as they appear", async () => {
    await using database = await open();
    const row = await database.read((tx) =>
      tx.get<{ text: string }>("SELECT CAST($2 AS TEXT) || CAST($1 AS TEXT) || CAST($2 AS TEXT) AS text", [
        "a",
        "b",
      ]),
    );
    assert.equal(row?.text, "bab");
  });

  test("counts are numbers, missing rows undefined, changes counted", async () => {
    await using database = await openWithNotes();
    const changed = await database.transaction(async (tx) => {
      await tx.run("INSERT INTO notes (id, text) VALUES (1, 'a'), (2, 'b'), (3, 'b')");
      return tx.run("UPDATE notes SET text = 'c' WHERE text = 'b'");
    });
    assert.equal(changed, 2);
    const [count, missing, none] = await database.read(async (tx) => [
      await tx.get<{ count: number }>("SELECT count(*) AS count FROM notes"),
      await tx.get("SELECT * FROM notes WHERE id = 9"),
      await tx.all("SELECT * FROM notes WHERE id = 9"),
    ]);
    assert.equal((count as { count: number }).count, 3);
    assert.equal(missing, undefined);
    assert.deepEqual(none, []);
  });

  test("a statement that changes rows can give them back", async () => {
    await using database = await openWithNotes();
    const row = await database.transaction((tx) =>
      tx.get<{ id: number }>("INSERT INTO notes (id, text) VALUES (7, 'a') RETURNING id"),
    );
    assert.equal(row?.id, 7);
  });

  test("a transaction sees its own changes, and nobody else sees half of it", async () => {
    await using database = await openWithNotes();
    const readCount = async (): Promise<number> =>
      (await database.read((tx) => tx.get<{ count: number }>("SELECT count(*) AS count FROM notes")))
        ?.count ?? -1;
    const counts: number[] = [];
    const reading = (async () => {
      for (let i = 0; i < 30; i++) {
        counts.push(await readCount());
        await new Promise(setImmediate);
      }
    })();
    for (let i = 0; i < 10; i++) {
      await database.transaction(async (tx) => {
        await tx.run("INSERT INTO notes (id) VALUES ($1)", [i * 2]);
        const own = await tx.get<{ count: number }>("SELECT count(*) AS count FROM notes");
        assert.equal(own?.count, i * 2 + 1);
        await tx.run("INSERT INTO notes (id) VALUES ($1)", [i * 2 + 1]);
      });
      assert.equal(await readCount(), i * 2 + 2);
    }
    await reading;
    for (const count of counts) assert.equal(count % 2, 0);
  });

  test("nothing of a transaction that throws is kept, and it rejects with what it threw", async () => {
    await using database = await openWithNotes();
    const reason = new Error("changed my mind");
    await assert.rejects(
      database.transaction(async (tx) => {
        await tx.run("INSERT INTO notes (id) VALUES (1)");
        throw reason;
      }),
      (error) => error === reason,
    );
    await assert.rejects(
      database.transaction(async (tx) => {
        await tx.run("INSERT INTO notes (id) VALUES (2)");
        await tx.run("INSERT INTO notes (id) VALUES (2)");
      }),
    );
    assert.deepEqual(await database.read((tx) => tx.all("SELECT * FROM notes")), []);
    await database.transaction((tx) => tx.run("INSERT INTO notes (id) VALUES (3)"));
  });

  test("increments that race are all counted", async () => {
    await using database = await openWithNotes();
    await database.transaction((tx) => tx.run("INSERT INTO notes (id, count) VALUES (1, 0)"));
    await Promise.all(
      Array.from({ length: 40 }, () =>
        database.transaction((tx) => tx.run("UPDATE notes SET count = count + 1 WHERE id = 1")),
      ),
    );
    const row = await database.read((tx) => tx.get<{ count: number }>("SELECT count FROM notes"));
    assert.equal(row?.count, 40);
  });

  test("transactions that lock each other out are run again until both are kept", async () => {
    await using database = await openWithNotes();
    await database.transaction((tx) => tx.run("INSERT INTO notes (id, count) VALUES (1, 0), (2, 0)"));
    const add = (first: number, second: number): Promise<unknown> =>
      database.transaction(async (tx) => {
        await tx.run("UPDATE notes SET count = count + 1 WHERE id = $1", [first]);
        await tx.run("UPDATE notes SET count = count + 1 WHERE id = $1", [second]);
      });
    await Promise.all([add(1, 2), add(2, 1), add(1, 2), add(2, 1)]);
    const rows = await database.read((tx) =>
      tx.all<{ count: number }>("SELECT count FROM notes ORDER BY id"),
    );
    assert.deepEqual(
      rows.map((row) => row.count),
      [4, 4],
    );
  });

  test("a closed database refuses work", async () => {
    const database = await open();
    await database[Symbol.asyncDispose]();
    await database[Symbol.asyncDispose]();
    await assert.rejects(
      database.read((tx) => tx.get("SELECT 1 AS one")),
      { name: "DatabaseError" },
    );
    await assert.rejects(
      database.transaction((tx) => tx.get("SELECT 1 AS one")),
      { name: "DatabaseError" },
    );
  });

  test("a fresh database gets every migration once, also when several servers start at once", async () => {
    await using database = await open();
    const applied = await Promise.all([migrateDatabase(database), migrateDatabase(database)]);
    const migrations = readMigrations(database.dialect);
    assert.deepEqual(
      migrations.map(({ number }) => number),
      migrations.map((_, index) => index + 1),
    );
    assert.deepEqual(applied.flat().sort(), migrations.map((migration) => migration.name).sort());
    assert.deepEqual(await migrateDatabase(database), []);
  });

  test("a migration that fails leaves the version before it", async () => {
    await using database = await open();
    const first = { number: 1, name: "first", sql: "CREATE TABLE one (a INTEGER);\n" };
    const second = {
      number: 2,
      name: "second",
      sql: "CREATE TABLE two (a INTEGER);\nSELECT * FROM nowhere;\n",
    };
    await assert.rejects(migrateDatabase(database, { migrations: [first, second] }));
    await assert.rejects(database.read((tx) => tx.all("SELECT * FROM two")));
    assert.deepEqual(await database.read((tx) => tx.all("SELECT * FROM one")), []);
    const repaired = { ...second, sql: "CREATE TABLE two (a INTEGER);\n" };
    assert.deepEqual(await migrateDatabase(database, { migrations: [first, repaired] }), ["second"]);
  });

  test("data of a newer program is refused and left as it is", async () => {
    await using database = await open();
    await migrateDatabase(database);
    await database.transaction((tx) =>
      tx.run("INSERT INTO migrations (number, name, applied_at) VALUES ($1, $2, $3)", [9999, "future", 1]),
    );
    await assert.rejects(migrateDatabase(database), { name: "DatabaseError", kind: "newer" });
  });
}
