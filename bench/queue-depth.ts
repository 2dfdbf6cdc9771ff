/**
 * Does a long queue cost more than a short one? Submit, lease, complete, status and position are measured with 100
 * and with 1,000,000 requests queued, and the memory of a process that serves the long one.
 *
 *     node bench/queue-depth.ts [--depth 1000000] [--rounds 30]
 */
import { execFile } from "node:child_process";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { parseArgs, promisify } from "node:util";
import { systemClock } from "../server/src/clock.ts";
import type { Database } from "../server/src/database/database.ts";
import { migrateDatabase } from "../server/src/database/migrate-database.ts";
import { openSqliteDatabase } from "../server/src/database/sqlite-database.ts";
import { openDiskBlobStore } from "../server/src/files/disk-blob-store.ts";
import { type AccountId, createRequestId, type KeyId, type RequestId } from "../server/src/ids.ts";
import { silentLogger } from "../server/src/logger.ts";
import { createRequestQueue } from "../server/src/queue/create-request-queue.ts";
import type { Lease } from "../server/src/queue/request-queue.ts";
import { type Figure, printConditions, printFigures, printHeader } from "./measuring/report.ts";
import { getSpread } from "./measuring/statistics.ts";

const SHALLOW = 100;
/** Operations started together, as by so many callers. */
const BATCH = 50;
const KEYS = 20;

const { values } = parseArgs({
  options: {
    depth: { type: "string", default: "1000000" },
    rounds: { type: "string", default: "30" },
    /** Used by the program itself: the process that measures or fills this folder. */
    measure: { type: "string" },
    fill: { type: "string" },
    endpoint: { type: "string", default: "fal-ai/flux-pro" },
  },
});
const depth = Number(values.depth);
const ENDPOINT = values.endpoint;
const rounds = Number(values.rounds);

type Figures = Record<
  "submit" | "lease" | "complete" | "status" | "position" | "stats" | "page",
  number[]
> & {
  rss: number[];
  idleRss: number[];
};

if (values.fill !== undefined) await fill(values.fill, depth);
else if (values.measure !== undefined) console.log(JSON.stringify(await measure(values.measure)));
else await compare();

async function compare(): Promise<void> {
  printHeader("The operations of the queue with a short and a long line");
  const folder = await mkdtemp(join(tmpdir(), "sluice-bench-"));
  try {
    const figures: Figures[] = [];
    for (const [name, queued] of [
      ["shallow", SHALLOW],
      ["deep", depth],
    ] as const) {
      await runSelf(["--fill", join(folder, name), "--depth", String(queued)]);
    }
    for (const name of ["shallow", "deep"]) {
      const output = await runSelf(["--measure", join(folder, name), "--rounds", String(rounds)]);
      figures.push(JSON.parse(output) as Figures);
    }
    const [shallow, deep] = figures as [Figures, Figures];
    printConditions(`${rounds} rounds of ${BATCH}, CPU per operation`);
    const rows: Figure[] = [];
    for (const name of ["submit", "lease", "complete", "status", "position"] as const) {
      const [few, many] = [getSpread(shallow[name]), getSpread(deep[name])];
      rows.push({ name: `${name}, ${SHALLOW} queued`, unit: "µs", ...few });
      rows.push({ name: `${name}, ${depth} queued`, unit: "µs", ...many });
      rows.push({
        name: `${name}, ratio of the medians`,
        unit: "×",
        ...getSpread([many.median / few.median]),
      });
    }
    rows.push({ name: `stats, ${depth} queued`, unit: "ms", ...getSpread(deep.stats) });
    rows.push({ name: `page of history, ${depth} rows`, unit: "ms", ...getSpread(deep.page) });
    rows.push({ name: "resident memory before", unit: "MiB", ...getSpread(deep.idleRss) });
    rows.push({ name: `resident memory with ${depth} queued`, unit: "MiB", ...getSpread(deep.rss) });
    printFigures(rows);
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
}

async function runSelf(args: readonly string[]): Promise<string> {
  const { stdout } = await promisify(execFile)(
    process.execPath,
    ["--disable-warning=ExperimentalWarning", fileURLToPath(import.meta.url), ...args],
    { maxBuffer: 2 ** 24 },
  );
  return stdout;
}

async function open(folder: string): Promise<Database> {
  const database = await openSqliteDatabase({
    path: join(folder, "queue.db"),
    clock: systemClock,
    logger: silentLogger,
  });
  await migrateDatabase(database);
  return database;
}

/** Rows as submits leave them, written by SQLite itself. */
async function fill(folder: string, count: number): Promise<void> {
  await using database = await open(folder);
  const now = Date.now() - count;
  for (let start = 0; start < count; start += 20_000) {
    const end = Math.min(count, start + 20_000) - 1;
    await database.transaction(async (tx) => {
      await tx.run(
        `WITH RECURSIVE row (n) AS (SELECT CAST($1 AS INTEGER) UNION ALL SELECT n + 1 FROM row WHERE n < $2)
         INSERT INTO requests (number, id, account_id, key_id, fair_key, endpoint_id, app, surface, state, priority,
           fair_rank, created_at, available_at, timeout_ms, keeps_payloads, has_webhook, is_counted,
           connection_attempts, server_attempts, timeout_attempts)
         SELECT n + 1, printf('%08x-%04x-7%03x-8000-%012x', (CAST($3 AS INTEGER) + n) / 65536, (CAST($3 AS INTEGER) + n) % 65536, n % 4096, n),
           'account', 'key-' || (n % ${KEYS}), 'key-' || (n % ${KEYS}), '${ENDPOINT}', '${ENDPOINT}', 'queue',
           'queued', 0, n / ${KEYS} + 1, $3 + n, $3 + n, 60000, 1, 0, 0, 10, 3, 2 FROM row`,
        [start, end, now],
      );
      await tx.run(
        `WITH RECURSIVE row (n) AS (SELECT CAST($1 AS INTEGER) UNION ALL SELECT n + 1 FROM row WHERE n < $2)
         INSERT INTO payloads (request_number, has_input, input)
         SELECT n + 1, 1, CAST('{"prompt":"a lighthouse at dusk, long exposure","seed":' || n || '}' AS BLOB) FROM row`,
        [start, end],
      );
    });
  }
}

async function measure(folder: string): Promise<Figures> {
  await using database = await open(folder);
  const blobs = await openDiskBlobStore({ dir: join(folder, "blobs") });
  const queue = createRequestQueue({ database, blobs, clock: systemClock, logger: silentLogger });
  const queued = await database.read((tx) =>
    tx.all<{ id: RequestId }>(
      "SELECT id FROM requests WHERE number % (SELECT count(*) / 100 + 1 FROM requests) = 0",
    ),
  );
  const sample = queued.map((row) => row.id);
  const figures: Figures = {
    submit: [],
    lease: [],
    complete: [],
    status: [],
    position: [],
    stats: [],
    page: [],
    rss: [],
    idleRss: [process.memoryUsage.rss() / 2 ** 20],
  };

  async function timeBatch<T>(
    name: "submit" | "lease" | "complete" | "status" | "position",
    run: (i: number) => Promise<T>,
  ): Promise<T[]> {
    const before = process.cpuUsage();
    const results = await Promise.all(Array.from({ length: BATCH }, (_, i) => run(i)));
    const { user, system } = process.cpuUsage(before);
    figures[name].push((user + system) / BATCH);
    return results;
  }

  for (let round = 0; round < rounds + 3; round++) {
    // The first rounds only warm up.
    if (round === 3)
      for (const name of ["submit", "lease", "complete", "status", "position"] as const) figures[name] = [];
    await timeBatch("submit", (i) =>
      queue.enqueue({
        id: createRequestId(Date.now()),
        accountId: "account" as AccountId,
        keyId: `key-${i % KEYS}` as KeyId,
        endpointId: ENDPOINT,
        app: ENDPOINT,
        surface: "queue",
        input: Buffer.from('{"prompt":"a lighthouse at dusk, long exposure"}'),
        priority: "normal",
        timeoutMs: 60_000,
        retry: { connectionError: 10, serverError: 3, timeout: 2 },
        keepsPayloads: true,
        createdAt: Date.now(),
      }),
    );
    const leases = await timeBatch("lease", () =>
      queue.lease({ runnerId: "runner", endpointIds: [ENDPOINT], leaseMs: 60_000 }),
    );
    await timeBatch("complete", (i) =>
      queue.complete(leases[i] as Lease, {
        state: "succeeded",
        statusCode: 200,
        headers: {},
        body: Buffer.from("{}"),
        billableUnits: 1,
        inferenceSeconds: 0.1,
        fileIds: [],
      }),
    );
    const pick = (i: number): RequestId => sample[(round * BATCH + i * 7) % sample.length] as RequestId;
    await timeBatch("status", (i) => queue.findOutline(pick(i)));
    await timeBatch("position", (i) => queue.getPosition(pick(i)));
  }
  for (let round = 0; round < 5; round++) {
    let startedAt = performance.now();
    await queue.getStats();
    figures.stats.push(performance.now() - startedAt);
    for (const filter of [
      {},
      { states: ["succeeded" as const] },
      { keyId: "key-3" as KeyId, endpointIds: [ENDPOINT] },
      { outcome: "error" as const },
      { sortBy: "duration" as const },
    ]) {
      startedAt = performance.now();
      await queue.listRequests({ ...filter, limit: 50 });
      figures.page.push(performance.now() - startedAt);
    }
  }
  figures.rss.push(process.memoryUsage.rss() / 2 ** 20);
  return figures;
}
