import assert from "node:assert/strict";
import { test } from "node:test";
import { createRequestId, type RequestId } from "../ids.ts";
import { createLive } from "./create-live.ts";
import type { Update } from "./live.ts";

const emit = (requestId: RequestId, value: unknown): Update => ({ type: "emit", requestId, value });
const newId = (): RequestId => createRequestId(Date.now());

test("a subscriber hears what was published since it subscribed, in order, and nothing of other requests", async () => {
  const live = createLive();
  const id = newId();
  const stop = new AbortController();
  live.publish(emit(id, "before"));
  const updates = live.subscribe(id, stop.signal);
  live.publish(emit(id, 1));
  live.publish(emit(newId(), "other"));
  live.publish(emit(id, 2));
  const heard: unknown[] = [];
  for await (const update of updates) {
    heard.push(update.type === "emit" ? update.value : update.type);
    if (heard.length === 2) setImmediate(() => live.publish(emit(id, 3)));
    if (heard.length === 3) break;
  }
  assert.deepEqual(heard, [1, 2, 3]);
});

test("aborting ends a waiting subscription without an error", async () => {
  const live = createLive();
  const stop = new AbortController();
  setImmediate(() => stop.abort(new Error("gone")));
  for await (const update of live.subscribe(newId(), stop.signal)) assert.fail(`heard ${update.type}`);
  for await (const update of live.subscribe(newId(), stop.signal)) assert.fail(`heard ${update.type}`);
});

test("a subscriber that does not read keeps the newest thousand updates", async () => {
  const live = createLive();
  const id = newId();
  const stop = new AbortController();
  const updates = live.subscribe(id, stop.signal);
  for (let value = 0; value < 1_500; value++) live.publish(emit(id, value));
  const heard: unknown[] = [];
  for await (const update of updates) {
    heard.push(update.type === "emit" ? update.value : undefined);
    if (heard.length === 1_000) break;
  }
  assert.deepEqual([heard[0], heard.at(-1)], [500, 1_499]);
});

test("previews are wanted only while a subscriber of the request asks for them", () => {
  const live = createLive();
  const id = newId();
  const stop = new AbortController();
  assert.equal(live.hasPreviewListener(id), false);
  live.subscribe(id, stop.signal);
  live.subscribeAll(() => {});
  assert.equal(live.hasPreviewListener(id), false);
  live.subscribe(id, stop.signal, { wantsPreviews: true });
  assert.equal(live.hasPreviewListener(id), true);
  assert.equal(live.hasPreviewListener(newId()), false);
  stop.abort();
  assert.equal(live.hasPreviewListener(id), false);
});

test("waiting for work ends at a wake for one of the endpoints, at the time-out, or at abort", async () => {
  const live = createLive();
  const never = new AbortController().signal;
  let isWoken = false;
  const waiting = live.waitForWork(["a/b", "a/c"], 60_000, never).then(() => {
    isWoken = true;
  });
  live.wake("a/d");
  await new Promise(setImmediate);
  assert.equal(isWoken, false);
  live.wake("a/c");
  await waiting;
  await live.waitForWork(["a/b"], 5, never);
  const stop = new AbortController();
  setImmediate(() => stop.abort());
  await live.waitForWork(["a/b"], 60_000, stop.signal);
  await live.waitForWork(["a/b"], 60_000, AbortSignal.abort());
});

test("a cancel reaches every listener that has not stopped listening", () => {
  const live = createLive();
  const heard: string[] = [];
  const stopFirst = live.onCancel((id) => heard.push(`first ${id}`));
  live.onCancel((id) => heard.push(`second ${id}`));
  const id = newId();
  live.requestCancel(id);
  stopFirst();
  live.requestCancel(id);
  assert.deepEqual(heard, [`first ${id}`, `second ${id}`, `second ${id}`]);
});

test("a listener for everything hears every request until it stops", () => {
  const live = createLive();
  const heard: unknown[] = [];
  const stop = live.subscribeAll((update) => heard.push(update.requestId));
  const [first, second] = [newId(), newId()];
  live.publish(emit(first, 1));
  live.publish(emit(second, 2));
  stop();
  live.publish(emit(first, 3));
  assert.deepEqual(heard, [first, second]);
});
