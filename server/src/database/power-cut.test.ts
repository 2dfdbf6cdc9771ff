import assert from "node:assert/strict";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { systemClock } from "../clock.ts";
import { silentLogger } from "../logger.ts";
import { createRandom } from "../queue/testing/random.ts";
import type { Database } from "./database.ts";
import { openSqliteDatabase } from "./sqlite-database.ts";
import { createUnreliableDisk, type UnreliableDiskOptions } from "./testing/unreliable-disk.ts";

const isLong = process.env["SLUICE_LONG"] === "1";

test("after a power cut everything that was answered is there, whatever else reached the disk", async () => {
  const report = await runWithCuts({}, { cuts: isLong ? 600 : 60, seed: 1 });
  assert.ok(report.checkpointCuts > 10, `${report.checkpointCuts} cuts fell into a checkpoint`);
  assert.deepEqual(report.losses, []);
});

test("the power-cut test notices a log that is not synced", async () => {
  const report = await runWithCuts({ syncsLog: false }, { cuts: 15, seed: 2 });
  assert.ok(report.losses.length > 0);
});

test("the power-cut test notices a database file that is not synced before the log starts over", async () => {
  const report = await runWithCuts({ syncsDatabase: false }, { cuts: 40, seed: 3 });
  assert.ok(report.losses.length > 0);
});

interface Report {
  /** What an image lacked or had in halves. */
  readonly losses: string[];
  checkpointCuts: number;
}

/**
 * Writes pairs of rows under load, with a checkpoint every few dozen commits, and cuts the power again and again:
 * in the middle of commits, of syncs and of each step of a checkpoint.
 */
async function runWithCuts(
  faults: Pick<UnreliableDiskOptions, "syncsLog" | "syncsDatabase">,
  { cuts, seed }: { readonly cuts: number; readonly seed: number },
): Promise<Report> {
  const folder = await mkdtemp(join(tmpdir(), "sluice-power-cut-"));
  try {
    const path = join(folder, "test.db");
    await createTables(path);
    const random = createRandom(seed);
    const answered = new Set<number>();
    const report: Report = { losses: [], checkpointCuts: 0 };
    let done = 0;

    const cut = async (): Promise<void> => {
      if (done >= cuts) return;
      const name = `cut-${done++}`;
      // What was answered before the cut must be there; what is answered while the image is made, may be.
      const expected = new Set(answered);
      const share = [0, 1, 0.5, random()][done % 4] as number;
      const image = await disk.cut(join(folder, name), () => random() < share);
      const loss = await checkImage(image, expected);
      if (loss !== undefined) report.losses.push(`${name}: ${loss}`);
      await rm(join(folder, name), { recursive: true });
    };
    const disk = await createUnreliableDisk({
      path,
      ...faults,
      async onCheckpoint() {
        report.checkpointCuts++;
        await cut();
      },
    });
    await using database = await open(path, { ...disk.options, checkpointFrames: 48 });
    let next = 0;
    const writers = Array.from({ length: 4 }, async () => {
      while (done < cuts) {
        const id = next++;
        const text = `${id} `.repeat(1 + Math.floor(random() * 900));
        await database.transaction(async (tx) => {
          await tx.run("INSERT INTO left_half VALUES ($1, $2)", [id, text]);
          await tx.run("INSERT INTO right_half VALUES ($1, $2)", [id, text]);
          await tx.run("UPDATE total SET pairs = pairs + 1");
        });
        answered.add(id);
        if (random() < 0.05) await cut();
      }
    });
    await Promise.all(writers);
    return report;
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
}

function open(path: string, options: object = {}): Promise<Database> {
  return openSqliteDatabase({ path, clock: systemClock, logger: silentLogger, ...options });
}

async function createTables(path: string): Promise<void> {
  await using database = await open(path);
  await database.transaction(async (tx) => {
    await tx.run("CREATE TABLE left_half (id INTEGER PRIMARY KEY, text TEXT)");
    await tx.run("CREATE TABLE right_half (id INTEGER PRIMARY KEY, text TEXT)");
    await tx.run("CREATE TABLE total (pairs INTEGER)");
    await tx.run("INSERT INTO total VALUES (0)");
  });
}

/** What is wrong with an image; undefined when nothing is. */
async function checkImage(image: string, expected: ReadonlySet<number>): Promise<string | undefined> {
  try {
    await using database = await open(image);
    return await database.read(async (tx) => {
      const check = await tx.get<{ integrity_check: string }>("PRAGMA integrity_check");
      if (check?.integrity_check !== "ok") return check?.integrity_check;
      const left = await tx.all<{ id: number; text: string }>("SELECT id, text FROM left_half ORDER BY id");
      const right = await tx.all<{ id: number; text: string }>("SELECT id, text FROM right_half ORDER BY id");
      const total = await tx.get<{ pairs: number }>("SELECT pairs FROM total");
      if (JSON.stringify(left) !== JSON.stringify(right)) return "a transaction is there by half";
      if (total?.pairs !== left.length) return `${total?.pairs} pairs counted, ${left.length} found`;
      const found = new Set(left.map((row) => row.id));
      const missing = [...expected].filter((id) => !found.has(id));
      return missing.length === 0 ? undefined : `${missing.length} of ${expected.size} answered are missing`;
    });
  } catch (error) {
    return String(error);
  }
}
