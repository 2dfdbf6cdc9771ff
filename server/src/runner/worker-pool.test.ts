import assert from "node:assert/strict";
import { mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, it } from "node:test";
import { systemClock } from "../clock.ts";
import type { RequestId } from "../ids.ts";
import { type Logger, silentLogger } from "../logger.ts";
import { createWorkerEnvironment } from "./worker-environment.ts";
import { type PoolFile, type TakenWorker, WorkerPool } from "./worker-pool.ts";

let folder = "";
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), "sluice-pool-"));
});
afterEach(() => rm(folder, { recursive: true, force: true }));

describe("the worker pool", { timeout: 60_000 }, () => {
  it("keeps a worker warm for the next request of any of its endpoints", async () => {
    await using pool = createPool();
    const first = await take(pool, "shared-setup.mjs");
    assert.equal(first.isWarm, false);
    assert(first.loadMs > 0);
    first.release();
    const second = await take(pool, "shared-setup.mjs");
    assert.equal(second.isWarm, true);
    assert.equal(second.worker.pid, first.worker.pid);
    assert.equal(pool.list()[0]!.state, "busy");
    second.release();
    assert.deepEqual(
      pool.list().map(({ state, runs }) => ({ state, runs })),
      [{ state: "idle", runs: 2 }],
    );
  });

  it("gives two takers of the same moment two workers", async () => {
    await using pool = createPool();
    (await take(pool, "shared-setup.mjs")).release();
    const [first, second] = await Promise.all([
      take(pool, "shared-setup.mjs"),
      take(pool, "shared-setup.mjs"),
    ]);
    assert.notEqual(first.worker.pid, second.worker.pid);
  });

  it("releases a worker that was idle for long, with its teardown", async () => {
    await using pool = createPool();
    const taken = await take(pool, "shared-setup.mjs", { idleMs: 100 });
    taken.release();
    assert.deepEqual(await taken.worker.exited, { kind: "stopped" });
    assert.equal(pool.list().length, 0);
    assert.equal(await readFile(join(folder, "journal"), "utf8"), "setup\nteardown\n");
  });

  it("releases idle workers when memory is short, and never busy ones", async () => {
    let available = 10;
    await using pool = createPool({ readAvailableBytes: () => available });
    const idle = await take(pool, "shared-setup.mjs");
    idle.release();
    const busy = await take(pool, "misbehaving.mjs");
    available = 0;
    assert.deepEqual(await idle.worker.exited, { kind: "stopped" });
    await systemClock.sleep(2_500);
    assert.equal(busy.worker.isAlive, true);
  });

  it("lets two models alternate where only one fits: the idle one makes room, and the log says why", async () => {
    const released: string[] = [];
    const logger = { ...silentLogger, info: (_: unknown, line: string) => void released.push(line) };
    await using pool = createPool({ logger });
    for (const name of ["hungry.mjs", "hungry-too.mjs", "hungry.mjs", "hungry-too.mjs"]) {
      const taken = await take(pool, name);
      assert.equal(pool.list().length, 1);
      taken.release();
    }
    const lines = released.filter((line) => line.startsWith("Worker released"));
    assert.equal(lines.length, 3);
    assert.match(lines[0]!, /hungry-too\.mjs needs its memory: .*need about 6\.0 GiB, and 2\.0 GiB are free/);
    assert.match(lines[1]!, /hungry\.mjs needs its memory/);
  });

  it("refuses a model that does not fit beside one that is busy, with the figures", async () => {
    await using pool = createPool();
    const busy = await take(pool, "hungry.mjs");
    await assert.rejects(take(pool, "hungry-too.mjs"), {
      kind: "out_of_memory",
      message: /need about 6\.0 GiB, and 2\.0 GiB are free/,
    });
    assert.equal(busy.worker.isAlive, true);
  });

  it("finishes loading for the next request when the first one is cancelled meanwhile", async () => {
    await using pool = createPool({ settings: { setup_ms: "400" } });
    const controller = new AbortController();
    const cancelled = take(pool, "shared-setup.mjs", { signal: controller.signal });
    setTimeout(() => controller.abort("cancelled"), 100);
    await assert.rejects(cancelled, (reason) => reason === "cancelled");
    const pid = pool.list()[0]!.pid;
    const taken = await take(pool, "shared-setup.mjs");
    assert.equal(taken.worker.pid, pid);
    assert.equal(await readFile(join(folder, "journal"), "utf8"), "setup\n");
  });

  it("waits longer after each failed start, and forgets the failures once it works", async () => {
    await using pool = createPool();
    await assert.rejects(take(pool, "setup-fails.mjs"), { kind: "setup_failed" });
    const first = pool.getBackOff(fixture("setup-fails.mjs"));
    assert(first !== undefined && first.waitMs > 500 && first.waitMs <= 1_000);
    assert.match(first.message, /the weights are not there/);
    await assert.rejects(take(pool, "setup-fails.mjs"), { kind: "setup_failed" });
    assert(pool.getBackOff(fixture("setup-fails.mjs"))!.waitMs > 1_000);
    await writeFile(join(folder, "repaired"), "");
    (await take(pool, "setup-fails.mjs")).release();
    assert.equal(pool.getBackOff(fixture("setup-fails.mjs")), undefined);
  });

  it("forgets a worker that crashes and starts the next without delay the first time", async () => {
    await using pool = createPool();
    const taken = await take(pool, "misbehaving.mjs");
    process.kill(taken.worker.pid!, "SIGSEGV");
    await taken.worker.exited;
    taken.release();
    assert.equal(pool.list().length, 0);
    assert.equal(pool.getBackOff(fixture("misbehaving.mjs")), undefined);
    const next = await take(pool, "misbehaving.mjs");
    process.kill(next.worker.pid!, "SIGSEGV");
    await next.worker.exited;
    assert(pool.getBackOff(fixture("misbehaving.mjs"))!.waitMs > 0);
  });

  it("leaves no process behind when it is closed, even while one starts", async () => {
    const pool = createPool({ settings: { setup_ms: "5000" } });
    const starting = take(pool, "shared-setup.mjs");
    await systemClock.sleep(100);
    const pid = pool.list()[0]!.pid!;
    await Promise.all([assert.rejects(starting), pool[Symbol.asyncDispose]()]);
    assert.throws(() => process.kill(pid, 0), { code: "ESRCH" });
  });
});

function createPool(
  options: {
    readonly settings?: Readonly<Record<string, string>>;
    readonly readAvailableBytes?: () => number;
    readonly logger?: Logger;
  } = {},
): WorkerPool {
  return new WorkerPool({
    setup: { threads: 1, cacheDir: folder, settings: options.settings ?? {} },
    environment: createWorkerEnvironment(process.env),
    clock: systemClock,
    logger: options.logger ?? silentLogger,
    graceMs: 200,
    readAvailableBytes: options.readAvailableBytes ?? (() => Number.POSITIVE_INFINITY),
    minAvailableBytes: 1,
  });
}

function take(
  pool: WorkerPool,
  name: string,
  options: { readonly idleMs?: number; readonly signal?: AbortSignal } = {},
): Promise<TakenWorker> {
  const file: PoolFile = {
    path: fixture(name),
    limits: { setupTimeoutMs: 10_000, idleMs: options.idleMs ?? 60_000, memoryBytes: null },
  };
  const { signal = new AbortController().signal } = options;
  const request = { id: "01900000-0000-7000-8000-000000000001" as RequestId, endpointId: "test/pool" };
  return pool.take(file, { request, signal, log() {} });
}

function fixture(name: string): string {
  return join(import.meta.dirname, "fixtures", name);
}
