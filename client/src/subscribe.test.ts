import assert from "node:assert/strict";
import { getEventListeners } from "node:events";
import test from "node:test";
import { setTimeout as delay } from "node:timers/promises";
import { ApiError, ConnectionError, ValidationError } from "./api-error.ts";
import { createFalClient } from "./client.ts";
import type { QueueStatus } from "./queue-status.ts";
import { FAST, setUpQueue } from "./testing/set-up-queue.ts";
import { sendJson } from "./testing/test-server.ts";
import { until } from "./testing/until.ts";

test("subscribe submits, tells the request id before it waits, and resolves to data and request id", async (t) => {
  const { app, server, client } = await setUpQueue(t);
  const order: string[] = [];
  app.onSubmit = async (request) => {
    // The caller listens before anything changes, however slow the machine is.
    await until(() => app.streams.size === 1);
    await delay(10);
    app.update(request.id, { status: "IN_PROGRESS", log: "1/2" });
    await delay(10);
    app.update(request.id, { log: "2/2" });
    await delay(10);
    app.complete(request.id, { images: [{ url: "x" }] });
  };
  const updates: QueueStatus[] = [];
  const result = await client.subscribe("acme/model/path", {
    input: { prompt: "a cat" },
    logs: true,
    onEnqueue: (id) => order.push(id),
    onQueueUpdate: (status) => {
      order.push(status.status);
      updates.push(status);
    },
  });
  const [request] = app.requests.values();
  assert.deepEqual(result, { data: { images: [{ url: "x" }] }, requestId: request!.id });
  assert.deepEqual(order, [request!.id, "IN_QUEUE", "IN_PROGRESS", "IN_PROGRESS", "COMPLETED"]);
  const last = updates.at(-1)!;
  assert.ok(last.status === "COMPLETED");
  assert.deepEqual(
    last.logs.map((log) => log.message),
    ["1/2", "2/2"],
  );
  const [submit, stream, get] = server.calls;
  assert.equal(submit!.path, "/queue/acme/model/path");
  assert.deepEqual(JSON.parse(submit!.body.toString()), { prompt: "a cat" });
  assert.equal(submit!.headers.authorization, "Key id:secret");
  assert.equal(submit!.headers["x-fal-queue-priority"], "normal");
  assert.match(String(submit!.headers["idempotency-key"]), /^[0-9a-f-]{36}$/);
  assert.equal(stream!.path, `/queue/acme/model/requests/${request!.id}/status/stream`);
  assert.equal(get!.path, `/queue/acme/model/requests/${request!.id}`);
  assert.equal(server.calls.length, 3);
});

test("subscribe resolves within milliseconds of the end, without polling", async (t) => {
  const { app, client } = await setUpQueue(t);
  let completedAt = 0;
  app.onSubmit = (request) => {
    setTimeout(() => {
      completedAt = performance.now();
      app.complete(request.id, {});
    }, 150);
  };
  await client.subscribe("acme/model", { input: {} });
  assert.ok(performance.now() - completedAt < 100);
});

test("options of the submit travel as headers and query", async (t) => {
  const { app, server, client } = await setUpQueue(t);
  app.onSubmit = (request) => app.complete(request.id, {});
  await client.subscribe("acme/model", {
    input: { a: 1 },
    priority: "low",
    hint: "sticky",
    startTimeout: 30,
    webhookUrl: "https://example.org/hook?a=b",
    headers: { "X-Custom": "1", "x-fal-queue-priority": "normal" },
    storageSettings: { expiresIn: "1h" },
    idempotencyKey: "mine",
  });
  const [{ headers, query }] = server.calls as [(typeof server.calls)[0]];
  assert.equal(headers["x-fal-queue-priority"], "low");
  assert.equal(headers["x-fal-runner-hint"], "sticky");
  assert.equal(headers["x-fal-request-timeout"], "30");
  assert.equal(headers["x-custom"], "1");
  assert.equal(headers["idempotency-key"], "mine");
  assert.equal(headers["x-fal-object-lifecycle-preference"], '{"expiration_duration_seconds":3600}');
  assert.equal(query.get("fal_webhook"), "https://example.org/hook?a=b");
});

test("a start timeout that is no number above 1 fails before anything is sent", async (t) => {
  const { server, client } = await setUpQueue(t);
  for (const startTimeout of [1, 0, Number.NaN, "30" as unknown as number]) {
    await assert.rejects(client.subscribe("acme/model", { input: {}, startTimeout }), /startTimeout must be/);
  }
  await assert.rejects(client.subscribe("nonsense", { input: {} }), /Invalid app id: nonsense/);
  assert.equal(server.calls.length, 0);
});

test("a server without a status stream is polled", async (t) => {
  const { app, server, client } = await setUpQueue(t);
  app.hasStream = false;
  app.onSubmit = (request) => {
    setTimeout(() => app.update(request.id, { status: "IN_PROGRESS", log: "one" }), 20);
    setTimeout(() => app.complete(request.id, { ok: true }), 60);
  };
  const updates: QueueStatus[] = [];
  const { data } = await client.subscribe("acme/model", {
    input: {},
    logs: true,
    pollInterval: 10,
    onQueueUpdate: (status) => updates.push(status),
  });
  assert.deepEqual(data, { ok: true });
  const last = updates.at(-1)!;
  assert.ok(last.status === "COMPLETED");
  assert.deepEqual(
    last.logs.map((log) => log.message),
    ["one"],
  );
  const streams = server.calls.filter((call) => call.path.endsWith("/stream"));
  assert.equal(streams.length, 1);
});

test("polling mode never opens a stream", async (t) => {
  const { app, server, client } = await setUpQueue(t);
  app.onSubmit = (request) => void setTimeout(() => app.complete(request.id, {}), 30);
  await client.subscribe("acme/model", { input: {}, mode: "polling", pollInterval: 10 });
  assert.ok(server.calls.every((call) => !call.path.endsWith("/stream")));
});

test("a stream that is held back on the way is given up for polling", async (t) => {
  const { app, server, client } = await setUpQueue(t);
  t.mock.timers.enable({ apis: ["setTimeout"] });
  app.intercept = (call, response) => {
    if (!call.path.endsWith("/stream")) return false;
    response.writeHead(200, { "content-type": "text/event-stream" }).flushHeaders();
    return true;
  };
  app.onSubmit = (request) => app.complete(request.id, { ok: true });
  const promise = client.subscribe("acme/model", { input: {} });
  await untilReal(() => server.calls.some((call) => call.path.endsWith("/stream")));
  await realDelay(50);
  t.mock.timers.tick(5_000);
  assert.deepEqual((await promise).data, { ok: true });
});

test("a connection that is half open is noticed and replaced", async (t) => {
  const { app, server, client } = await setUpQueue(t);
  t.mock.timers.enable({ apis: ["setTimeout"] });
  let isMute = true;
  app.intercept = (call, response) => {
    if (!call.path.endsWith("/stream") || !isMute) return false;
    const id = call.path.split("/")[5];
    response.writeHead(200, { "content-type": "text/event-stream" });
    response.write(`data: {"status":"IN_QUEUE","queue_position":0,"request_id":"${id}"}\n\n`);
    return true;
  };
  const seen: string[] = [];
  const promise = client.subscribe("acme/model", { input: {}, onQueueUpdate: (s) => seen.push(s.status) });
  await untilReal(() => seen.length === 1);
  const [request] = app.requests.values();
  app.complete(request!.id, { ok: true });
  isMute = false;
  for (const ms of [45_000, 500]) {
    t.mock.timers.tick(ms);
    await realDelay(50);
  }
  assert.deepEqual((await promise).data, { ok: true });
  assert.equal(server.calls.filter((call) => call.path.endsWith("/stream")).length, 2);
});

test("a server that is killed and started again in the middle is waited for, and no log line is lost or doubled", async (t) => {
  const { app, server, client } = await setUpQueue(t);
  const lines: string[][] = [];
  let enqueued = 0;
  const promise = client.subscribe("acme/model", {
    input: {},
    logs: true,
    onEnqueue: () => enqueued++,
    onQueueUpdate: (status) => {
      if ("logs" in status) lines.push(status.logs.map((log) => log.message));
    },
  });
  await until(() => app.streams.size === 1);
  const [request] = app.requests.values();
  app.update(request!.id, { status: "IN_PROGRESS", log: "before" });
  await until(() => lines.length === 1);
  await server.stop();
  app.update(request!.id, { log: "meanwhile" });
  await delay(60);
  await server.start();
  await until(() => app.streams.size === 1);
  app.update(request!.id, { log: "after" });
  app.complete(request!.id, { ok: true });
  assert.deepEqual(await promise, { data: { ok: true }, requestId: request!.id });
  assert.deepEqual(lines.at(-1), ["before", "meanwhile", "after"]);
  assert.equal(enqueued, 1);
  assert.equal(app.requests.size, 1);
});

test("a submit whose answer is lost is sent again with the same key and makes one request", async (t) => {
  const { app, server, client } = await setUpQueue(t);
  let lost = 0;
  const { onSubmit } = app;
  app.onSubmit = (request) => {
    void onSubmit(request);
    app.complete(request.id, { ok: true });
  };
  const { handler } = app;
  server.handler = (call, response, request) => {
    if (call.method === "POST" && lost < 2) {
      lost++;
      const swallow = { ...response, writeHead: () => swallow, end: () => response.destroy() };
      return handler(call, swallow as unknown as typeof response, request);
    }
    return handler(call, response, request);
  };
  await client.subscribe("acme/model", { input: { a: 1 } });
  assert.equal(lost, 2);
  assert.equal(app.requests.size, 1);
  const keys = server.calls
    .filter((call) => call.method === "POST")
    .map((call) => call.headers["idempotency-key"]);
  assert.equal(keys.length, 3);
  assert.equal(new Set(keys).size, 1);
});

test("a storm of 500, 502, 503 and 504 at every stage changes nothing for the caller", async (t) => {
  const { app, server, client } = await setUpQueue(t);
  const storms = new Map<string, number>();
  app.intercept = (call, response) => {
    const key = `${call.method} ${call.path}`;
    const count = storms.get(key) ?? 0;
    storms.set(key, count + 1);
    // A submit that answers 500 may have failed for good: only the others are repeated then.
    const statuses = call.method === "POST" ? [503, 502, 504] : [500, 503, 502];
    const status = statuses[count];
    if (status === undefined) return false;
    sendJson(response, status, { detail: "storm" });
    return true;
  };
  app.onSubmit = (request) => app.complete(request.id, { ok: true });
  const { data } = await client.subscribe("acme/model", { input: {} });
  assert.deepEqual(data, { ok: true });
  assert.equal(app.requests.size, 1);
  assert.ok(server.calls.length >= 12);
});

test("Retry-After is waited for, and an abort ends that wait at once", async (t) => {
  const { app, server, client } = await setUpQueue(t);
  let refusals = 0;
  app.intercept = (call, response) => {
    if (call.method !== "POST" || refusals++ > 0) return false;
    sendJson(response, 429, { detail: "slow down" }, { "retry-after": "0.2" });
    return true;
  };
  app.onSubmit = (request) => app.complete(request.id, {});
  const began = performance.now();
  await client.subscribe("acme/model", { input: {} });
  assert.ok(performance.now() - began >= 195);

  refusals = 0;
  app.intercept = (_call, response) => {
    refusals++;
    sendJson(response, 429, { detail: "slow down" }, { "retry-after": "30" });
    return true;
  };
  const controller = new AbortController();
  const promise = client.subscribe("acme/model", { input: {}, abortSignal: controller.signal });
  await until(() => refusals === 1);
  const before = server.calls.length;
  await delay(20);
  controller.abort(new Error("enough"));
  await assert.rejects(promise, /enough/);
  assert.equal(server.calls.length, before);
});

test("a pause of hours that the server asks for is the caller's to decide on", async (t) => {
  const { app, client } = await setUpQueue(t);
  app.intercept = (_call, response) => {
    sendJson(response, 429, { detail: "daily limit" }, { "retry-after": "7200" });
    return true;
  };
  const error = await client.subscribe("acme/model", { input: {} }).catch((e: unknown) => e);
  assert.ok(error instanceof ApiError);
  assert.equal(error.status, 429);
  assert.equal(error.retryAfterMs, 7_200_000);
  assert.equal(error.message, "daily limit");
});

test("abort before the submit sends nothing", async (t) => {
  const { server, client } = await setUpQueue(t);
  const abortSignal = AbortSignal.abort(new Error("never mind"));
  await assert.rejects(client.subscribe("acme/model", { input: {}, abortSignal }), /never mind/);
  assert.equal(server.calls.length, 0);
});

test("abort while the submit is on its way rejects at once and cancels the request that comes of it", async (t) => {
  const { app, server, client } = await setUpQueue(t);
  app.intercept = async (call) => {
    if (call.method === "POST") await delay(100);
    return false;
  };
  const controller = new AbortController();
  const promise = client.subscribe("acme/model", { input: {}, abortSignal: controller.signal });
  await until(() => server.calls.length === 1);
  const began = performance.now();
  controller.abort();
  await assert.rejects(promise, { name: "AbortError" });
  assert.ok(performance.now() - began < 50);
  await until(() => [...app.requests.values()].some((request) => request.isCancelled), "the cancel");
});

test("abort during the wait cancels the request on the server", async (t) => {
  const { app, client } = await setUpQueue(t);
  for (const mode of [undefined, "polling"] as const) {
    app.requests.clear();
    const controller = new AbortController();
    const promise = client.subscribe("acme/model", {
      input: {},
      abortSignal: controller.signal,
      ...(mode && { mode }),
      onQueueUpdate: () => controller.abort(new Error("changed my mind")),
    });
    await assert.rejects(promise, /changed my mind/);
    await until(() => [...app.requests.values()].every((request) => request.isCancelled), "the cancel");
    assert.equal(app.requests.size, 1);
    assert.equal(getEventListeners(controller.signal, "abort").length, 0);
  }
});

test("abort while the result is read ends the read", async (t) => {
  const { app, client } = await setUpQueue(t);
  const controller = new AbortController();
  app.onSubmit = (request) => app.complete(request.id, {});
  app.intercept = (call, response) => {
    if (!/requests\/[^/]+$/.test(call.path)) return false;
    response.writeHead(200, { "content-type": "application/json" });
    response.write("{");
    controller.abort(new Error("too big"));
    return true;
  };
  await assert.rejects(
    client.subscribe("acme/model", { input: {}, abortSignal: controller.signal }),
    /too big/,
  );
  assert.equal([...app.requests.values()][0]!.isCancelled, false);
});

test("a timeout rejects with its length and cancels the request on the server", async (t) => {
  const { app, client } = await setUpQueue(t);
  const error = await client.subscribe("acme/model", { input: {}, timeout: 50 }).catch((e: unknown) => e);
  assert.ok(error instanceof Error);
  assert.equal(error.name, "TimeoutError");
  assert.equal(error.message, "Client timed out waiting for the request to complete after 50ms");
  await until(() => [...app.requests.values()].every((request) => request.isCancelled), "the cancel");
});

test("subscribe with a request id resumes the wait and submits nothing", async (t) => {
  const { app, server, client } = await setUpQueue(t);
  const { request_id: requestId } = await client.queue.submit("acme/model", { input: {} });
  setTimeout(() => app.complete(requestId, { ok: true }), 20);
  const ids: string[] = [];
  const result = await client.subscribe("acme/model", { requestId, onEnqueue: (id) => ids.push(id) });
  assert.deepEqual(result, { data: { ok: true }, requestId });
  assert.deepEqual(ids, [requestId]);
  assert.equal(server.calls.filter((call) => call.method === "POST").length, 1);
});

test("a server that stays away ends the wait with an error that names the request", async (t) => {
  const { app, server, client } = await setUpQueue(t, { retry: { ...FAST, maxRetries: 3 } });
  const promise = client.subscribe("acme/model", { input: {} });
  await until(() => app.streams.size === 1);
  await server.stop();
  const error = await promise.catch((e: unknown) => e);
  assert.ok(error instanceof ConnectionError);
  assert.equal(error.requestId, [...app.requests.keys()][0]);
  assert.match(error.message, /no answer from http:\/\/127\.0\.0\.1:\d+ \(ECONNREFUSED\).*SLUICE_URL/);
});

test("an input that does not fit throws a ValidationError that says where and why", async (t) => {
  const { app, client } = await setUpQueue(t);
  const detail = [
    { loc: ["body", "prompt"], msg: "Field required", type: "missing" },
    { loc: ["body", "image_size", "width"], msg: "Input should be less than or equal to 14142", type: "le" },
  ];
  app.onSubmit = (request) => app.complete(request.id, { detail }, 422);
  const error = await client.subscribe("acme/model", { input: {} }).catch((e: unknown) => e);
  assert.ok(error instanceof ValidationError);
  assert.ok(error instanceof ApiError);
  assert.equal(
    error.message,
    "prompt: Field required; image_size.width: Input should be less than or equal to 14142",
  );
  assert.equal(error.status, 422);
  assert.deepEqual(error.fieldErrors, detail);
  assert.deepEqual(error.getFieldErrors("width"), [detail[1]]);
  assert.equal(error.requestId, [...app.requests.keys()][0]);
});

test("a request that failed with a status like 503 or 504 is read once, not again and again", async (t) => {
  const { app, server, client } = await setUpQueue(t);
  for (const status of [503, 504]) {
    server.calls.length = 0;
    const body = { detail: "The runner went away", error_type: "runner_disconnected" };
    app.onSubmit = (request) => app.complete(request.id, body, status);
    const error = await client.subscribe("acme/model", { input: {} }).catch((e: unknown) => e);
    assert.ok(error instanceof ApiError);
    assert.equal(error.status, status);
    assert.equal(error.errorType, "runner_disconnected");
    assert.equal(error.message, "The runner went away");
    assert.equal(server.calls.length, 3);
  }
});

test("what onQueueUpdate throws is what subscribe throws, also a TypeError", async (t) => {
  const { server, client } = await setUpQueue(t);
  const mistake = new TypeError("Cannot read properties of undefined (reading 'connection')");
  const promise = client.subscribe("acme/model", {
    input: {},
    onQueueUpdate() {
      throw mistake;
    },
  });
  await assert.rejects(promise, (error) => error === mistake);
  assert.equal(server.calls.filter((call) => call.path.endsWith("/stream")).length, 1);
});

test("an unknown request is a 404 at once", async (t) => {
  const { server, client } = await setUpQueue(t);
  const promise = client.subscribe("acme/model", { requestId: "6b6d1d7e-0000-4000-8000-000000000000" });
  await assert.rejects(promise, { name: "ApiError", status: 404, message: "NOT_FOUND" });
  assert.equal(server.calls.length, 2);
});

test("subscribeToStatus: a timeout cancels, an abort only ends the wait", async (t) => {
  const { app, client } = await setUpQueue(t);
  const { request_id: requestId } = await client.queue.submit("acme/model", { input: {} });
  const controller = new AbortController();
  const aborted = client.queue.subscribeToStatus("acme/model", { requestId, abortSignal: controller.signal });
  await until(() => app.streams.size === 1);
  controller.abort();
  await assert.rejects(aborted, { name: "AbortError" });
  await delay(30);
  assert.equal(app.requests.get(requestId)!.isCancelled, false);
  await assert.rejects(client.queue.subscribeToStatus("acme/model", { requestId, timeout: 30 }), {
    name: "TimeoutError",
  });
  await until(() => app.requests.get(requestId)!.isCancelled, "the cancel");
});

test("a thousand subscribers at once leave no timer, no listener and no connection", async (t) => {
  const { app, server } = await setUpQueue(t);
  const controller = new AbortController();
  const client = createFalClient({ url: server.url, credentials: "id:secret" });
  app.onSubmit = (request) => void setTimeout(() => app.complete(request.id, { n: request.input }), 300);
  const countTimers = () => process.getActiveResourcesInfo().filter((name) => name === "Timeout").length;
  const timersBefore = countTimers();
  const results = await Promise.all(
    Array.from({ length: 1000 }, (_, n) =>
      client.subscribe("acme/model", { input: { n }, abortSignal: controller.signal, timeout: 60_000 }),
    ),
  );
  assert.deepEqual(
    results.map((result) => result.data.n.n),
    Array.from({ length: 1000 }, (_, n) => n),
  );
  assert.equal(getEventListeners(controller.signal, "abort").length, 0);
  await until(() => app.streams.size === 0, "the end of all streams");
  await until(() => countTimers() <= timersBefore + 2, "the end of all timers");
});

/** The test's own waits, where its timers are mocked. */
const realSetTimeout = globalThis.setTimeout;
function realDelay(ms: number): Promise<void> {
  return new Promise((resolve) => void realSetTimeout(resolve, ms));
}
async function untilReal(condition: () => boolean): Promise<void> {
  for (let waited = 0; !condition(); waited += 5) {
    assert.ok(waited < 2000, "the condition did not come true");
    await realDelay(5);
  }
}
