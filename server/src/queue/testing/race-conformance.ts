import assert from "node:assert/strict";
import { test } from "node:test";
import type { RequestId } from "../../ids.ts";
import type { Lease } from "../request-queue.ts";
import {
  createRequest,
  createResult,
  enqueue,
  key,
  lease,
  OFFER,
  type QueueFixture,
} from "./queue-fixture.ts";
import { createRandom } from "./random.ts";

/** What must hold when everything happens at once. */
export function testRaces(open: () => Promise<QueueFixture>): void {
  test("runners that lease at the same moment get different requests", async () => {
    await using fixture = await open();
    const ids = await Promise.all(
      Array.from({ length: 40 }, (_, i) => enqueue(fixture, key(`key-${i % 3}`))),
    );
    const leased: Lease[] = [];
    // On a database with several writers a lease may find every candidate taken: a runner asks again.
    for (let round = 0; round < 20 && leased.length < ids.length; round++) {
      const offers = Array.from({ length: 25 }, (_, i) =>
        fixture.queue.lease({ ...OFFER, runnerId: `r${i}` }),
      );
      for (const one of await Promise.all(offers)) if (one !== undefined) leased.push(one);
    }
    assert.deepEqual(leased.map((one) => one.requestId as string).sort(), [...ids].sort());
    assert.equal(new Set(leased.map((one) => one.token)).size, ids.length);
  });

  test("submits with one idempotency key at the same moment become one request", async () => {
    await using fixture = await open();
    const outcomes = await Promise.all(
      Array.from({ length: 20 }, () =>
        fixture.queue.enqueue(createRequest(fixture.clock, { idempotencyKey: "once" })),
      ),
    );
    assert.equal(outcomes.filter((outcome) => outcome.kind === "enqueued").length, 1);
    assert.equal(outcomes.filter((outcome) => outcome.kind === "replayed").length, 19);
  });

  test("of everything that would end a request only one does", async () => {
    await using fixture = await open();
    const { queue, clock } = fixture;
    for (let round = 0; round < 15; round++) {
      const id = await enqueue(fixture, { webhookUrl: "https://example.com/hook" });
      const leased = await lease(fixture);
      clock.advance(15_001);
      const [first, second, failed, , cancelled] = await Promise.all([
        queue.complete(leased, createResult({ body: Buffer.from("first") })),
        queue.complete(leased, createResult({ body: Buffer.from("second") })),
        queue.abandon(leased, { kind: "server_error", message: "crashed" }),
        queue.sweep(),
        queue.cancel(id),
      ]);
      const ends = [first, second].filter((outcome) => outcome === "completed").length;
      assert.ok(ends <= 1);
      let record = await queue.find(id);
      if (ends === 1) assert.equal(record?.state, "succeeded");
      if (record?.state === "queued" || record?.state === "running") {
        // The attempt was lost first; what is queued again can still be ended.
        assert.equal(ends, 0);
        assert.ok(failed === "requeued" || failed === "lost", failed);
        assert.notEqual(cancelled, "already_completed");
        await queue.cancel(id);
        record = await queue.find(id);
      }
      const rows = await fixture.database.read((tx) =>
        tx.all("SELECT request_id FROM deliveries WHERE request_id = $1", [id]),
      );
      assert.equal(rows.length, record?.endedAt === null ? 0 : 1);
      const events = await queue.listEvents(id);
      assert.equal(events.filter((event) => event.kind === "ended").length, record?.endedAt === null ? 0 : 1);
    }
  });

  test("a key's limit of running requests holds when many runners lease at once", async () => {
    await using fixture = await open();
    fixture.limits.set("two", { concurrency: 2 });
    for (let i = 0; i < 12; i++) await enqueue(fixture, key("two"));
    const leased: Lease[] = [];
    for (let round = 0; round < 5; round++) {
      const offers = Array.from({ length: 12 }, () => fixture.queue.lease(OFFER));
      for (const one of await Promise.all(offers)) if (one !== undefined) leased.push(one);
    }
    assert.equal(leased.length, 2);
  });

  test("under a storm of callers and runners every request ends once and positions stay true", async () => {
    await using fixture = await open();
    const { queue, clock } = fixture;
    const random = createRandom(11);
    const accepted = new Set<RequestId>();
    const completed = new Map<RequestId, string>();
    let isOver = false;
    const caller = async (name: number): Promise<void> => {
      for (let i = 0; i < 40; i++) {
        const id = await enqueue(fixture, {
          ...key(`key-${name}`),
          priority: random() < 0.2 ? "low" : "normal",
          ...(random() < 0.1 ? { startDeadlineAt: clock.now() + 5_000 } : {}),
        });
        accepted.add(id);
        if (random() < 0.15) await queue.cancel(id);
        if (random() < 0.3) await queue.getPosition(id);
      }
    };
    const runner = async (name: number): Promise<void> => {
      let isIdle = false;
      while (!(isOver && isIdle)) {
        const leased = await queue.lease({ ...OFFER, runnerId: `runner-${name}` });
        isIdle = leased === undefined;
        if (leased === undefined) {
          await new Promise((resolve) => setTimeout(resolve, 2));
          continue;
        }
        const fate = random();
        if (fate < 0.1) continue; // It dies.
        if (fate < 0.2) await queue.abandon(leased, { kind: "connection_error", message: "gone" });
        else if (fate < 0.3) await queue.release(leased);
        else if (
          (await queue.complete(leased, createResult({ body: Buffer.from(leased.token) }))) === "completed"
        ) {
          assert.equal(completed.has(leased.requestId), false, "completed twice");
          completed.set(leased.requestId, leased.token);
        }
      }
    };
    const housekeeper = async (): Promise<void> => {
      while (!isOver) {
        clock.advance(1_000);
        await queue.sweep();
        await new Promise((resolve) => setTimeout(resolve, 3));
      }
    };
    const background = [housekeeper(), runner(1), runner(2), runner(3)];
    await Promise.all([caller(1), caller(2), caller(3), caller(4)]);
    const pending = new Set(accepted);
    for (let i = 0; i < 2_000 && pending.size > 0; i++) {
      for (const id of pending) if ((await queue.find(id))?.endedAt !== null) pending.delete(id);
      await new Promise((resolve) => setTimeout(resolve, 10));
    }
    isOver = true;
    await Promise.all(background);
    assert.equal(accepted.size, 160);
    for (const id of accepted) {
      const record = await queue.find(id);
      assert.ok(record !== undefined && record.endedAt !== null, `${id} is ${record?.state}`);
      const result = await queue.readResult(id);
      if (completed.has(id)) {
        assert.equal(record.state, "succeeded");
        assert.equal(Buffer.from(result?.body ?? []).toString(), completed.get(id));
      } else {
        assert.ok([499, 503, 504].includes(result?.statusCode ?? 0), `${result?.statusCode}`);
      }
    }
    assert.deepEqual(await queue.getStats(), []);
  });
}
