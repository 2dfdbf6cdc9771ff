import assert from "node:assert/strict";
import { test } from "node:test";
import type { Database } from "../../database/database.ts";
import type { AccountId, KeyId, RequestId } from "../../ids.ts";
import type { NewRequest, RequestFilter, RequestRecord, RequestResult } from "../request-queue.ts";
import {
  createRequest,
  createResult,
  ENDPOINT,
  enqueue,
  key,
  lease,
  OFFER,
  type QueueFixture,
} from "./queue-fixture.ts";

/** What is told afterwards. */
export function testHistory(open: () => Promise<QueueFixture>): void {
  test("log lines come back in order, from where the reader left off", async () => {
    await using fixture = await open();
    const { queue, clock } = fixture;
    const id = await enqueue(fixture);
    const leased = await lease(fixture);
    const log = (message: string) => ({
      kind: "log",
      at: clock.now(),
      data: { message, level: "STDOUT", labels: { part: "a" } },
    });
    await queue.appendEvents(leased, [
      log("one"),
      { kind: "loaded", at: clock.now(), data: { ms: 5 } },
      log("two"),
    ]);
    await queue.appendEvents(leased, [log("three")]);
    await queue.appendEvents(leased, []);
    const logs = await queue.listLogs(id);
    assert.deepEqual(
      logs.map((line) => line.message),
      ["one", "two", "three"],
    );
    assert.deepEqual(logs[0], {
      message: "one",
      level: "STDOUT",
      source: "USER",
      timestamp: new Date(clock.now()).toISOString(),
      labels: { part: "a" },
      sequence: logs[0]?.sequence,
    });
    assert.deepEqual(
      (await queue.listLogs(id, logs[0]?.sequence)).map((line) => line.message),
      ["two", "three"],
    );
    assert.equal((await queue.listLogs(id, 0, 2)).length, 2);
    assert.deepEqual(await queue.listLogs(createRequest(clock).id), []);
  });

  test("leases tell who holds what, and ended requests are counted by endpoint", async () => {
    await using fixture = await open();
    const { queue, clock } = fixture;
    const first = await enqueue(fixture);
    await enqueue(fixture);
    const held = await lease(fixture);
    const expected = { requestId: first, endpointId: ENDPOINT, runnerId: OFFER.runnerId, attempt: 1 };
    const times = { startedAt: clock.now(), expiresAt: clock.now() + OFFER.leaseMs };
    assert.deepEqual(await queue.listLeases(10), [{ ...expected, ...times }]);
    clock.advance(1_000);
    await lease(fixture);
    assert.deepEqual(
      (await queue.listLeases(1)).map((each) => each.requestId),
      [first],
    );
    const before = clock.now();
    await queue.complete(held, createResult());
    assert.equal((await queue.listLeases(10)).length, 1);
    assert.deepEqual([...(await queue.countEnded(before))], [[ENDPOINT, 1]]);
    assert.deepEqual([...(await queue.countEnded(clock.now() + 1))], []);
  });

  test("usage is summed by time, endpoint and key; failures are counted and cost nothing", async () => {
    await using fixture = await open();
    const { queue } = fixture;
    const hour = 3_600_000;
    const start = 480_000 * hour;
    const record = (at: number, changes: Partial<NewRequest> = {}, result: Partial<RequestResult> = {}) =>
      queue.record(
        { ...createRequest(fixture.clock), createdAt: start + at, ...changes },
        createResult({ billableUnits: 2, inferenceSeconds: 1.5, outputPixels: 250_000, ...result }),
        { startedAt: start + at, endedAt: start + at + 10 },
      );
    await record(5);
    await record(hour - 1);
    await record(hour);
    await record(6, { keyId: "key-b" as KeyId, accountId: "other" as AccountId });
    await record(7, {}, { state: "failed", statusCode: 500 });
    await record(8, { endpointId: "acme/none", app: "acme/none", keyId: null }, { inferenceSeconds: null });
    await enqueue(fixture);
    const none = { endpointId: ENDPOINT, accountId: "account", keyId: "key-a" };
    const all = await queue.sumUsage({ startAt: start, endAt: start + 2 * hour, bucketMs: hour });
    const sums = (count: number) => ({
      billableSeconds: 1.5 * count,
      billableUnits: 2 * count,
      outputPixels: 250_000 * count,
    });
    const one = { requests: 1, succeeded: 1, seconds: 1.5, ...sums(1) };
    const acme = { endpointId: "acme/none", accountId: "account", keyId: null };
    const free = { billableSeconds: 0, billableUnits: 2, outputPixels: 250_000 };
    assert.deepEqual(all, [
      { bucketAt: start, ...acme, requests: 1, succeeded: 1, seconds: 0, ...free },
      { bucketAt: start, ...none, requests: 3, succeeded: 2, seconds: 4.5, ...sums(2) },
      { bucketAt: start, ...none, accountId: "other", keyId: "key-b", ...one },
      { bucketAt: start + hour, ...none, ...one },
    ]);
    const others = { accountId: "other" as AccountId, bucketMs: 24 * hour };
    const [other, ...rest] = await queue.sumUsage({ ...others, startAt: start, endAt: start + hour });
    assert.deepEqual([other?.requests, other?.keyId, rest], [1, "key-b", []]);
  });

  test("however many requests usage is summed of, others get their turn meanwhile", async () => {
    await using fixture = await open();
    const { queue, database, clock } = fixture;
    const start = 480_000 * 3_600_000;
    const request = { ...createRequest(clock), createdAt: start };
    await queue.record(request, createResult({ billableUnits: 2 }), { startedAt: start, endedAt: start });
    await multiplyRequests(database, 4_500);
    let hadTurn = false;
    setImmediate(() => {
      hadTurn = true;
    });
    const usage = { startAt: start, endAt: start + 10_000, bucketMs: 2_500 };
    const sums = await queue.sumUsage(usage);
    assert.ok(hadTurn);
    assert.deepEqual(
      sums.map(({ bucketAt, requests, billableUnits }) => [bucketAt - start, requests, billableUnits]),
      [
        [0, 2_500, 5_000],
        [2_500, 2_001, 4_002],
      ],
    );
    assert.deepEqual(await queue.sumUsage({ ...usage, accountId: request.accountId }), sums);
  });

  test("a request's history tells every attempt", async () => {
    await using fixture = await open();
    const { queue, clock } = fixture;
    const id = await enqueue(fixture);
    await queue.abandon(await lease(fixture), { kind: "server_error", message: "crashed" });
    clock.advance(31_000);
    const second = await lease(fixture);
    await queue.cancel(id);
    await queue.complete(second, createResult({ state: "cancelled", statusCode: 499 }));
    const events = await queue.listEvents(id);
    assert.deepEqual(
      events.map((event) => [event.kind, event.attempt]),
      [
        ["accepted", 0],
        ["leased", 1],
        ["abandoned", 1],
        ["leased", 2],
        ["cancel_requested", 2],
        ["ended", 2],
      ],
    );
    for (let i = 1; i < events.length; i++) assert.ok(events[i]!.sequence > events[i - 1]!.sequence);
    assert.deepEqual(events[2]?.data, { failure: "server_error", message: "crashed" });
  });

  /** 60 requests of three accounts, four keys, three endpoints, in every state. */
  async function fill(fixture: QueueFixture): Promise<RequestRecord[]> {
    const { queue, clock } = fixture;
    const ids: RequestId[] = [];
    for (let i = 0; i < 60; i++) {
      clock.advance(i % 3 === 0 ? 0 : 1_000);
      const endpointId = ["fal-ai/flux-pro", "fal-ai/flux-pro/v1.1", "fal-ai/flux/dev"][i % 3]!;
      const accountId = `account-${i % 2}` as AccountId;
      const id = await enqueue(fixture, { ...key(`key-${i % 4}`), accountId, endpointId });
      ids.push(id);
      if (i % 5 === 0) continue;
      const leased = await lease(fixture, { endpointIds: [endpointId] });
      if (i % 7 === 0) continue;
      clock.advance(i * 37);
      const statusCode = i % 11 === 0 ? 422 : i % 13 === 0 ? 500 : 200;
      const state = statusCode === 200 ? "succeeded" : "failed";
      await queue.complete(leased, createResult({ statusCode, state }));
    }
    await queue.cancel(ids[55]!);
    const records: RequestRecord[] = [];
    for (const id of ids) records.push((await queue.find(id))!);
    return records;
  }

  const filters: Record<string, (some: RequestRecord) => Partial<RequestFilter>> = {
    "without a filter": () => ({}),
    "of an account": () => ({ accountId: "account-1" as AccountId }),
    "of a key": () => ({ keyId: key("key-2").keyId }),
    "of endpoints": () => ({ endpointIds: ["fal-ai/flux/dev", "fal-ai/flux-pro"] }),
    "of no endpoint": () => ({ endpointIds: [] }),
    "by state": () => ({ states: ["queued", "running"] }),
    "that ended badly": () => ({ states: ["failed", "cancelled"] }),
    "that succeeded": () => ({ outcome: "success" }),
    "with the caller's errors": () => ({ outcome: "user_error", accountId: "account-0" as AccountId }),
    "with the platform's errors": () => ({ outcome: "error" }),
    "of a span of time": (some) => ({ startAt: some.createdAt, endAt: some.createdAt + 20_000 }),
    "by id": (some) => ({ requestId: some.id }),
    "by everything at once": () => ({
      accountId: "account-1" as AccountId,
      keyId: key("key-3").keyId,
      endpointIds: ["fal-ai/flux-pro", "fal-ai/flux-pro/v1.1"],
      states: ["succeeded", "failed"],
      outcome: "success",
      startAt: 0,
    }),
  };

  test("history pages hold what the filter names, each once, in order", async () => {
    await using fixture = await open();
    const records = await fill(fixture);
    for (const sortBy of [undefined, "created_at", "ended_at", "duration"] as const) {
      for (const [name, create] of Object.entries(filters)) {
        const filter = { ...create(records[20]!), ...(sortBy === undefined ? {} : { sortBy }) };
        const expected = records.filter((record) => matches(record, filter)).sort(compareBy(sortBy));
        const listed: RequestRecord[] = [];
        let cursor: string | undefined;
        do {
          const page = await fixture.queue.listRequests({
            ...filter,
            limit: 7,
            ...(cursor === undefined ? {} : { cursor }),
          });
          assert.ok(page.requests.length <= 7);
          listed.push(...page.requests);
          cursor = page.nextCursor ?? undefined;
        } while (cursor !== undefined);
        assert.deepEqual(
          listed.map((record) => record.id),
          expected.map((record) => record.id),
          `${name}, sorted by ${sortBy}`,
        );
        if (listed[0] !== undefined) assert.deepEqual(listed[0], expected[0]);
      }
    }
  });

  test("requests are found by a part of their input, error, tags or id", async () => {
    await using fixture = await open();
    const { queue, clock } = fixture;
    const make = async (
      name: string,
      input: string,
      changes: Partial<NewRequest> = {},
    ): Promise<RequestId> => {
      const id = await enqueue(fixture, { input: Buffer.from(input), ...changes });
      names.set(id, name);
      clock.advance(10);
      return id;
    };
    const names = new Map<string, string>();
    await make("fox", '{"prompt":"a red Fox in 100% snow_fall"}');
    await make("quote", JSON.stringify({ prompt: 'a "quoted" \\ den\nbelow' }));
    await make("umlaut", JSON.stringify({ prompt: "ein Bär 🦊" }));
    await make("escaped", '{"prompt":"ein B\\u00e4r \\ud83e\\udd8a"}');
    const tagged = await make("tagged", "{}", { tags: { project: "Würfel" } });
    const bytesOnly = Buffer.from([0xff, 0xfe, 0x00, 0x5c, 0x41]);
    const broken = await enqueue(fixture, { input: bytesOnly });
    names.set(broken, "broken");
    const failed = createRequest(clock);
    const result = createResult({ state: "failed", statusCode: 500, error: "The worker ran out of memory." });
    await queue.record(failed, result, { startedAt: clock.now(), endedAt: clock.now() });
    names.set(failed.id, "failed");
    const find = async (text: string): Promise<string> => {
      const { requests, nextCursor, searchedTo } = await queue.listRequests({ text, limit: 10 });
      assert.deepEqual([nextCursor, searchedTo], [null, null]);
      return requests.map(({ id }) => names.get(id)).join(" ");
    };
    assert.equal(await find("red fox"), "fox");
    assert.equal(await find("100% snow_"), "fox");
    assert.equal(await find("1%0"), "");
    assert.equal(await find('"quoted" \\ den\nbe'), "quote");
    assert.equal(await find("Bär"), "escaped umlaut");
    assert.equal(await find("🦊"), "escaped umlaut");
    assert.equal(await find("Würf"), "tagged");
    assert.equal(await find("OUT OF MEMORY"), "failed");
    assert.equal(await find(tagged.slice(0, -1)), "tagged");
    assert.equal(await find("'; --"), "");
    assert.deepEqual(
      (await queue.listRequests({ text: "lighthouse", states: ["queued"], limit: 5 })).requests,
      [],
    );
  });

  test("a search by text stops after 2,000 requests, says where, and goes on from there", async () => {
    await using fixture = await open();
    const { queue, clock } = fixture;
    const ids: RequestId[] = [];
    const record = async (prompt: string): Promise<void> => {
      const request = createRequest(clock, { input: Buffer.from(JSON.stringify({ prompt })) });
      await queue.record(request, createResult(), { startedAt: clock.now(), endedAt: clock.now() });
      if (prompt === "needle") ids.push(request.id);
    };
    await record("needle");
    for (let i = 0; i < 10; i++) {
      clock.advance(1_000);
      await Promise.all(Array.from({ length: 200 }, () => record("hay")));
    }
    await record("needle");
    const first = await queue.listRequests({ text: "needle", limit: 5 });
    assert.deepEqual(
      first.requests.map(({ id }) => id),
      [ids[1]],
    );
    assert.equal(first.searchedTo, clock.now() - 9_000);
    assert.notEqual(first.nextCursor, null);
    const second = await queue.listRequests({ text: "needle", limit: 5, cursor: first.nextCursor! });
    assert.deepEqual(
      second.requests.map(({ id }) => id),
      [ids[0]],
    );
    assert.deepEqual([second.nextCursor, second.searchedTo], [null, null]);
    const full = await queue.listRequests({ text: "hay", limit: 5 });
    assert.equal(full.requests.length, 5);
    assert.deepEqual([full.nextCursor === null, full.searchedTo], [false, null]);
  });

  test("a request that waits knows why", async () => {
    await using fixture = await open();
    const { queue, clock, limits } = fixture;
    limits.set("small", { concurrency: 1 });
    const running = await enqueue(fixture, key("small"));
    const leased = await lease(fixture);
    const busy = await enqueue(fixture, key("small"));
    assert.deepEqual(await queue.explainWait(busy), {
      reason: "key_limit",
      before: 0,
      running: 1,
      runningOfKey: 1,
      limit: 1,
    });
    assert.equal(await queue.explainWait(running), undefined);
    assert.equal(await queue.explainWait(createRequest(clock).id), undefined);
    await queue.complete(leased, createResult());
    assert.deepEqual(await queue.explainWait(busy), { reason: "next", before: 0, running: 0 });
    const second = await enqueue(fixture, key("other"));
    assert.deepEqual(await queue.explainWait(second), { reason: "behind_others", before: 1, running: 0 });
    await queue.abandon(await lease(fixture), { kind: "server_error", message: "crashed" });
    const backingOff = await queue.explainWait(busy);
    assert.equal(backingOff?.reason, "backing_off");
    assert.ok(backingOff?.reason === "backing_off" && backingOff.until > clock.now());
    await queue.pause(OFFER.endpointIds[0]!);
    assert.equal((await queue.explainWait(busy))?.reason, "paused");
    assert.equal((await queue.explainWait(second))?.reason, "paused");
  });

  test("a page is not disturbed by requests that arrive while it is turned", async () => {
    await using fixture = await open();
    const ids: RequestId[] = [];
    for (let i = 0; i < 10; i++) ids.push(await enqueue(fixture));
    const first = await fixture.queue.listRequests({ limit: 5 });
    for (let i = 0; i < 5; i++) await enqueue(fixture);
    const second = await fixture.queue.listRequests({ limit: 5, cursor: first.nextCursor! });
    assert.deepEqual(
      [...first.requests, ...second.requests].map((record) => record.id),
      ids.reverse(),
    );
    assert.equal(second.nextCursor, null);
  });

  test("a cursor that no page gave out is refused", async () => {
    await using fixture = await open();
    for (const cursor of ["", "nonsense", Buffer.from("1:2:3").toString("base64url"), "Mg=="]) {
      await assert.rejects(fixture.queue.listRequests({ limit: 5, cursor }), { name: "CursorError" });
    }
  });

  test("stats tell depth, oldest wait and what runs, per endpoint", async () => {
    await using fixture = await open();
    const { queue, clock } = fixture;
    assert.deepEqual(await queue.getStats(), []);
    const oldest = clock.now();
    await enqueue(fixture, { endpointId: "fal-ai/other" });
    await enqueue(fixture, { endpointId: "fal-ai/other" });
    clock.advance(5_000);
    await enqueue(fixture);
    await lease(fixture);
    await enqueue(fixture);
    await queue.pause("fal-ai/third");
    const stats = [...(await queue.getStats())].sort((a, b) => (a.endpointId < b.endpointId ? -1 : 1));
    assert.deepEqual(stats, [
      {
        endpointId: OFFER.endpointIds[0],
        queued: 1,
        running: 1,
        oldestQueuedAt: clock.now(),
        isPaused: false,
      },
      { endpointId: "fal-ai/other", queued: 2, running: 0, oldestQueuedAt: oldest, isPaused: false },
      { endpointId: "fal-ai/third", queued: 0, running: 0, oldestQueuedAt: null, isPaused: true },
    ]);
  });
}

function matches(record: RequestRecord, filter: Partial<RequestFilter>): boolean {
  const status = record.statusCode ?? 0;
  const [low, high] = { success: [200, 300], user_error: [400, 500], error: [500, 600], any: [0, 999] }[
    filter.outcome ?? "any"
  ] as [number, number];
  return (
    (filter.accountId === undefined || record.accountId === filter.accountId) &&
    (filter.keyId === undefined || record.keyId === filter.keyId) &&
    (filter.endpointIds === undefined || filter.endpointIds.includes(record.endpointId)) &&
    (filter.states === undefined || filter.states.includes(record.state)) &&
    (filter.requestId === undefined || record.id === filter.requestId) &&
    (filter.startAt === undefined || record.createdAt >= filter.startAt) &&
    (filter.endAt === undefined || record.createdAt < filter.endAt) &&
    status >= low &&
    status < high &&
    (filter.sortBy !== "ended_at" || record.endedAt !== null) &&
    (filter.sortBy !== "duration" || (record.endedAt !== null && record.startedAt !== null))
  );
}

function compareBy(sortBy: RequestFilter["sortBy"]): (a: RequestRecord, b: RequestRecord) => number {
  const value = (record: RequestRecord): number =>
    sortBy === "ended_at"
      ? record.endedAt!
      : sortBy === "duration"
        ? record.endedAt! - record.startedAt!
        : record.createdAt;
  return (a, b) => value(b) - value(a) || (a.id < b.id ? 1 : -1);
}

/** Copies of the only request, each a millisecond after the one before. */
async function multiplyRequests(database: Database, count: number): Promise<void> {
  const row = await database.read((tx) =>
    tx.get<Readonly<Record<string, unknown>>>("SELECT * FROM requests"),
  );
  const names = Object.keys(row ?? {}).filter((name) => name !== "number");
  const copied = names.map((name) =>
    name === "id" ? "id || '-' || n" : name === "created_at" ? "created_at + n" : name,
  );
  await database.transaction((tx) =>
    tx.run(
      `WITH RECURSIVE counted (n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM counted WHERE n < ${count})
       INSERT INTO requests (${names.join(", ")}) SELECT ${copied.join(", ")} FROM requests, counted`,
    ),
  );
}
