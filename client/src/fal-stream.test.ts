import assert from "node:assert/strict";
import { getEventListeners } from "node:events";
import type { ServerResponse } from "node:http";
import test, { type TestContext } from "node:test";
import { setTimeout as delay } from "node:timers/promises";
import { ApiError, ConnectionError, ValidationError } from "./api-error.ts";
import { createFalClient, type FalClient } from "./client.ts";
import { FAST } from "./testing/set-up-queue.ts";
import { type Handler, sendJson, startTestServer, type TestServer } from "./testing/test-server.ts";
import { until } from "./testing/until.ts";

async function setUp(t: TestContext, handler: Handler): Promise<{ server: TestServer; client: FalClient }> {
  const server = await startTestServer(handler);
  t.after(() => server.stop());
  return { server, client: createFalClient({ url: server.url, credentials: "id:secret", retry: FAST }) };
}

function sendEvents(response: ServerResponse, ...events: unknown[]): void {
  if (!response.headersSent) {
    response.writeHead(200, { "content-type": "text/event-stream", "x-fal-request-id": "the-id" });
  }
  for (const event of events) response.write(`data: ${JSON.stringify(event)}\n\n`);
}

async function collect<T>(stream: AsyncIterable<T>): Promise<T[]> {
  const all: T[] = [];
  for await (const event of stream) all.push(event);
  return all;
}

test("a stream yields its events, ends, and done() is the last one", async (t) => {
  const { server, client } = await setUp(t, (_call, response) => {
    sendEvents(response, { n: 1 }, { n: 2 }, { n: 3 });
    response.end();
  });
  const stream = await client.stream("acme/model", { input: { prompt: "x" }, queryParams: { a: "1" } });
  assert.deepEqual(await collect(stream), [{ n: 1 }, { n: 2 }, { n: 3 }]);
  assert.deepEqual(await stream.done(), { n: 3 });
  assert.equal(stream.requestId, "the-id");
  const [call] = server.calls;
  assert.equal(call!.method, "POST");
  assert.equal(call!.path, "/run/acme/model/stream");
  assert.equal(call!.query.get("a"), "1");
  assert.equal(call!.headers.accept, "text/event-stream");
  assert.deepEqual(JSON.parse(call!.body.toString()), { prompt: "x" });
});

test("iterating after the end gives what nobody has taken, and ends", async (t) => {
  const { client } = await setUp(t, (_call, response) => {
    sendEvents(response, 1, 0, null, "");
    response.end();
  });
  const stream = await client.stream("acme/model/stream", { input: {} });
  await stream.done();
  assert.deepEqual(await collect(stream), [1, 0, null, ""]);
  assert.deepEqual(await collect(stream), []);
});

test("events come as they are sent, not in a batch", async (t) => {
  const { client } = await setUp(t, async (_call, response) => {
    // Each event waits until the reader has the one before: a batch would wait for ever.
    for (const n of [1, 2, 3]) {
      sendEvents(response, n);
      await until(() => seen.includes(n));
    }
    response.end();
  });
  const seen: unknown[] = [];
  const stream = await client.stream("acme/model", { input: {}, timeout: 20_000 });
  for await (const n of stream) seen.push(n);
  assert.deepEqual(seen, [1, 2, 3]);
});

test("listeners hear data, message and done", async (t) => {
  const { client } = await setUp(t, (_call, response) => {
    sendEvents(response, 1, 2);
    response.end();
  });
  const stream = await client.stream("acme/model", { input: {} });
  const heard: unknown[] = [];
  for (const type of ["data", "message", "done"] as const)
    stream.on(type, (event) => heard.push([type, event]));
  await stream.done();
  assert.deepEqual(heard, [
    ["data", 1],
    ["message", 1],
    ["data", 2],
    ["message", 2],
    ["done", 2],
  ]);
});

test("a refused stream throws from the loop and from done(), and leaves no unhandled rejection", async (t) => {
  const { client } = await setUp(t, (_call, response) => {
    const detail = [{ loc: ["body", "prompt"], msg: "Field required", type: "missing" }];
    sendJson(response, 422, { detail }, { "x-fal-request-id": "the-id" });
  });
  const stream = await client.stream("acme/model", { input: {} });
  const errors: unknown[] = [];
  stream.on("error", (error) => errors.push(error));
  await assert.rejects(collect(stream), (error) => {
    assert.ok(error instanceof ValidationError);
    assert.equal(error.message, "prompt: Field required");
    assert.equal(error.requestId, "the-id");
    return true;
  });
  await assert.rejects(stream.done(), { status: 422 });
  assert.equal(errors.length, 1);
  await client.stream("acme/model", { input: {} });
  await delay(50);
});

test("a failure in the middle arrives as an error with the status and body that the server tells", async (t) => {
  const { client } = await setUp(t, (_call, response) => {
    sendEvents(response, { n: 1 }, { error: { status: 500, body: { detail: "It broke" } } });
    response.end();
  });
  const stream = await client.stream("acme/model", { input: {} });
  const seen: unknown[] = [];
  const error = await (async () => {
    for await (const event of stream) seen.push(event);
  })().catch((e: unknown) => e);
  assert.deepEqual(seen, [{ n: 1 }]);
  assert.ok(error instanceof ApiError);
  assert.equal(error.status, 500);
  assert.equal(error.message, "It broke");
  assert.equal(error.requestId, "the-id");
});

test("an event that is not JSON fails the stream", async (t) => {
  const { client } = await setUp(t, (_call, response) => {
    response.writeHead(200, { "content-type": "text/event-stream" });
    response.end("data: {oops\n\n");
  });
  const stream = await client.stream("acme/model", { input: {} });
  await assert.rejects(stream.done(), /not JSON/);
});

test("a body that is no event stream comes as chunks of bytes", async (t) => {
  const { client } = await setUp(t, (_call, response) => {
    response.writeHead(200, { "content-type": "audio/mpeg" });
    response.end("abc");
  });
  const stream = await client.stream("acme/model", { input: {}, accept: "audio/mpeg" });
  const chunks = (await collect(stream)) as Uint8Array[];
  assert.equal(Buffer.concat(chunks).toString(), "abc");
});

test("abort ends the request; the loop ends and done() has the last event", async (t) => {
  let isClosed = false;
  const { client } = await setUp(t, (_call, response) => {
    sendEvents(response, 1);
    response.on("close", () => {
      isClosed = true;
    });
  });
  const controller = new AbortController();
  for (const abort of ["own", "signal"] as const) {
    isClosed = false;
    const stream = await client.stream("acme/model", { input: {}, signal: controller.signal });
    const seen: unknown[] = [];
    for await (const event of stream) {
      seen.push(event);
      if (abort === "own") stream.abort();
      else controller.abort();
    }
    assert.deepEqual(seen, [1]);
    assert.equal(await stream.done(), 1);
    assert.ok(stream.signal.aborted);
    await until(() => isClosed, "the end of the call");
  }
  assert.equal(getEventListeners(controller.signal, "abort").length, 0);
});

test("a stream on which nothing comes any more fails after the timeout", async (t) => {
  const { server, client } = await setUp(t, (_call, response) => sendEvents(response, 1));
  const stream = await client.stream("acme/model", { input: {}, timeout: 60 });
  await assert.rejects(collect(stream), {
    name: "TimeoutError",
    message: "Nothing came from the server for 60ms",
  });
  await until(() => server.pending.size === 0, "the end of the call");
});

test("signs of life that are no events keep a stream alive", async (t) => {
  const { client } = await setUp(t, async (_call, response) => {
    sendEvents(response, 1);
    for (let n = 0; n < 4; n++) {
      await delay(40);
      response.write(": keepalive\n\n");
    }
    sendEvents(response, 2);
    response.end();
  });
  const stream = await client.stream("acme/model", { input: {}, timeout: 100 });
  assert.deepEqual(await collect(stream), [1, 2]);
});

test("a connection lost before the caller saw an event is made again", async (t) => {
  let tries = 0;
  const { client } = await setUp(t, (_call, response) => {
    tries++;
    sendEvents(response, { step: 1 });
    if (tries < 3) void delay(20).then(() => response.destroy());
    else {
      sendEvents(response, { step: 2 });
      response.end();
    }
  });
  const stream = await client.stream("acme/model", { input: {} });
  assert.deepEqual(await stream.done(), { step: 2 });
  assert.equal(tries, 3);
});

test("a connection lost later is an error, unless the caller lets the stream start over", async (t) => {
  let tries = 0;
  const { client } = await setUp(t, (_call, response) => {
    tries++;
    sendEvents(response, 1);
    if (tries % 2 === 1) void delay(30).then(() => response.destroy());
    else {
      sendEvents(response, 2);
      response.end();
    }
  });
  const stream = await client.stream("acme/model", { input: {} });
  await assert.rejects(collect(stream), (error) => error instanceof ConnectionError);
  tries = 0;
  const patient = await client.stream("acme/model", { input: {}, reconnect: true });
  assert.deepEqual(await collect(patient), [1, 1, 2]);
});

test("a slow reader makes the server wait instead of filling the memory", async (t) => {
  let written = 0;
  const text = "x".repeat(64 * 1024);
  const { client } = await setUp(t, async (_call, response) => {
    response.setMaxListeners(0);
    for (written = 0; written < 2000 && !response.destroyed; written++) {
      sendEvents(response, text);
      if (response.writableNeedDrain) {
        await Promise.race([
          new Promise((resolve) => response.once("drain", resolve)),
          new Promise((resolve) => response.once("close", resolve)),
        ]);
      }
    }
    response.end();
  });
  const stream = await client.stream("acme/model", { input: {} });
  for await (const _ of stream) {
    await delay(300);
    break;
  }
  const iterator = stream[Symbol.asyncIterator]();
  await iterator.next();
  await delay(300);
  assert.ok(written < 2000, `the server could write all ${written} events`);
  stream.abort();
});

test("client mode goes with a token and without the key", async (t) => {
  const { server, client } = await setUp(t, (call, response) => {
    if (call.path === "/rest/tokens/") return sendJson(response, 201, "the.token");
    sendEvents(response, 1);
    response.end();
  });
  const stream = await client.stream("acme/model", { input: {}, connectionMode: "client" });
  assert.equal(await stream.done(), 1);
  const [tokens, call] = server.calls;
  assert.deepEqual(JSON.parse(tokens!.body.toString()), { allowed_apps: ["model"], token_expiration: 120 });
  assert.equal(tokens!.headers.authorization, "Key id:secret");
  assert.equal(call!.query.get("fal_jwt_token"), "the.token");
  assert.equal(call!.headers.authorization, undefined);
});
