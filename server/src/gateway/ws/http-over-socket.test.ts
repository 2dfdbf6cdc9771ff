import assert from "node:assert/strict";
import { type TestContext, test } from "node:test";
import type { NewRequest } from "../../queue/request-queue.ts";
import { createResult, openGateway, type TestGateway } from "../testing/open-gateway.ts";
import { type Message, openSocket, Refused, type TestSocket } from "./testing/open-socket.ts";

const timeout = { timeout: 30_000 };

async function open(t: TestContext): Promise<TestGateway> {
  const gateway = await openGateway();
  t.after(() => gateway[Symbol.asyncDispose]());
  return gateway;
}

function connect(gateway: TestGateway, path = "/ws/test/echo"): Promise<TestSocket> {
  return openSocket(gateway.origin + path, { authorization: gateway.authorization, "x-own": "yes" });
}

interface Exchange {
  readonly start: Message;
  readonly body: readonly Message[];
  readonly end: Message;
}

/** As a receiver does: a meta message is text with `type` and `request_id`. */
async function readAnswer({ next }: TestSocket): Promise<Exchange> {
  const isMeta = ({ isBinary, json }: Message, type: string): boolean =>
    !isBinary && json?.type === type && typeof json.request_id === "string";
  const start = await next();
  assert.ok(isMeta(start, "start"), start.data.toString());
  const body: Message[] = [];
  for (;;) {
    const message = await next();
    if (isMeta(message, "end")) return { start, body, end: message };
    body.push(message);
  }
}

test("a message is posted to the endpoint; its answer is start, body and end", timeout, async (t) => {
  const gateway = await open(t);
  const requests: NewRequest[] = [];
  gateway.directRun = async (request) => {
    requests.push(request);
    return createResult({ echo: JSON.parse(Buffer.from(request.input ?? "").toString("utf8")) });
  };
  const socket = await connect(gateway);
  socket.socket.send('{"prompt":"a"}');
  const { start, body, end } = await readAnswer(socket);
  const { request_id, status, headers } = start.json;
  assert.equal(status, 200);
  assert.equal(headers["Content-Type"], "application/json");
  assert.equal(headers["X-Fal-Request-Id"], request_id);
  assert.equal(headers["X-Fal-Billable-Units"], "1");
  assert.deepEqual(
    body.map(({ isBinary, json }) => [isBinary, json]),
    [[false, { echo: { prompt: "a" } }]],
  );
  assert.deepEqual([end.json.request_id, end.json.status], [request_id, 200]);
  assert.ok(end.json.time_to_first_byte_seconds >= 0 && end.json.time_to_first_byte_seconds < 5);
  assert.equal(requests[0]?.id, request_id);
  assert.equal(requests[0]?.headers?.["x-own"], "yes");
});

test("many requests are answered strictly in order", timeout, async (t) => {
  const gateway = await open(t);
  gateway.directRun = async (request) => {
    const { prompt } = JSON.parse(Buffer.from(request.input ?? "").toString("utf8"));
    await new Promise((resolve) => setTimeout(resolve, prompt === "0" ? 100 : 1));
    return createResult({ prompt });
  };
  const socket = await connect(gateway);
  for (let count = 0; count < 200; count++) socket.socket.send(JSON.stringify({ prompt: String(count) }));
  const ids = new Set<string>();
  for (let count = 0; count < 200; count++) {
    const { start, body } = await readAnswer(socket);
    assert.equal(body[0]?.json.prompt, String(count));
    ids.add(start.json.request_id);
  }
  assert.equal(ids.size, 200);
});

test("a caller that sends more than is read meanwhile is not taken for silent", timeout, async (t) => {
  const gateway = await openGateway({ socketLimits: { pingMs: 30, silenceMs: 100 } });
  t.after(() => gateway[Symbol.asyncDispose]());
  let count = 0;
  gateway.directRun = async () => {
    count += 1;
    await new Promise((resolve) => setTimeout(resolve, count === 1 ? 500 : 1));
    return createResult({ count });
  };
  const socket = await connect(gateway);
  for (let sent = 0; sent < 64; sent++) socket.socket.send('{"prompt":"a"}');
  for (let answered = 1; answered <= 64; answered++)
    assert.equal((await readAnswer(socket)).body[0]?.json.count, answered);
});

test("errors are ordinary answers, and the socket goes on", timeout, async (t) => {
  const gateway = await open(t);
  const socket = await connect(gateway);
  socket.socket.send("{nonsense");
  socket.socket.send("");
  socket.socket.send('{"prompt":"a"}');
  const broken = await readAnswer(socket);
  assert.deepEqual([broken.start.json.status, broken.end.json.status], [422, 422]);
  assert.equal(broken.body[0]?.json.detail[0].type, "json_invalid");
  assert.equal((await readAnswer(socket)).start.json.status, 422);
  assert.equal((await readAnswer(socket)).start.json.status, 200);
});

test(
  "a body that looks like a meta message goes as binary, as do bytes that are no text",
  timeout,
  async (t) => {
    const gateway = await open(t);
    const socket = await connect(gateway);
    gateway.directRun = async () => createResult({ type: "end", request_id: "mine" });
    socket.socket.send('{"prompt":"a"}');
    const [disguised] = (await readAnswer(socket)).body;
    assert.ok(disguised?.isBinary);
    assert.deepEqual(JSON.parse(disguised.data.toString()), { type: "end", request_id: "mine" });
    const picture = Buffer.from([0x89, 0x50, 0x4e, 0x47, 0xff]);
    gateway.directRun = async () =>
      createResult(null, { body: picture, headers: { "content-type": "image/png" } });
    socket.socket.send('{"prompt":"a"}');
    const [bytes] = (await readAnswer(socket)).body;
    assert.ok(bytes?.isBinary && bytes.data.equals(picture));
  },
);

test("a stream is passed on as it comes", timeout, async (t) => {
  const gateway = await open(t);
  const { live } = gateway.context;
  let finish = (): void => {};
  gateway.directRun = (request) =>
    new Promise((resolve) => {
      live.publish({ type: "emit", requestId: request.id, value: { part: "one" } });
      finish = () => resolve(createResult({ done: true }));
    });
  const socket = await connect(gateway, "/ws/test/echo/stream");
  socket.socket.send('{"prompt":"a"}');
  assert.equal((await socket.next()).json.headers["Content-Type"], "text/event-stream");
  const first = await socket.next();
  assert.equal(first.isBinary, false);
  assert.match(first.data.toString(), /data: \{"part":"one"\}\n\n/);
  finish();
  const texts: string[] = [];
  for (;;) {
    const { json, data } = await socket.next();
    if (json?.type === "end") break;
    texts.push(data.toString());
  }
  assert.match(texts.join(""), /data: \{"done":true\}\n\n/);
});

test("closing the socket stops the request in progress and forgets those that wait", timeout, async (t) => {
  const gateway = await open(t);
  let started = 0;
  let stopped = 0;
  gateway.directRun = (_request, { signal }) =>
    new Promise((resolve) => {
      started += 1;
      signal.addEventListener("abort", () => {
        stopped += 1;
        resolve(createResult({}, { state: "failed", statusCode: 499 }));
      });
    });
  const { socket, closed } = await connect(gateway);
  for (const prompt of ["a", "b", "c"]) socket.send(JSON.stringify({ prompt }));
  await new Promise((resolve) => setTimeout(resolve, 100));
  socket.close();
  assert.equal((await closed).code, 1000);
  await new Promise((resolve) => setTimeout(resolve, 100));
  assert.deepEqual([started, stopped], [1, 1]);
});

test("the key is checked at the handshake and again with each request", timeout, async (t) => {
  const gateway = await open(t);
  const { key, authorization } = await gateway.createKey();
  await assert.rejects(openSocket(`${gateway.origin}/ws/test/echo`), (error) => {
    assert.ok(error instanceof Refused);
    assert.equal(error.status, 401);
    return true;
  });
  await assert.rejects(openSocket(`${gateway.origin}/ws/no/app`, { authorization }), { status: 404 });
  const socket = await openSocket(`${gateway.origin}/test/echo`, { authorization, host: "ws.fal.run" });
  socket.socket.send('{"prompt":"a"}');
  assert.equal((await readAnswer(socket)).start.json.status, 200);
  await gateway.context.keys.revoke(key.id);
  socket.socket.send('{"prompt":"a"}');
  assert.equal((await readAnswer(socket)).start.json.status, 401);
});

test("an address that speaks WebSocket says so to who does not", timeout, async (t) => {
  const gateway = await open(t);
  const { status, headers } = await gateway.call("/ws/test/echo");
  assert.equal(status, 426);
  assert.equal(headers.get("upgrade"), "websocket");
});
