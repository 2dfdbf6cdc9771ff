import assert from "node:assert/strict";
import { test } from "node:test";
import type { RequestId } from "../../ids.ts";
import {
  createResult,
  drain,
  ENDPOINT,
  enqueue,
  key,
  lease,
  OFFER,
  type QueueFixture,
} from "./queue-fixture.ts";

/** Whose turn it is, and what is said about it. */
export function testFairness(open: () => Promise<QueueFixture>): void {
  test("requests of one key are leased in the order of their arrival", async () => {
    await using fixture = await open();
    const ids: RequestId[] = [];
    for (let i = 0; i < 10; i++) ids.push(await enqueue(fixture));
    assert.deepEqual(await drain(fixture), ids);
  });

  test("a key with many queued requests does not delay another key's first", async () => {
    await using fixture = await open();
    for (let i = 0; i < 200; i++) await enqueue(fixture, key("many"));
    const first = await enqueue(fixture, key("single"));
    assert.equal(await fixture.queue.getPosition(first), 1);
    const order = await drain(fixture);
    assert.equal(order.indexOf(first), 1);
  });

  test("keys take turns, also those that come while others are being served", async () => {
    await using fixture = await open();
    const a: RequestId[] = [];
    for (let i = 0; i < 6; i++) a.push(await enqueue(fixture, key("a")));
    for (let i = 0; i < 3; i++) await fixture.queue.complete(await lease(fixture), createResult());
    const b: RequestId[] = [];
    for (let i = 0; i < 3; i++) b.push(await enqueue(fixture, key("b")));
    assert.deepEqual(await drain(fixture), [a[3], b[0], a[4], b[1], a[5], b[2]]);
  });

  test("low priority waits behind all normal requests", async () => {
    await using fixture = await open();
    const low = await enqueue(fixture, { ...key("b"), priority: "low" });
    const normal: RequestId[] = [];
    for (let i = 0; i < 5; i++) normal.push(await enqueue(fixture, key("a")));
    assert.equal(await fixture.queue.getPosition(low), 5);
    assert.deepEqual(await drain(fixture), [...normal, low]);
  });

  test("the endpoints of an app share one line", async () => {
    await using fixture = await open();
    const endpointIds = [ENDPOINT, `${ENDPOINT}/v1.1`];
    const ids: RequestId[] = [];
    for (let i = 0; i < 6; i++) ids.push(await enqueue(fixture, { endpointId: endpointIds[i % 2]! }));
    assert.equal(await fixture.queue.getPosition(ids[5]!), 5);
    assert.deepEqual(await drain(fixture, { endpointIds }), ids);
  });

  test("a runner of one endpoint passes over requests of another in the same line", async () => {
    await using fixture = await open();
    for (let i = 0; i < 20; i++) await enqueue(fixture, { endpointId: `${ENDPOINT}/v1.1` });
    const id = await enqueue(fixture);
    assert.deepEqual(await drain(fixture), [id]);
  });

  test("of several apps the oldest waiting request is next", async () => {
    await using fixture = await open();
    const ids: RequestId[] = [];
    for (let i = 0; i < 6; i++) ids.push(await enqueue(fixture, { endpointId: `fal-ai/app-${i % 3}` }));
    const endpointIds = ["fal-ai/app-0", "fal-ai/app-1", "fal-ai/app-2"];
    assert.deepEqual(await drain(fixture, { endpointIds }), ids);
  });

  test("every position is the number of requests leased before", async () => {
    await using fixture = await open();
    const ids: RequestId[] = [];
    for (let i = 0; i < 60; i++) {
      const priority = i % 7 === 0 ? "low" : "normal";
      ids.push(await enqueue(fixture, { ...key(`key-${(i * i) % 5}`), priority }));
      if (i % 4 === 3) await fixture.queue.complete(await lease(fixture), createResult());
      if (i % 10 === 9) await fixture.queue.cancel(ids[i - 3]!);
    }
    const positions = new Map<RequestId, number>();
    for (const id of ids) {
      if ((await fixture.queue.find(id))?.state === "queued") {
        positions.set(id, await fixture.queue.getPosition(id));
      }
    }
    for (const [index, id] of (await drain(fixture)).entries()) assert.equal(positions.get(id), index);
  });

  test("a request that does not wait has position 0", async () => {
    await using fixture = await open();
    const id = await enqueue(fixture);
    await lease(fixture);
    assert.equal(await fixture.queue.getPosition(id), 0);
  });

  test("positions are exact to 1,000 and grow along the line beyond", async () => {
    await using fixture = await open();
    for (let batch = 0; batch < 14; batch++) {
      await Promise.all(Array.from({ length: 100 }, () => enqueue(fixture, key("a"))));
    }
    const line = await fixture.database.read((tx) =>
      tx.all<{ id: RequestId }>("SELECT id FROM requests ORDER BY priority, fair_rank, id"),
    );
    let last = 0;
    for (let place = 0; place < line.length; place += place < 980 ? 35 : 3) {
      const position = await fixture.queue.getPosition(line[place]!.id);
      if (place < 1_000) assert.equal(position, place);
      else assert.ok(position >= 1_000 && position >= last && position < 1_500, `${position} at ${place}`);
      last = position;
    }
    const watched = line[1_150]!.id;
    for (let i = 0; i < 300; i++) {
      assert.equal((await lease(fixture)).requestId, line[i]?.id);
      if (i % 20 !== 0) continue;
      const position = await fixture.queue.getPosition(watched);
      assert.ok(position <= last, `${position} after ${last}`);
      last = position;
    }
    assert.equal(await fixture.queue.getPosition(watched), 850);
  });

  test("a request queued again keeps its place", async () => {
    await using fixture = await open();
    const ids: RequestId[] = [];
    for (let i = 0; i < 3; i++) ids.push(await enqueue(fixture));
    const leased = await lease(fixture);
    await fixture.queue.release(leased);
    assert.deepEqual(await drain(fixture), ids);
  });

  test("of requests of equal rank, one that the runner has served the like of comes first", async () => {
    await using fixture = await open();
    const plain = await enqueue(fixture, key("a"));
    const hinted = await enqueue(fixture, { ...key("b"), hint: "lora-7" });
    const later = await enqueue(fixture, { ...key("b"), hint: "lora-7" });
    assert.deepEqual(await drain(fixture, { hints: ["lora-7"] }), [hinted, plain, later]);
  });

  test("a key that runs as much as it may lets others pass", async () => {
    await using fixture = await open();
    fixture.limits.set("one", { concurrency: 1 });
    const ones: RequestId[] = [];
    for (let i = 0; i < 300; i++) ones.push(await enqueue(fixture, key("one")));
    const others: RequestId[] = [];
    for (let i = 0; i < 4; i++) others.push(await enqueue(fixture, key("other")));
    const held = await lease(fixture);
    assert.equal(held.requestId, ones[0]);
    assert.deepEqual(await drain(fixture), others);
    assert.equal(await fixture.queue.lease(OFFER), undefined);
    await fixture.queue.complete(held, createResult());
    assert.equal((await lease(fixture)).requestId, ones[1]);
    assert.equal(await fixture.queue.lease(OFFER), undefined);
  });

  test("a key that runs as much as it may does not hold up other apps", async () => {
    await using fixture = await open();
    fixture.limits.set("one", { concurrency: 1 });
    for (let i = 0; i < 3; i++) await enqueue(fixture, key("one"));
    const other = await enqueue(fixture, { ...key("two"), endpointId: "fal-ai/other" });
    await lease(fixture);
    assert.equal((await lease(fixture, { endpointIds: [ENDPOINT, "fal-ai/other"] })).requestId, other);
  });
}
