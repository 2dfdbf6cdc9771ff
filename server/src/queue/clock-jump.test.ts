import assert from "node:assert/strict";
import { test } from "node:test";
import { createManualClock } from "./testing/manual-clock.ts";
import { openSqliteQueue } from "./testing/open-sqlite-queue.ts";
import { createResult, enqueue, lease, OFFER, RETENTION_MS } from "./testing/queue-fixture.ts";

const HOUR_MS = 3_600_000;

for (const [name, jump] of [
  ["forward", HOUR_MS],
  ["back", -HOUR_MS],
] as const) {
  test(`a system clock that is set ${name} takes no lease away and keeps none for ever`, async () => {
    await using fixture = await openSqliteQueue(createManualClock());
    const { queue, clock } = fixture;
    await enqueue(fixture);
    const held = await lease(fixture);
    const lost = await enqueue(fixture);
    await lease(fixture);
    clock.setForward(jump);
    clock.advance(10_000);
    assert.deepEqual((await queue.sweep()).expiredLeases, []);
    assert.equal(await queue.heartbeat(held), "renewed");
    clock.advance(6_000);
    assert.deepEqual((await queue.sweep()).expiredLeases, [lost]);
    assert.equal(await queue.complete(held, createResult()), "completed");
  });

  test(`start deadlines and back-offs keep their distance when the clock is set ${name}`, async () => {
    await using fixture = await openSqliteQueue(createManualClock());
    const { queue, clock } = fixture;
    const failing = await enqueue(fixture);
    await queue.abandon(await lease(fixture), { kind: "server_error", message: "crashed" });
    const impatient = await enqueue(fixture, {
      startDeadlineAt: clock.now() + 5_000,
      endpointId: "fal-ai/other",
    });
    clock.setForward(jump);
    clock.advance(400);
    assert.equal(await queue.lease(OFFER), undefined);
    assert.deepEqual((await queue.sweep()).expiredStarts, []);
    clock.advance(200);
    assert.equal((await lease(fixture)).requestId, failing);
    clock.advance(4_400);
    assert.deepEqual((await queue.sweep()).expiredStarts, [impatient]);
  });
}

test("a system clock that is set far ahead does not use up the retention of results", async () => {
  await using fixture = await openSqliteQueue(createManualClock());
  const { queue, clock } = fixture;
  const id = await enqueue(fixture);
  await queue.complete(await lease(fixture), createResult());
  clock.setForward(10 * RETENTION_MS);
  assert.equal((await queue.sweep()).removed, 0);
  assert.equal((await queue.find(id))?.state, "succeeded");
});
