import assert from "node:assert/strict";
import { test } from "node:test";
import type { AccountId, KeyId } from "../../ids.ts";
import type { AttemptFailure, LeaseRef } from "../request-queue.ts";
import { createRequest, createResult, type QueueFixture } from "./queue-fixture.ts";
import { createQueueModel } from "./queue-model.ts";
import { createRandom } from "./random.ts";

const STEPS = 250;
const SEEDS = process.env["SLUICE_LONG"] === "1" ? 40 : 4;

/** Random histories, each step compared with a model of a few lines. */
export function testQueueAgainstModel(open: () => Promise<QueueFixture>): void {
  for (let seed = 1; seed <= SEEDS; seed++) {
    test(`a random history does what the model does (seed ${seed})`, async () => {
      await using fixture = await open();
      await runHistory(fixture, seed);
    });
  }
}

const ENDPOINTS = ["fal-ai/flux-pro", "fal-ai/flux-pro/v1.1", "fal-ai/flux/dev"];
const KINDS: AttemptFailure["kind"][] = ["connection_error", "server_error", "timeout", "setup_failed"];

async function runHistory(fixture: QueueFixture, seed: number): Promise<void> {
  const { queue, clock, limits } = fixture;
  const random = createRandom(seed);
  const pick = <T>(items: readonly T[]): T => items[Math.floor(random() * items.length)]!;
  const model = createQueueModel();
  limits.set("limited", { concurrency: 2 });
  const leases: LeaseRef[] = [];
  const leaseMs = 5_000;

  for (let step = 0; step < STEPS; step++) {
    const where = `seed ${seed}, step ${step}`;
    const now = clock.now();
    const dice = random();
    if (dice < 0.34) {
      const keyId = pick(["a", "b", "limited", null]);
      const request = createRequest(clock, {
        keyId: keyId as KeyId | null,
        accountId: pick(["x", "y"]) as AccountId,
        endpointId: pick(ENDPOINTS),
        priority: random() < 0.25 ? "low" : "normal",
        retry: { connectionError: 3, serverError: 2, timeout: 2 },
        ...(random() < 0.15 ? { startDeadlineAt: now + Math.floor(random() * 8_000) } : {}),
      });
      const outcome = await queue.enqueue(request);
      const position = model.enqueue(request, keyId === "limited" ? 2 : Number.POSITIVE_INFINITY, now);
      assert.deepEqual(outcome, { kind: "enqueued", position }, where);
    } else if (dice < 0.56) {
      const endpointIds = ENDPOINTS.filter(() => random() < 0.7);
      const expected = model.findNext(endpointIds, now);
      const leased = await queue.lease({ runnerId: "runner", endpointIds, leaseMs });
      assert.equal(leased?.requestId, expected?.id, where);
      if (leased !== undefined && expected !== undefined) {
        model.lease(expected, leased.token, leaseMs, now);
        assert.equal(leased.attempt, expected.attempts, where);
        leases.push(leased);
      }
    } else if (dice < 0.8 && leases.length > 0) {
      // Mostly a fresh lease, sometimes one that was lost long ago.
      const lease = random() < 0.7 ? leases.at(-1)! : pick(leases);
      const act = random();
      if (act < 0.2) {
        assert.equal(await queue.heartbeat(lease), model.heartbeat(lease, leaseMs, now), where);
      } else if (act < 0.55) {
        assert.equal(await queue.complete(lease, createResult()), model.complete(lease), where);
      } else if (act < 0.85) {
        const kind = pick(KINDS);
        const outcome = await queue.abandon(lease, { kind, message: kind });
        assert.equal(outcome, model.abandon(lease, kind, now), where);
      } else {
        assert.equal(await queue.release(lease), model.release(lease, now), where);
      }
    } else if (dice < 0.87 && model.requests.length > 0) {
      const { id } = pick(model.requests);
      assert.equal(await queue.cancel(id), model.cancel(id), where);
    } else if (dice < 0.9) {
      const endpointId = pick(ENDPOINTS);
      const isPaused = random() < 0.4;
      await (isPaused ? queue.pause(endpointId) : queue.resume(endpointId));
      model.setPaused(endpointId, isPaused);
    } else if (dice < 0.95) {
      const report = await queue.sweep();
      const expected = model.sweep(clock.now());
      assert.deepEqual([...report.expiredLeases].sort(), expected.leases.sort(), where);
      assert.deepEqual([...report.expiredStarts].sort(), expected.starts.sort(), where);
    } else {
      clock.advance(Math.floor(random() * 3_000));
    }
    if (step % 25 === 24) await compareAll(fixture, model, where);
  }
  await compareAll(fixture, model, `seed ${seed}, end`);
}

async function compareAll(
  { queue }: QueueFixture,
  model: ReturnType<typeof createQueueModel>,
  where: string,
): Promise<void> {
  for (const expected of model.requests) {
    const record = await queue.find(expected.id);
    assert.equal(record?.state, expected.state, where);
    assert.equal(record.attempts, expected.attempts, where);
    assert.equal(record.errorType, expected.errorType, where);
    assert.equal(await queue.getPosition(expected.id), model.getPosition(expected), where);
  }
}
