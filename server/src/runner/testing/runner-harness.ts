import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { formatApp, parseEndpointId } from "@sluice/protocol";
import type { Catalog } from "../../catalog/catalog.ts";
import { createCatalog } from "../../catalog/create-catalog.ts";
import { systemClock } from "../../clock.ts";
import { migrateDatabase } from "../../database/migrate-database.ts";
import { openSqliteDatabase } from "../../database/sqlite-database.ts";
import { createFileStore } from "../../files/create-file-store.ts";
import { openDiskBlobStore } from "../../files/disk-blob-store.ts";
import { resolveFileLinks } from "../../files/file-links.ts";
import type { FileStore } from "../../files/file-store.ts";
import { type AccountId, createRequestId, type RequestId } from "../../ids.ts";
import { createLive } from "../../live/create-live.ts";
import type { Live, Update } from "../../live/live.ts";
import { type Logger, silentLogger } from "../../logger.ts";
import { silentMetrics } from "../../metrics/metrics.ts";
import { createRequestQueue } from "../../queue/create-request-queue.ts";
import type { NewRequest, RequestQueue, RequestRecord } from "../../queue/request-queue.ts";
import { describeModelFiles } from "../describe-model-files.ts";
import type { ReadInputFile } from "../execute-request.ts";
import { type Runner, startRunner } from "../runner.ts";
import { createWorkerEnvironment } from "../worker-environment.ts";

/** A runner with a real database, queue, file store and workers, in a temporary folder. */
export interface RunnerHarness extends AsyncDisposable {
  readonly dir: string;
  readonly runner: Runner;
  readonly queue: RequestQueue;
  readonly files: FileStore;
  readonly live: Live;
  readonly catalog: Catalog;
  /** Everything that was published so far. */
  readonly updates: readonly Update[];
  /** What was logged as `warn` and `error`. */
  readonly complaints: readonly {
    readonly level: string;
    readonly fields: object;
    readonly message: string;
  }[];
  /** A request that is not submitted yet. */
  createRequest(endpointId: string, input?: unknown, fields?: Partial<NewRequest>): NewRequest;
  submit(endpointId: string, input?: unknown, fields?: Partial<NewRequest>): Promise<RequestId>;
  cancel(requestId: RequestId): Promise<void>;
  /** Waits until the request is in a terminal state, or in the given one. */
  waitFor(requestId: RequestId, state?: string): Promise<RequestRecord>;
  waitForUpdate(matches: (update: Update) => boolean): Promise<void>;
  /** Looks after every update and every 100 ms. */
  waitUntil(isTrue: () => boolean | Promise<boolean>): Promise<void>;
  readResult(
    requestId: RequestId,
  ): Promise<{ status: number; headers: Readonly<Record<string, string>>; body: unknown }>;
}

export interface HarnessOptions {
  readonly settings?: {
    readonly drainMs?: number;
    readonly leaseMs?: number;
    readonly model?: Record<string, string>;
  };
  readonly readInputFile?: ReadInputFile;
  /** Stands between the runner and the queue, to let writes fail. */
  readonly wrapQueue?: (queue: RequestQueue) => RequestQueue;
}

const WAIT_MS = 20_000;
const accountId = "11111111-1111-4111-8111-111111111111" as AccountId;

/** @param modelFiles absolute paths */
export async function startRunnerHarness(
  modelFiles: readonly string[],
  options: HarnessOptions = {},
): Promise<RunnerHarness> {
  const clock = systemClock;
  const dir = await mkdtemp(join(tmpdir(), "sluice-runner-"));
  const database = await openSqliteDatabase({ path: join(dir, "sluice.db"), clock, logger: silentLogger });
  await migrateDatabase(database);
  const blobs = await openDiskBlobStore({ dir: join(dir, "blobs") });
  const files = createFileStore({ database, blobs, clock, logger: silentLogger });
  const live = createLive();
  const queue = createRequestQueue({ database, blobs, clock, logger: silentLogger });
  const environment = createWorkerEnvironment(process.env);
  const manifests = await describeModelFiles(modelFiles, { environment });
  const catalog = createCatalog(
    manifests.map((manifest, index) => ({ path: modelFiles[index] ?? "", manifest, updatedAt: 0 })),
  );
  const updates: Update[] = [];
  const listeners = new Set<() => void>();
  live.subscribeAll((update) => {
    updates.push(update);
    for (const listener of [...listeners]) listener();
  });
  const complaints: { level: string; fields: object; message: string }[] = [];
  const complain =
    (level: string): Logger["warn"] =>
    (fields, message = "") =>
      complaints.push({ level, fields, message });
  const runner = await startRunner({
    metrics: silentMetrics,
    queue: options.wrapQueue?.(queue) ?? queue,
    live,
    catalog,
    files,
    readInputFile: options.readInputFile ?? (() => Promise.reject(new Error("no files here"))),
    clock,
    logger: { ...silentLogger, warn: complain("warn"), error: complain("error") },
    settings: {
      leaseMs: options.settings?.leaseMs ?? 1_500,
      threads: 1,
      fileRetentionMs: null,
      drainMs: options.settings?.drainMs ?? 5_000,
      modelSettings: options.settings?.model ?? {},
    },
    runnerId: "test-runner",
    cacheDir: join(dir, "cache"),
    environment: process.env,
    graceMs: 300,
  });

  const createRequest: RunnerHarness["createRequest"] = (endpointId, input = {}, fields = {}) => {
    const id = parseEndpointId(endpointId);
    if (id === undefined) throw new Error(`${endpointId} is not an endpoint id`);
    return {
      id: createRequestId(clock.now()),
      accountId,
      keyId: null,
      endpointId,
      app: formatApp(id),
      surface: "queue",
      input: Buffer.from(JSON.stringify(input)),
      priority: "normal",
      timeoutMs: 20_000,
      retry: { connectionError: 1, serverError: 1, timeout: 1 },
      keepsPayloads: true,
      createdAt: clock.now(),
      ...fields,
    };
  };
  const waitUntil = async (isTrue: () => boolean | Promise<boolean>): Promise<void> => {
    const deadline = clock.monotonic() + WAIT_MS;
    while (!(await isTrue())) {
      if (clock.monotonic() > deadline) throw new Error("It did not happen in time.");
      await new Promise<void>((resolve) => {
        const done = (): void => {
          clearTimeout(timer);
          listeners.delete(done);
          resolve();
        };
        const timer = setTimeout(done, 100);
        listeners.add(done);
      });
    }
  };

  return {
    dir,
    runner,
    queue,
    files,
    live,
    catalog,
    updates,
    complaints,
    createRequest,
    async submit(endpointId, input, fields) {
      const request = createRequest(endpointId, input, fields);
      await queue.enqueue(request);
      live.wake(endpointId);
      return request.id;
    },
    async cancel(requestId) {
      await queue.cancel(requestId);
      live.requestCancel(requestId);
    },
    async waitFor(requestId, state) {
      let record: RequestRecord | undefined;
      await waitUntil(async () => {
        record = await queue.find(requestId);
        return state === undefined ? record?.endedAt != null : record?.state === state;
      });
      if (record === undefined) throw new Error(`there is no request ${requestId}`);
      return record;
    },
    waitUntil,
    waitForUpdate: (matches) => waitUntil(() => updates.some(matches)),
    async readResult(requestId) {
      const result = await queue.readResult(requestId);
      if (result === undefined) throw new Error(`${requestId} has no result`);
      const body = resolveFileLinks(result.body, "http://files.test");
      return {
        status: result.statusCode,
        headers: result.headers,
        body: JSON.parse(Buffer.from(body).toString()),
      };
    },
    async [Symbol.asyncDispose]() {
      await runner[Symbol.asyncDispose]();
      await database[Symbol.asyncDispose]();
      await rm(dir, { recursive: true, force: true });
    },
  };
}
