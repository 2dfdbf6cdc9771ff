import assert from "node:assert/strict";
import { type ChildProcess, spawn } from "node:child_process";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { test } from "node:test";
import { fileURLToPath } from "node:url";
import { systemClock } from "../clock.ts";
import { openSqliteDatabase } from "../database/sqlite-database.ts";
import { openDiskBlobStore } from "../files/disk-blob-store.ts";
import type { RequestId } from "../ids.ts";
import { silentLogger } from "../logger.ts";
import { createRequestQueue } from "./create-request-queue.ts";
import { createRandom } from "./testing/random.ts";

const KILLS = process.env["SLUICE_LONG"] === "1" ? 120 : 10;
const CHILD = fileURLToPath(new URL("./testing/crash-child.ts", import.meta.url));

interface Told {
  readonly ready?: number;
  readonly fault?: string;
  readonly submitted?: RequestId;
  readonly cancelled?: RequestId;
  readonly completed?: RequestId;
  readonly token?: string;
  readonly attempt?: number;
  readonly outcome?: string;
}

test(`after ${KILLS} kills every answered submit ends once, with the bytes of the attempt that ended it`, async (t) => {
  const folder = await mkdtemp(join(tmpdir(), "sluice-crash-"));
  const random = createRandom(5);
  const told: Told[] = [];
  try {
    for (let kill = 0; kill < KILLS; kill++) {
      // The next process opens the folder right after the last was killed: its lock must be gone with it.
      await runAndKill(folder, 20 + random() * 300, told);
    }
    await checkEverything(folder, told);
    const submits = told.filter((line) => line.submitted !== undefined).length;
    t.diagnostic(
      `${submits} submits were answered, ${told.filter((line) => line.completed).length} completes`,
    );
    assert.ok(submits > KILLS * 3, `only ${submits} submits were answered`);
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
});

test("a second process on the same folder is refused while the first lives, and let in once it was killed", async () => {
  const folder = await mkdtemp(join(tmpdir(), "sluice-crash-"));
  const path = join(folder, "test.db");
  const open = () => openSqliteDatabase({ path, clock: systemClock, logger: silentLogger });
  const child = start(folder);
  try {
    await waitUntilReady(child, []);
    await assert.rejects(open(), { name: "DatabaseError", kind: "locked" });
    child.kill("SIGKILL");
    await new Promise((resolve) => child.once("exit", resolve));
    await using _database = await open();
  } finally {
    child.kill("SIGKILL");
    await rm(folder, { recursive: true, force: true });
  }
});

function start(folder: string): ChildProcess {
  return spawn(process.execPath, ["--disable-warning=ExperimentalWarning", CHILD, folder], {
    stdio: ["ignore", "pipe", "inherit"],
  });
}

/** Collects what the child tells; resolves when it works. */
function waitUntilReady(child: ChildProcess, told: Told[]): Promise<void> {
  return new Promise((resolve, reject) => {
    const timer = setTimeout(() => reject(new Error("The child did not start.")), 60_000);
    child.once("exit", (code, signal) => {
      clearTimeout(timer);
      reject(new Error(`The child ended by itself: ${code ?? signal}`));
    });
    if (child.stdout === null) throw new Error("The child has no stdout.");
    createInterface({ input: child.stdout }).on("line", (line) => {
      // A kill can cut the last line.
      if (!line.endsWith("}")) return;
      const parsed = JSON.parse(line) as Told;
      told.push(parsed);
      if (parsed.ready === undefined) return;
      clearTimeout(timer);
      resolve();
    });
  });
}

async function runAndKill(folder: string, ms: number, told: Told[]): Promise<void> {
  const child = start(folder);
  try {
    await waitUntilReady(child, told);
    await new Promise((resolve) => setTimeout(resolve, ms));
  } finally {
    const closed = new Promise((resolve) => child.once("close", resolve));
    child.kill("SIGKILL");
    await closed;
  }
}

/** Serves what is left, then compares every request with what was answered about it. */
async function checkEverything(folder: string, told: readonly Told[]): Promise<void> {
  await using database = await openSqliteDatabase({
    path: join(folder, "test.db"),
    clock: systemClock,
    logger: silentLogger,
  });
  const blobs = await openDiskBlobStore({ dir: join(folder, "blobs") });
  const queue = createRequestQueue({ database, blobs, clock: systemClock, logger: silentLogger });
  const tokens = new Map<string, string>();
  for (let isOver = false; !isOver; ) {
    await queue.sweep();
    const lease = await queue.lease({ runnerId: "last", endpointIds: ["fal-ai/flux-pro"], leaseMs: 60_000 });
    if (lease === undefined) {
      const stats = await queue.getStats();
      isOver = stats.every((entry) => entry.queued + entry.running === 0);
      await new Promise((resolve) => setTimeout(resolve, 20));
      continue;
    }
    tokens.set(lease.requestId, lease.token);
    const body = Buffer.from(lease.token);
    const result = { statusCode: 200, headers: {}, body, billableUnits: 0, inferenceSeconds: 0, fileIds: [] };
    assert.equal(await queue.complete(lease, { state: "succeeded", ...result }), "completed");
  }

  for (const line of told) {
    assert.equal(line.fault, undefined);
    if (line.completed === undefined || line.outcome !== "completed") continue;
    assert.equal(tokens.has(line.completed), false, `${line.completed} was completed twice`);
    tokens.set(line.completed, line.token ?? "");
    // The attempt that ended it was the last: nothing came after it, and it was not superseded.
    assert.equal((await queue.find(line.completed))?.attempts, line.attempt, line.completed);
  }
  const cancelled = new Set(
    told.filter((line) => line.outcome === "cancelled").map((line) => line.cancelled),
  );
  for (const { submitted: id } of told) {
    if (id === undefined) continue;
    const record = await queue.find(id);
    assert.ok(record !== undefined && record.endedAt !== null, `${id} was answered and is ${record?.state}`);
    const result = await queue.readResult(id);
    const events = await queue.listEvents(id);
    assert.equal(events.filter((event) => event.kind === "ended").length, 1, id);
    const owed = await database.read((tx) =>
      tx.all("SELECT state FROM deliveries WHERE request_id = $1 AND state = 'owed'", [id]),
    );
    assert.equal(owed.length, 1, `${id} owes ${owed.length} deliveries`);
    if (record.state === "succeeded") {
      const body = Buffer.from(result?.body ?? []).toString();
      const known = tokens.get(id);
      // A complete that was synced but not yet told has a token that only the bytes know.
      assert.match(body, /^([0-9a-f-]{36})\1*$/);
      if (known !== undefined) assert.equal(body.slice(0, 36), known, `${id} has another attempt's bytes`);
    } else {
      assert.equal(result?.statusCode, 499);
    }
    if (cancelled.has(id)) assert.equal(record.state, "cancelled");
  }
  const check = await database.read((tx) => tx.get<{ integrity_check: string }>("PRAGMA integrity_check"));
  assert.equal(check?.integrity_check, "ok");
}
