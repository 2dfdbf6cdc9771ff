/**
 * How many durable lifecycles does the queue do in a second, and how far is that from the least possible?
 *
 * A lifecycle is submit, lease, complete, status and result; the model does nothing. Rounds of the queue and of
 * `baseline.ts` alternate in one process, so that both see the same machine.
 *
 *     node bench/queue-lifecycles.ts [--rounds 7] [--requests 4000] [--callers 64]
 */
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { systemClock } from "../server/src/clock.ts";
import { migrateDatabase } from "../server/src/database/migrate-database.ts";
import { openSqliteDatabase } from "../server/src/database/sqlite-database.ts";
import { openDiskBlobStore } from "../server/src/files/disk-blob-store.ts";
import { type AccountId, createRequestId, type KeyId } from "../server/src/ids.ts";
import { silentLogger } from "../server/src/logger.ts";
import { createRequestQueue } from "../server/src/queue/create-request-queue.ts";
import { openBaselineQueue } from "./baseline.ts";
import { readNumbers } from "./measuring/read-numbers.ts";
import { printConditions, printFigures, printHeader } from "./measuring/report.ts";
import { getSpread } from "./measuring/statistics.ts";

const { rounds, requests, callers } = readNumbers({ rounds: 7, requests: 4_000, callers: 64 });

const INPUT = Buffer.from(
  '{"prompt":"a lighthouse at dusk, long exposure","seed":7,"image_size":"square_hd"}',
);
const RESULT = Buffer.from(
  '{"images":[{"url":"http://127.0.0.1:7777/files/b/0a1b2c3d/abcdefghijklmnopqrstu_0.jpg","width":1024,"height":1024,"content_type":"image/jpeg"}],"seed":7}',
);

printHeader("Durable lifecycles of the queue alone, without HTTP");
const rates = { baseline: [] as number[], queue: [] as number[] };
const cpu = { baseline: [] as number[], queue: [] as number[] };
for (let round = 0; round < rounds + 1; round++) {
  for (const [name, open] of [
    ["baseline", openBaseline],
    ["queue", openQueue],
  ] as const) {
    const folder = await mkdtemp(join(tmpdir(), "sluice-bench-"));
    try {
      const { lifecycle, close } = await open(folder);
      const startedAt = performance.now();
      const used = process.cpuUsage();
      let next = 0;
      await Promise.all(
        Array.from({ length: callers }, async () => {
          while (next++ < requests) await lifecycle();
        }),
      );
      const seconds = (performance.now() - startedAt) / 1_000;
      const { user, system } = process.cpuUsage(used);
      await close();
      // The first round only warms up.
      if (round === 0) continue;
      rates[name].push(requests / seconds);
      cpu[name].push((user + system) / requests);
    } finally {
      await rm(folder, { recursive: true, force: true });
    }
  }
}

printConditions(`${rounds} rounds of ${requests} lifecycles, ${callers} callers`);
const ratios = rates.queue.map((rate, index) => rate / rates.baseline[index]!);
printFigures([
  { name: "baseline: rate", unit: "lifecycles/s", ...getSpread(rates.baseline) },
  { name: "queue: rate", unit: "lifecycles/s", ...getSpread(rates.queue) },
  { name: "baseline: CPU", unit: "µs/lifecycle", ...getSpread(cpu.baseline) },
  { name: "queue: CPU", unit: "µs/lifecycle", ...getSpread(cpu.queue) },
  { name: "queue / baseline", unit: "×", ...getSpread(ratios) },
]);

interface Subject {
  readonly lifecycle: () => Promise<void>;
  readonly close: () => Promise<void>;
}

async function openBaseline(folder: string): Promise<Subject> {
  const queue = await openBaselineQueue(join(folder, "baseline.db"));
  return {
    async lifecycle() {
      const id = await queue.submit(INPUT);
      const leased = await queue.lease();
      if (leased === undefined) throw new Error("nothing to lease");
      await queue.complete(leased.id, RESULT);
      await queue.findState(id);
      await queue.readResult(id);
    },
    close: async () => queue[Symbol.asyncDispose](),
  };
}

async function openQueue(folder: string): Promise<Subject> {
  const database = await openSqliteDatabase({
    path: join(folder, "queue.db"),
    clock: systemClock,
    logger: silentLogger,
  });
  await migrateDatabase(database);
  const blobs = await openDiskBlobStore({ dir: join(folder, "blobs") });
  const queue = createRequestQueue({ database, blobs, clock: systemClock, logger: silentLogger });
  const endpointId = "fal-ai/flux-pro";
  const offer = { runnerId: "runner", endpointIds: [endpointId], leaseMs: 15_000 };
  const request = {
    accountId: "account" as AccountId,
    keyId: "key" as KeyId,
    endpointId,
    app: endpointId,
    surface: "queue" as const,
    input: INPUT,
    priority: "normal" as const,
    timeoutMs: 60_000,
    retry: { connectionError: 10, serverError: 3, timeout: 2 },
    keepsPayloads: true,
  };
  return {
    async lifecycle() {
      const id = createRequestId(Date.now());
      await queue.enqueue({ ...request, id, createdAt: Date.now() });
      const leased = await queue.lease(offer);
      if (leased === undefined) throw new Error("nothing to lease");
      await queue.complete(leased, {
        state: "succeeded",
        statusCode: 200,
        headers: { "content-type": "application/json" },
        body: RESULT,
        billableUnits: 1,
        inferenceSeconds: 0.001,
        fileIds: [],
      });
      await queue.findOutline(id);
      await queue.readResult(id);
    },
    close: async () => database[Symbol.asyncDispose](),
  };
}
