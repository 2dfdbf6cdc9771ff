import assert from "node:assert/strict";
import { test } from "node:test";
import { createRequestId, type RequestId } from "../../ids.ts";
import type { AttemptFailure, RequestState } from "../request-queue.ts";
import {
  bytes,
  createRequest,
  createResult,
  enqueue,
  lease,
  OFFER,
  type QueueFixture,
} from "./queue-fixture.ts";

/** The state machine: who may change what, and what each end looks like. */
export function testStates(open: () => Promise<QueueFixture>): void {
  test("a request goes from queued through running to its result", async () => {
    await using fixture = await open();
    const { queue, clock } = fixture;
    const request = createRequest(clock, {
      tags: { team: "a" },
      headers: { "x-fal-caller": "b" },
      fileLifecycle: { expiration_duration_seconds: 60 },
      webhookUrl: "https://example.com/hook",
      hint: "same",
    });
    assert.deepEqual(await queue.enqueue(request), { kind: "enqueued", position: 0 });
    const queued = await queue.find(request.id);
    assert.equal(queued?.state, "queued");
    assert.equal(queued.startedAt, null);
    assert.deepEqual(queued.tags, { team: "a" });
    assert.deepEqual(queued.headers, { "x-fal-caller": "b" });
    assert.deepEqual(queued.fileLifecycle, { expiration_duration_seconds: 60 });
    assert.equal(await queue.readResult(request.id), undefined);

    clock.advance(40);
    const leased = await lease(fixture);
    assert.equal(leased.requestId, request.id);
    assert.equal(leased.attempt, 1);
    assert.equal(leased.expiresAt, clock.now() + 15_000);
    assert.deepEqual(Buffer.from(leased.input ?? []), request.input);
    assert.equal(leased.request.state, "running");
    assert.equal(leased.request.startedAt, clock.now());

    clock.advance(500);
    assert.equal(await queue.complete(leased, createResult()), "completed");
    const ended = await queue.find(request.id);
    assert.equal(ended?.state, "succeeded");
    assert.equal(ended.endedAt, clock.now());
    assert.equal(ended.statusCode, 200);
    assert.equal(ended.inferenceSeconds, 0.25);
    const result = await queue.readResult(request.id);
    assert.equal(result?.statusCode, 200);
    assert.equal(result.headers["x-fal-billable-units"], "1");
    assert.equal(Buffer.from(result.body).toString(), '{"images":[]}');
  });

  test("the outline of a request says the same as its record, in every state", async () => {
    await using fixture = await open();
    const { queue, clock } = fixture;
    const check = async (id: RequestId, state: RequestState): Promise<void> => {
      const record = await queue.find(id);
      const outline = await queue.findOutline(id);
      assert.equal(outline?.state, state);
      assert.deepEqual({ ...record, ...outline }, record);
    };
    const id = await enqueue(fixture, { hint: "same", webhookUrl: "https://example.com/hook" });
    await check(id, "queued");
    const leased = await lease(fixture);
    await check(id, "running");
    await queue.complete(leased, createResult());
    await check(id, "succeeded");
    const late = await enqueue(fixture, { startDeadlineAt: clock.now() + 10 });
    clock.advance(20);
    await queue.sweep();
    await check(late, "failed");
    const unwanted = await enqueue(fixture);
    await queue.cancel(unwanted);
    await check(unwanted, "cancelled");
    assert.equal(await queue.findOutline(createRequestId(clock.now())), undefined);
  });

  test("payloads of every size come back byte for byte", async () => {
    await using fixture = await open();
    for (const size of [0, 1, 32 * 1024, 32 * 1024 + 1, 300_000]) {
      const input = bytes(size);
      const body = bytes(size);
      const id = await enqueue(fixture, { input });
      const leased = await lease(fixture);
      assert.deepEqual(Buffer.from(leased.input ?? []), input, `input of ${size}`);
      await fixture.queue.complete(leased, createResult({ body }));
      assert.deepEqual(Buffer.from((await fixture.queue.readInput(id))?.body ?? []), input);
      assert.deepEqual(Buffer.from((await fixture.queue.readResult(id))?.body ?? []), body);
    }
  });

  test("a request without a body is told from one with an empty body", async () => {
    await using fixture = await open();
    const absent = await enqueue(fixture, { input: null });
    const empty = await enqueue(fixture, { input: new Uint8Array() });
    assert.equal((await lease(fixture)).input, null);
    assert.equal((await lease(fixture)).input?.byteLength, 0);
    assert.deepEqual(await fixture.queue.readInput(absent), { body: null });
    assert.equal((await fixture.queue.readInput(empty))?.body?.byteLength, 0);
  });

  test("there is nothing to lease in an empty queue or for other endpoints", async () => {
    await using fixture = await open();
    assert.equal(await fixture.queue.lease(OFFER), undefined);
    await enqueue(fixture);
    assert.equal(await fixture.queue.lease({ ...OFFER, endpointIds: ["fal-ai/other"] }), undefined);
    assert.equal(await fixture.queue.lease({ ...OFFER, endpointIds: [] }), undefined);
  });

  test("a request is leased once", async () => {
    await using fixture = await open();
    await enqueue(fixture);
    await lease(fixture);
    assert.equal(await fixture.queue.lease(OFFER), undefined);
  });

  test("an ended request never changes", async () => {
    await using fixture = await open();
    const { queue } = fixture;
    const id = await enqueue(fixture);
    const leased = await lease(fixture);
    await queue.complete(leased, createResult());
    const before = await queue.find(id);
    fixture.clock.advance(60_000);
    assert.equal(await queue.complete(leased, createResult({ body: Buffer.from("other") })), "lost");
    assert.equal(await queue.abandon(leased, { kind: "server_error", message: "late" }), "lost");
    assert.equal(await queue.release(leased), "lost");
    assert.equal(await queue.heartbeat(leased), "lost");
    assert.equal(await queue.cancel(id), "already_completed");
    await queue.sweep();
    assert.deepEqual(await queue.find(id), before);
    assert.equal(Buffer.from((await queue.readResult(id))?.body ?? []).toString(), '{"images":[]}');
  });

  test("a recorded request is terminal from the start", async () => {
    await using fixture = await open();
    const { queue, clock } = fixture;
    const request = createRequest(clock, { surface: "run", input: bytes(50_000) });
    const result = createResult({
      state: "failed",
      statusCode: 422,
      error: "Field required",
      errorType: "missing",
    });
    await queue.record(request, result, { startedAt: clock.now(), endedAt: clock.now() + 5 });
    const record = await queue.find(request.id);
    assert.equal(record?.state, "failed");
    assert.equal(record.surface, "run");
    assert.equal(record.error, "Field required");
    assert.equal(record.errorType, "missing");
    assert.equal((await queue.readResult(request.id))?.statusCode, 422);
    assert.equal(await queue.lease(OFFER), undefined);
    assert.equal(await queue.cancel(request.id), "already_completed");
  });

  test("a request whose runner says nothing is leased again, and the first runner is fenced out", async () => {
    await using fixture = await open();
    const { queue, clock } = fixture;
    const id = await enqueue(fixture);
    const first = await lease(fixture);
    clock.advance(14_999);
    assert.deepEqual((await queue.sweep()).expiredLeases, []);
    clock.advance(2);
    assert.deepEqual((await queue.sweep()).expiredLeases, [id]);
    assert.equal((await queue.find(id))?.state, "queued");
    clock.advance(1_000);
    const second = await lease(fixture, { runnerId: "another" });
    assert.equal(second.requestId, id);
    assert.equal(second.attempt, 2);
    assert.notEqual(second.token, first.token);

    assert.equal(await queue.heartbeat(first), "lost");
    assert.equal(await queue.complete(first, createResult({ body: bytes(100_000) })), "lost");
    assert.equal(await queue.abandon(first, { kind: "timeout", message: "late" }), "lost");
    assert.equal(await queue.release(first), "lost");
    await queue.appendEvents(first, [
      { kind: "log", at: clock.now(), data: { message: "late", level: "INFO" } },
    ]);
    assert.deepEqual(await queue.listLogs(id), []);

    const body = bytes(100_000);
    assert.equal(await queue.complete(second, createResult({ body })), "completed");
    assert.deepEqual(Buffer.from((await queue.readResult(id))?.body ?? []), body);
    const blobs: string[] = [];
    for await (const blob of fixture.blobs.list("requests/")) blobs.push(blob.key);
    assert.equal(blobs.length, 1, "the refused result left nothing behind");
  });

  test("a heartbeat keeps the lease", async () => {
    await using fixture = await open();
    await enqueue(fixture);
    const leased = await lease(fixture);
    for (let i = 0; i < 5; i++) {
      fixture.clock.advance(10_000);
      assert.equal(await fixture.queue.heartbeat(leased), "renewed");
      assert.deepEqual((await fixture.queue.sweep()).expiredLeases, []);
    }
    assert.equal(await fixture.queue.complete(leased, createResult()), "completed");
  });

  test("a lease given back costs no attempt", async () => {
    await using fixture = await open();
    const id = await enqueue(fixture);
    for (let i = 0; i < 5; i++) {
      const leased = await lease(fixture);
      assert.equal(leased.attempt, 1);
      assert.equal(await fixture.queue.release(leased), "requeued");
      const record = await fixture.queue.find(id);
      assert.equal(record?.attempts, 0);
      assert.equal(record.startedAt, null);
    }
  });

  const budgets: readonly [AttemptFailure["kind"], number, string, number][] = [
    ["connection_error", 10, "runner_disconnected", 503],
    ["server_error", 3, "runner_server_error", 500],
    ["timeout", 2, "request_timeout", 504],
    ["setup_failed", 3, "runner_scheduling_failure", 503],
  ];
  for (const [kind, attempts, errorType, status] of budgets) {
    test(`a request ends after ${attempts} attempts that failed by ${kind}`, async () => {
      await using fixture = await open();
      const { queue, clock } = fixture;
      const id = await enqueue(fixture);
      for (let attempt = 1; attempt <= attempts; attempt++) {
        const leased = await lease(fixture);
        assert.equal(leased.attempt, attempt);
        const outcome = await queue.abandon(leased, { kind, message: `failure ${attempt}` });
        assert.equal(outcome, attempt < attempts ? "requeued" : "failed");
        if (outcome === "requeued") {
          assert.equal(await queue.lease(OFFER), undefined, "a back-off comes first");
          clock.advance(31_000);
        }
      }
      const record = await queue.find(id);
      assert.equal(record?.state, "failed");
      assert.equal(record.errorType, errorType);
      assert.equal(record.error, `failure ${attempts}`);
      const result = await queue.readResult(id);
      assert.equal(result?.statusCode, status);
      assert.equal(result.headers["x-fal-error-type"], errorType);
      assert.equal(result.headers["x-fal-request-timeout-type"], undefined);
      assert.deepEqual(JSON.parse(Buffer.from(result.body).toString()), {
        detail: `failure ${attempts}`,
        error_type: errorType,
      });
    });
  }

  test("failures are counted by kind", async () => {
    await using fixture = await open();
    await enqueue(fixture);
    const kinds: AttemptFailure["kind"][] = ["server_error", "timeout", "connection_error", "server_error"];
    for (const kind of kinds) {
      assert.equal(await fixture.queue.abandon(await lease(fixture), { kind, message: kind }), "requeued");
      fixture.clock.advance(31_000);
    }
    assert.equal(
      await fixture.queue.abandon(await lease(fixture), { kind: "timeout", message: "again" }),
      "failed",
    );
  });

  test("a request that allows no retry ends with its first failure", async () => {
    await using fixture = await open();
    const retry = { connectionError: 1, serverError: 1, timeout: 1 };
    for (const [kind] of budgets) {
      await enqueue(fixture, { retry });
      assert.equal(await fixture.queue.abandon(await lease(fixture), { kind, message: kind }), "failed");
    }
  });

  test("a queued request is cancelled at once", async () => {
    await using fixture = await open();
    const { queue } = fixture;
    const id = await enqueue(fixture);
    assert.equal(await queue.cancel(id), "cancelled");
    const record = await queue.find(id);
    assert.equal(record?.state, "cancelled");
    assert.equal(record.errorType, "client_cancelled");
    const result = await queue.readResult(id);
    assert.equal(result?.statusCode, 499);
    assert.equal(
      Buffer.from(result.body).toString(),
      '{"detail":"Request cancelled by the client.","error_type":"client_cancelled"}',
    );
    assert.equal(await queue.lease(OFFER), undefined);
    assert.equal(await queue.cancel(id), "already_completed");
  });

  test("an unknown request cannot be cancelled", async () => {
    await using fixture = await open();
    assert.equal(await fixture.queue.cancel(createRequest(fixture.clock).id), "not_found");
  });

  test("the holder of a cancelled request learns it from its heartbeat and decides the end", async () => {
    await using fixture = await open();
    const { queue } = fixture;
    const id = await enqueue(fixture);
    const leased = await lease(fixture);
    assert.equal(await queue.cancel(id), "requested");
    assert.equal(await queue.cancel(id), "requested");
    assert.equal((await queue.find(id))?.isCancelRequested, true);
    assert.equal(await queue.heartbeat(leased), "cancel_requested");
    const cancelled = createResult({ state: "cancelled", statusCode: 499, errorType: "client_cancelled" });
    assert.equal(await queue.complete(leased, cancelled), "completed");
    assert.equal((await queue.find(id))?.state, "cancelled");
  });

  test("a request that finished before it heard of the cancel keeps its result", async () => {
    await using fixture = await open();
    const id = await enqueue(fixture);
    const leased = await lease(fixture);
    await fixture.queue.cancel(id);
    assert.equal(await fixture.queue.complete(leased, createResult()), "completed");
    assert.equal((await fixture.queue.find(id))?.state, "succeeded");
  });

  test("a cancelled request is not queued again when its attempt fails, in whatever way", async () => {
    await using fixture = await open();
    const { queue, clock } = fixture;
    const ends: (() => Promise<unknown>)[] = [];
    for (let i = 0; i < 3; i++) {
      const id = await enqueue(fixture);
      const leased = await lease(fixture);
      await queue.cancel(id);
      ends.push(
        [
          () => queue.abandon(leased, { kind: "server_error", message: "crashed" }),
          () => queue.release(leased),
          async () => {
            clock.advance(15_001);
            await queue.sweep();
          },
        ][i]!,
      );
      await ends[i]!();
      assert.equal((await queue.find(id))?.state, "cancelled" satisfies RequestState);
      assert.equal((await queue.readResult(id))?.statusCode, 499);
    }
  });

  test("a request whose start deadline passes in the queue ends with 504, told from other time-outs", async () => {
    await using fixture = await open();
    const { queue, clock } = fixture;
    const id = await enqueue(fixture, { startDeadlineAt: clock.now() + 2_000 });
    clock.advance(1_999);
    assert.deepEqual((await queue.sweep()).expiredStarts, []);
    clock.advance(1);
    assert.deepEqual((await queue.sweep()).expiredStarts, [id]);
    const result = await queue.readResult(id);
    assert.equal(result?.statusCode, 504);
    assert.equal(result.headers["x-fal-request-timeout-type"], "user");
    assert.equal(result.headers["x-fal-error-type"], "startup_timeout");
    const record = await queue.find(id);
    assert.equal(record?.state, "failed");
    assert.equal(record.errorType, "startup_timeout");
  });

  test("a lease passes over requests whose start deadline has gone by", async () => {
    await using fixture = await open();
    const { queue, clock } = fixture;
    const late = await enqueue(fixture, { startDeadlineAt: clock.now() + 10 });
    const good = await enqueue(fixture);
    clock.advance(10);
    assert.equal((await lease(fixture)).requestId, good);
    assert.equal((await queue.readResult(late))?.statusCode, 504);
  });

  test("a start deadline has no effect on a request that runs", async () => {
    await using fixture = await open();
    const { queue, clock } = fixture;
    await enqueue(fixture, { startDeadlineAt: clock.now() + 1_000 });
    const leased = await lease(fixture);
    clock.advance(5_000);
    assert.deepEqual((await queue.sweep()).expiredStarts, []);
    assert.equal(await queue.complete(leased, createResult()), "completed");
  });

  test("a paused endpoint keeps its requests until it is resumed", async () => {
    await using fixture = await open();
    const { queue } = fixture;
    await queue.pause(OFFER.endpointIds[0]!);
    await queue.pause(OFFER.endpointIds[0]!);
    const id = await enqueue(fixture);
    assert.equal(await queue.lease(OFFER), undefined);
    assert.equal((await queue.getStats())[0]?.isPaused, true);
    await queue.resume(OFFER.endpointIds[0]!);
    assert.equal((await lease(fixture)).requestId, id);
  });

  test("a flush ends what is queued for the endpoint and nothing else", async () => {
    await using fixture = await open();
    const { queue } = fixture;
    await enqueue(fixture);
    const running = await lease(fixture);
    const queued: string[] = [];
    for (let i = 0; i < 130; i++) queued.push(await enqueue(fixture));
    const other = await enqueue(fixture, { endpointId: "fal-ai/other" });
    assert.equal(await queue.flush(OFFER.endpointIds[0]!), 130);
    assert.equal((await queue.find(running.requestId))?.state, "running");
    assert.equal((await queue.find(other))?.state, "queued");
    assert.equal((await queue.find(queued[77] as typeof other))?.errorType, "client_cancelled");
    assert.equal(await queue.flush(OFFER.endpointIds[0]!), 0);
  });

  test("the end of a request and the webhook owed for it are one commit", async () => {
    await using fixture = await open();
    const { queue, clock, database } = fixture;
    const webhookUrl = "https://example.com/hook";
    const completed = await enqueue(fixture, { webhookUrl });
    await queue.complete(await lease(fixture), createResult());
    const cancelled = await enqueue(fixture, { webhookUrl });
    await queue.cancel(cancelled);
    const late = await enqueue(fixture, { webhookUrl, startDeadlineAt: clock.now() + 1 });
    clock.advance(1);
    await queue.sweep();
    const invalid = createRequest(clock, { webhookUrl });
    const failed = createResult({ state: "failed", statusCode: 422 });
    await queue.record(invalid, failed, { startedAt: clock.now(), endedAt: clock.now() });
    await enqueue(fixture, { webhookUrl });
    await enqueue(fixture);
    await queue.complete(await lease(fixture), createResult());
    await queue.abandon(await lease(fixture), { kind: "server_error", message: "not the end" });
    const rows = await database.read((tx) =>
      tx.all<{ request_id: string; url: string; state: string; attempt: number; next_at: number }>(
        "SELECT request_id, url, state, attempt, next_at FROM deliveries ORDER BY request_id",
      ),
    );
    assert.equal(rows.length, 5);
    for (const id of [completed, cancelled, late, invalid.id]) {
      const row = rows.find((candidate) => candidate.request_id === id);
      assert.equal(row?.url, webhookUrl);
      assert.equal(row.state, "owed");
      assert.equal(row.attempt, 0);
      assert.ok(row.next_at <= clock.now());
    }
  });
}
