import { writeSync } from "node:fs";
import { join } from "node:path";
import { systemClock } from "../../clock.ts";
import { migrateDatabase } from "../../database/migrate-database.ts";
import { openSqliteDatabase } from "../../database/sqlite-database.ts";
import { openDiskBlobStore } from "../../files/disk-blob-store.ts";
import { type AccountId, createRequestId, type KeyId } from "../../ids.ts";
import { silentLogger } from "../../logger.ts";
import { createRequestQueue } from "../create-request-queue.ts";

/*
 * A process to be killed: callers submit, runners lease and complete, a housekeeper sweeps, until the end comes
 * from outside. What was answered is told on stdout, one line each, before anything else happens.
 */
const folder = process.argv[2] ?? "";
const database = await openSqliteDatabase({
  path: join(folder, "test.db"),
  clock: systemClock,
  logger: silentLogger,
  checkpointFrames: 200,
});
await migrateDatabase(database);
const blobs = await openDiskBlobStore({ dir: join(folder, "blobs") });
const queue = createRequestQueue({ database, blobs, clock: systemClock, logger: silentLogger });
const endpointId = "fal-ai/flux-pro";
const tell = (line: object): void => {
  writeSync(1, `${JSON.stringify(line)}\n`);
};
const pause = (ms: number): Promise<void> => new Promise((resolve) => setTimeout(resolve, ms));

async function submit(): Promise<never> {
  for (;;) {
    const id = createRequestId(Date.now());
    const isLarge = Math.random() < 0.1;
    await queue.enqueue({
      id,
      accountId: "account" as AccountId,
      keyId: `key-${Math.floor(Math.random() * 3)}` as KeyId,
      endpointId,
      app: endpointId,
      surface: "queue",
      input: Buffer.from(isLarge ? id.repeat(1_500) : id),
      priority: "normal",
      timeoutMs: 60_000,
      retry: { connectionError: 1_000, serverError: 3, timeout: 2 },
      webhookUrl: "https://example.com/hook",
      keepsPayloads: true,
      createdAt: Date.now(),
    });
    tell({ submitted: id });
    if (Math.random() < 0.05) tell({ cancelled: id, outcome: await queue.cancel(id) });
    await pause(Math.random() * 8);
  }
}

async function run(): Promise<never> {
  for (;;) {
    const lease = await queue.lease({
      runnerId: `runner-${process.pid}`,
      endpointIds: [endpointId],
      leaseMs: 150,
    });
    if (lease === undefined) {
      await pause(5);
      continue;
    }
    if (
      Buffer.from(lease.input ?? [])
        .toString()
        .slice(0, 36) !== lease.requestId
    ) {
      tell({ fault: `request ${lease.requestId} has another's input` });
    }
    // Some runners are slower than their lease.
    await pause(Math.random() < 0.1 ? 200 : Math.random() * 10);
    const text = lease.token.repeat(Math.random() < 0.1 ? 1_500 : 1);
    const outcome = await queue.complete(lease, {
      state: "succeeded",
      statusCode: 200,
      headers: { "content-type": "application/json" },
      body: Buffer.from(text),
      billableUnits: 1,
      inferenceSeconds: 0.01,
      fileIds: [],
    });
    tell({ completed: lease.requestId, token: lease.token, attempt: lease.attempt, outcome });
  }
}

async function sweep(): Promise<never> {
  for (;;) {
    await queue.sweep();
    await pause(40);
  }
}

tell({ ready: process.pid });
await Promise.all([submit(), submit(), submit(), submit(), run(), run(), run(), run(), sweep()]);
