import assert from "node:assert/strict";
import { copyFile, mkdtemp, readdir, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { DatabaseSync } from "node:sqlite";
import { test } from "node:test";
import { fileURLToPath } from "node:url";
import { DatabaseError } from "./database/database.ts";
import { silentLogger } from "./logger.ts";
import { parseSettings } from "./settings.ts";
import { openStore } from "./store.ts";
import { checkStore } from "./testing/upgrade-content.ts";

const folder = fileURLToPath(new URL("./fixtures/upgrade", import.meta.url));
const versions = (await readdir(folder)).filter((name) => name.endsWith(".db"));

test("the store of the first landed version is among those that are upgraded", () => {
  assert.ok(versions.includes("0.1.0.db"));
});

for (const name of versions) {
  test(`a store of ${name.slice(0, -3)} opens, holds what it held, and goes on`, async () => {
    await withDataDir(name, async (dataDir) => {
      const settings = parseSettings({}, { dataDir });
      {
        await using store = await openStore({ settings, logger: silentLogger });
        await checkStore(store);
      }
      // The second start finds nothing to do.
      await using store = await openStore({ settings, logger: silentLogger });
      await checkStore(store);
    });
  });
}

test("data of a newer version are refused and left as they are", async () => {
  await withDataDir("0.1.0.db", async (dataDir) => {
    const path = join(dataDir, "sluice.db");
    {
      using database = new DatabaseSync(path);
      database.exec("INSERT INTO migrations (number, name, applied_at) VALUES (9000, 'from-the-future', 0)");
    }
    const before = readRows(path);
    await assert.rejects(
      openStore({ settings: parseSettings({}, { dataDir }), logger: silentLogger }),
      (error: unknown) => error instanceof DatabaseError && error.kind === "newer",
    );
    assert.deepEqual(readRows(path), before);
  });
});

/** Every table with every row. */
function readRows(path: string): unknown {
  using database = new DatabaseSync(path);
  const tables = database.prepare("SELECT name, sql FROM sqlite_schema ORDER BY name").all() as {
    name: string;
    sql: string | null;
  }[];
  return tables.map(({ name, sql }) => {
    if (!sql?.startsWith("CREATE TABLE")) return { name, sql };
    return { name, sql, rows: database.prepare(`SELECT * FROM "${name}"`).all() };
  });
}

async function withDataDir(name: string, use: (dataDir: string) => Promise<void>): Promise<void> {
  const dataDir = await mkdtemp(join(tmpdir(), "sluice-upgrade-"));
  try {
    await copyFile(join(folder, name), join(dataDir, "sluice.db"));
    await use(dataDir);
  } finally {
    await rm(dataDir, { recursive: true, force: true });
  }
}
