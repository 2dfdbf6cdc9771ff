import assert from "node:assert/strict";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { DatabaseError } from "./database/database.ts";
import { startTestPostgres } from "./database/testing/start-postgres.ts";
import { silentLogger } from "./logger.ts";
import { parseSettings } from "./settings.ts";
import { openStore } from "./store.ts";
import { checkStore, fillStore } from "./testing/upgrade-content.ts";

test("SLUICE_DATABASE_URL puts the rows into PostgreSQL, where a second start finds them", {
  timeout: 120_000,
}, async () => {
  await using postgres = await startTestPostgres();
  await withFolder(async (dataDir) => {
    const settings = parseSettings({ SLUICE_DATABASE_URL: await postgres.createDatabase() }, { dataDir });
    {
      await using store = await openStore({ settings, logger: silentLogger });
      assert.equal(store.database.dialect, "postgres");
      await fillStore(store);
    }
    await using store = await openStore({ settings, logger: silentLogger });
    await checkStore(store);
  });
});

test("a PostgreSQL server that does not answer is named in the error", async () => {
  await withFolder(async (dataDir) => {
    const settings = parseSettings({ SLUICE_DATABASE_URL: "postgres://u:p@127.0.0.1:9/none" }, { dataDir });
    await assert.rejects(
      openStore({ settings, logger: silentLogger }),
      (error: unknown) => error instanceof DatabaseError && error.kind === "unreachable",
    );
  });
});

test("two stores cannot hold one data folder", async () => {
  await withFolder(async (dataDir) => {
    const settings = parseSettings({}, { dataDir });
    await using _store = await openStore({ settings, logger: silentLogger });
    await assert.rejects(
      openStore({ settings, logger: silentLogger }),
      (error: unknown) =>
        error instanceof DatabaseError && error.kind === "locked" && error.message.includes(dataDir),
    );
  });
});

test("a data folder that cannot be made is refused, and does not keep the start waiting", {
  skip: process.platform !== "linux" && "only Linux has a file system that takes no folders at hand",
  timeout: 10_000,
}, async () => {
  const settings = parseSettings({}, { dataDir: "/proc/sluice/data" });
  await assert.rejects(openStore({ settings, logger: silentLogger }), {
    kind: "read_only",
    message: /^No data can be kept: the folder \/proc\/sluice\/data cannot be made \(ENOENT.*--data\.$/,
  });
});

test("a data folder that is a file is refused with what to do", async () => {
  await withFolder(async (folder) => {
    const dataDir = join(folder, "file");
    await writeFile(dataDir, "");
    await assert.rejects(openStore({ settings: parseSettings({}, { dataDir }), logger: silentLogger }), {
      kind: "read_only",
      message: `No data can be kept: ${dataDir} is a file. Choose another folder with --data.`,
    });
  });
});

async function withFolder(use: (dataDir: string) => Promise<void>): Promise<void> {
  const dataDir = await mkdtemp(join(tmpdir(), "sluice-store-"));
  try {
    await use(dataDir);
  } finally {
    await rm(dataDir, { recursive: true, force: true });
  }
}
