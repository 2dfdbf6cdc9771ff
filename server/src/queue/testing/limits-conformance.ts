import assert from "node:assert/strict";
import { test } from "node:test";
import type { AccountId } from "../../ids.ts";
import type { NewRequest } from "../request-queue.ts";
import {
  bytes,
  createRequest,
  createResult,
  enqueue,
  key,
  lease,
  OFFER,
  type QueueFixture,
  RETENTION_MS,
} from "./queue-fixture.ts";

/** What is refused, what is recognised, and what is forgotten. */
export function testLimits(open: () => Promise<QueueFixture>): void {
  test("a submit is refused when as many wait as the caller allows", async () => {
    await using fixture = await open();
    const { queue, clock } = fixture;
    for (let i = 0; i < 3; i++) await enqueue(fixture, { maxQueueLength: 3 });
    const refused = createRequest(clock, { maxQueueLength: 3 });
    assert.deepEqual(await queue.enqueue(refused), { kind: "queue_full", length: 3 });
    assert.equal(await queue.find(refused.id), undefined);
    await lease(fixture);
    await enqueue(fixture, { maxQueueLength: 3 });
    assert.equal((await queue.enqueue(createRequest(clock, { maxQueueLength: 0 }))).kind, "queue_full");
    assert.equal((await queue.enqueue(createRequest(clock, { maxQueueLength: 5_000 }))).kind, "enqueued");
  });

  test("a key may have only so many requests waiting", async () => {
    await using fixture = await open();
    const { queue, clock, limits } = fixture;
    limits.set("small", { queued: 2 });
    for (let i = 0; i < 2; i++) await enqueue(fixture, key("small"));
    const outcome = await queue.enqueue(
      createRequest(clock, { ...key("small"), endpointId: "fal-ai/other" }),
    );
    assert.equal(outcome.kind, "limited");
    assert.equal(outcome.kind === "limited" && outcome.limit, "queued");
    assert.ok(outcome.kind === "limited" && outcome.retryAfterMs > 0);
    await enqueue(fixture, key("other"));
    await lease(fixture);
    await enqueue(fixture, key("small"));
  });

  test("a key may make only so many requests a day, direct ones included", async () => {
    await using fixture = await open();
    const { queue, clock, limits } = fixture;
    limits.set("daily", { requestsPerDay: 3 });
    const direct = createRequest(clock, { ...key("daily"), surface: "run" });
    await queue.record(direct, createResult(), { startedAt: clock.now(), endedAt: clock.now() });
    for (let i = 0; i < 2; i++) await enqueue(fixture, key("daily"));
    assert.deepEqual(await queue.enqueue(createRequest(clock, key("daily"))), {
      kind: "limited",
      limit: "requests_per_day",
      retryAfterMs: 12 * 3_600_000,
    });
    clock.advance(12 * 3_600_000);
    await enqueue(fixture, key("daily"));
  });

  test("a direct run counts from its admission, also while it is under way", async () => {
    await using fixture = await open();
    const { queue, clock, limits } = fixture;
    limits.set("daily", { requestsPerDay: 3 });
    const create = (): NewRequest => createRequest(clock, { ...key("daily"), surface: "run" });
    const refusal = { kind: "limited", limit: "requests_per_day", retryAfterMs: 12 * 3_600_000 };
    const times = { startedAt: clock.now(), endedAt: clock.now() };
    const [first, second] = [create(), create()];
    assert.deepEqual(await queue.admit(first), { kind: "admitted" });
    await queue.record(first, createResult(), times);
    assert.deepEqual(await queue.admit(second), { kind: "admitted" });
    const outcomes = await Promise.all([create(), create(), create()].map((run) => queue.admit(run)));
    assert.equal(outcomes.filter((outcome) => outcome.kind === "admitted").length, 1, "the last place");
    assert.deepEqual(await queue.enqueue(createRequest(clock, key("daily"))), refusal);
    // Recorded, it counts once: neither twice nor, on the way, not at all. (Where others write too, an admission may
    // come between a commit and the news of it.)
    const isAlone = fixture.database.dialect === "sqlite";
    const recording = queue.record(second, createResult(), times);
    if (isAlone) assert.deepEqual(await queue.admit(create()), refusal);
    await recording;
    assert.deepEqual(await queue.admit(create()), refusal);
    clock.advance(12 * 3_600_000);
    assert.deepEqual(await queue.admit(create()), { kind: "admitted" }, "one is still under way");
    assert.deepEqual(await queue.admit(createRequest(clock, key("free"))), { kind: "admitted" });
    assert.deepEqual(await queue.admit({ id: create().id, keyId: null }), { kind: "admitted" });
  });

  test("a refused submit leaves no payload behind", async () => {
    await using fixture = await open();
    await enqueue(fixture, { idempotencyKey: "k", input: bytes(40_000) });
    const other = createRequest(fixture.clock, { idempotencyKey: "k", input: bytes(40_000) });
    assert.deepEqual(await fixture.queue.enqueue(other), { kind: "conflict" });
    const blobs: string[] = [];
    for await (const blob of fixture.blobs.list("requests/")) blobs.push(blob.key);
    assert.equal(blobs.length, 1);
  });

  test("the same idempotency key with the same body is the same request", async () => {
    await using fixture = await open();
    const { queue, clock } = fixture;
    const first = createRequest(clock, { idempotencyKey: "once" });
    await queue.enqueue(first);
    const again = await queue.enqueue(createRequest(clock, { idempotencyKey: "once" }));
    assert.equal(again.kind, "replayed");
    assert.equal(again.kind === "replayed" && again.request.id, first.id);
    const changed = createRequest(clock, { idempotencyKey: "once", input: Buffer.from("{}") });
    assert.deepEqual(await queue.enqueue(changed), { kind: "conflict" });
    for (const difference of [
      { accountId: "another" as AccountId },
      { endpointId: "fal-ai/other" },
      { idempotencyKey: "twice" },
    ]) {
      await enqueue(fixture, { idempotencyKey: "once", ...difference });
    }
  });

  test("an idempotency key is known for as long as the record is kept", async () => {
    await using fixture = await open();
    const { queue, clock } = fixture;
    const id = await enqueue(fixture, { idempotencyKey: "once" });
    await queue.complete(await lease(fixture), createResult());
    clock.advance(RETENTION_MS - 1_000);
    await queue.sweep();
    const replayed = await queue.enqueue(createRequest(clock, { idempotencyKey: "once" }));
    assert.equal(replayed.kind === "replayed" && replayed.request.id, id);
    clock.advance(2_000);
    assert.equal((await queue.sweep()).removed, 1);
    assert.equal((await queue.enqueue(createRequest(clock, { idempotencyKey: "once" }))).kind, "enqueued");
  });

  test("a replay is not refused by a limit that the first request filled", async () => {
    await using fixture = await open();
    fixture.limits.set("small", { queued: 1, requestsPerDay: 1 });
    const changes = { ...key("small"), idempotencyKey: "once", maxQueueLength: 1 };
    await enqueue(fixture, changes);
    assert.equal((await fixture.queue.enqueue(createRequest(fixture.clock, changes))).kind, "replayed");
  });

  test("records, payloads and history go when their time is over", async () => {
    await using fixture = await open();
    const { queue, clock, database, blobs } = fixture;
    const webhookUrl = "https://example.com/hook";
    const id = await enqueue(fixture, { input: bytes(40_000), webhookUrl });
    const leased = await lease(fixture);
    await queue.appendEvents(leased, [
      { kind: "log", at: clock.now(), data: { message: "a", level: "INFO" } },
    ]);
    await queue.complete(leased, createResult({ body: bytes(40_000) }));
    const waiting = await enqueue(fixture);
    clock.advance(RETENTION_MS + 1);
    assert.equal((await queue.sweep()).removed, 1);
    assert.equal(await queue.find(id), undefined);
    assert.equal(await queue.readResult(id), undefined);
    assert.deepEqual(await queue.listEvents(id), []);
    assert.equal((await queue.find(waiting))?.state, "queued", "what is owed is never removed");
    for await (const blob of blobs.list("requests/")) assert.fail(`${blob.key} was left behind`);
    for (const table of ["payloads", "events", "deliveries"]) {
      const row = await database.read((tx) =>
        tx.get<{ count: number }>(`SELECT count(*) AS count FROM ${table}`),
      );
      assert.equal(row?.count, table === "payloads" ? 1 : 0, table);
    }
  });

  test("payloads that are not to be kept go an hour after the end, the record stays", async () => {
    await using fixture = await open();
    const { queue, clock } = fixture;
    const id = await enqueue(fixture, { keepsPayloads: false, input: bytes(40_000) });
    await queue.complete(await lease(fixture), createResult({ body: bytes(40_000) }));
    clock.advance(3_599_000);
    await queue.sweep();
    assert.notEqual(await queue.readResult(id), undefined);
    clock.advance(1_001);
    assert.equal((await queue.sweep()).removed, 1);
    assert.equal(await queue.readResult(id), undefined);
    assert.equal(await queue.readInput(id), undefined);
    assert.equal((await queue.find(id))?.state, "succeeded");
    assert.equal((await queue.sweep()).removed, 0);
  });

  test("payloads are removed on request, once the request has ended", async () => {
    await using fixture = await open();
    const { queue } = fixture;
    const id = await enqueue(fixture);
    assert.equal(await queue.removePayloads(id), false);
    await queue.complete(await lease(fixture), createResult());
    assert.equal(await queue.removePayloads(id), true);
    assert.equal(await queue.removePayloads(id), false);
    assert.equal(await queue.readResult(id), undefined);
    assert.equal(await queue.readInput(id), undefined);
  });

  test("a payload that no request refers to is collected once it is old", async () => {
    await using fixture = await open();
    const { queue, clock, blobs } = fixture;
    const kept = await enqueue(fixture, { input: bytes(40_000) });
    await blobs.put(`requests/${createRequest(clock).id}/input`, bytes(40_000));
    clock.advance(Date.now() - clock.now() + 2 * 3_600_000);
    await queue.sweep();
    const left = async (): Promise<string[]> => {
      const keys: string[] = [];
      for await (const blob of blobs.list("requests/")) keys.push(blob.key);
      return keys;
    };
    for (let i = 0; i < 100 && (await left()).length > 1; i++) await new Promise((r) => setTimeout(r, 10));
    assert.deepEqual(await left(), [`requests/${kept}/input`]);
  });

  test("a request whose stored input is gone ends with an error and does not stop the others", async () => {
    await using fixture = await open();
    const { queue, blobs } = fixture;
    const broken = await enqueue(fixture, { input: bytes(40_000) });
    const good = await enqueue(fixture);
    await blobs.remove(`requests/${broken}/input`);
    assert.equal((await lease(fixture)).requestId, good);
    assert.equal((await queue.readResult(broken))?.statusCode, 500);
    assert.equal(await queue.lease(OFFER), undefined);
  });
}
