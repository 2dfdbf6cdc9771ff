import assert from "node:assert/strict";
import test, { type TestContext } from "node:test";
import { setTimeout as delay } from "node:timers/promises";
import { decode, encode } from "@msgpack/msgpack";
import { type WebSocket as ServerSocket, WebSocketServer } from "ws";
import type { ApiError } from "./api-error.ts";
import { realtime as bareRealtime, config as configure } from "./bare.ts";
import { createFalClient, type FalClient } from "./client.ts";
import { FAST } from "./testing/set-up-queue.ts";
import { sendJson, startTestServer, type TestServer } from "./testing/test-server.ts";
import { until } from "./testing/until.ts";
import type { Untyped } from "./untyped.ts";

interface Setup {
  readonly server: TestServer;
  readonly client: FalClient;
  readonly sockets: ServerSocket[];
  readonly urls: URL[];
  readonly closes: number[];
  /** What the server does with an input. */
  answer: (input: Untyped, socket: ServerSocket, isBinary: boolean) => void;
}

async function setUp(t: TestContext): Promise<Setup> {
  const server = await startTestServer((call, response) => {
    if (call.path === "/rest/tokens/") sendJson(response, 201, "the.token");
    else sendJson(response, 404, { detail: "Not Found" });
  });
  const upgrades = new WebSocketServer({ noServer: true });
  const setup: Setup = {
    server,
    client: createFalClient({ url: server.url, credentials: "id:secret", retry: FAST }),
    sockets: [],
    urls: [],
    closes: [],
    answer: (input, socket) => socket.send(encode({ echo: input })),
  };
  server.onUpgrade = (request, raw, head) => {
    setup.urls.push(new URL(request.url ?? "", server.url));
    upgrades.handleUpgrade(request, raw, head, (socket) => {
      setup.sockets.push(socket);
      socket.on("close", (code) => setup.closes.push(code));
      socket.on("error", () => undefined);
      socket.on("message", (data: Buffer, isBinary) => {
        setup.answer(isBinary ? decode(data) : JSON.parse(data.toString()), socket, isBinary);
      });
    });
  };
  t.after(() => server.stop());
  return setup;
}

test("inputs and results travel as msgpack over a socket that the first send opens", async (t) => {
  const setup = await setUp(t);
  const results: unknown[] = [];
  const connection = setup.client.realtime.connect("acme/model", {
    maxBuffering: 3,
    onResult: (result) => results.push(result),
  });
  await delay(20);
  assert.equal(setup.server.calls.length, 0);
  connection.send({ prompt: "a", bytes: new Uint8Array([1, 2]) });
  await until(() => results.length === 1);
  assert.deepEqual(results, [{ echo: { prompt: "a", bytes: new Uint8Array([1, 2]) } }]);
  const [url] = setup.urls;
  assert.equal(url!.pathname, "/run/acme/model/realtime");
  assert.equal(url!.search, "?fal_jwt_token=the.token&max_buffering=3");
  const [tokens] = setup.server.calls;
  assert.deepEqual(JSON.parse(tokens!.body.toString()), { allowed_apps: ["model"], token_expiration: 120 });
  connection.close();
  await until(() => setup.closes.length === 1);
  assert.deepEqual(setup.closes, [1000]);
});

test("of inputs within the throttle interval the first goes at once and the last goes after it", async (t) => {
  const setup = await setUp(t);
  const results: Untyped[] = [];
  const { send, close } = setup.client.realtime.connect("acme/model", {
    throttleInterval: 60,
    onResult: (result) => results.push(result.echo.n),
  });
  send({ n: 0 });
  await until(() => results.length === 1);
  await delay(70);
  for (let n = 1; n <= 5; n++) send({ n });
  await until(() => results.length === 3);
  await delay(80);
  assert.deepEqual(results, [0, 1, 5]);
  close();
});

test("while the socket opens, the latest input waits for it", async (t) => {
  const setup = await setUp(t);
  const results: Untyped[] = [];
  const connection = setup.client.realtime.connect("acme/model", {
    throttleInterval: 0,
    onResult: (result) => results.push(result.echo.n),
  });
  for (let n = 0; n < 5; n++) connection.send({ n });
  await until(() => results.length > 0);
  await delay(30);
  assert.deepEqual(results, [4]);
  connection.close();
});

test("close reports nothing, whatever was under way, and a later send opens a new socket", async (t) => {
  const setup = await setUp(t);
  const results: unknown[] = [];
  const errors: unknown[] = [];
  const connection = setup.client.realtime.connect("acme/model", {
    throttleInterval: 10,
    onResult: (result) => results.push(result),
    onError: (error) => errors.push(error),
  });
  connection.send({ n: 1 });
  connection.close();
  await delay(100);
  connection.send({ n: 2 });
  await until(() => results.length === 1);
  setup.answer = (_input, socket) => void setTimeout(() => socket.send(encode({ late: true })), 20);
  await delay(20);
  connection.send({ n: 3 });
  await delay(10);
  connection.close();
  await delay(60);
  assert.deepEqual(results, [{ echo: { n: 2 } }]);
  assert.deepEqual(errors, []);
  connection.send({ n: 4 });
  await until(() => results.length === 2);
  connection.close();
  await until(() => setup.closes.length === setup.sockets.length);
});

test("control messages: timings are dropped, an idle end is silent, errors are told", async (t) => {
  const setup = await setUp(t);
  const results: unknown[] = [];
  const errors: ApiError[] = [];
  const connection = setup.client.realtime.connect("acme/model", {
    throttleInterval: 0,
    onResult: (result) => results.push(result),
    onError: (error) => errors.push(error),
  });
  setup.answer = (_input, socket) => {
    socket.send(JSON.stringify({ type: "x-fal-message", action: "timings", timing: 0.1 }));
    socket.send(JSON.stringify({ type: "x-fal-error", error: "INTERNAL_ERROR", reason: "it broke" }));
    socket.send(JSON.stringify({ type: "x-fal-error", error: "TIMEOUT", reason: "no inputs" }));
    socket.send(JSON.stringify({ text: "result" }));
    socket.close(1000);
  };
  connection.send({ n: 1 });
  await until(() => setup.closes.length === 1);
  await delay(20);
  assert.deepEqual(results, [{ text: "result" }]);
  assert.deepEqual(
    errors.map((error) => [error.status, error.message]),
    [[400, "INTERNAL_ERROR: it broke"]],
  );
});

test("a refused token and a lost connection are told, and the next send connects again", async (t) => {
  const setup = await setUp(t);
  const results: unknown[] = [];
  const errors: ApiError[] = [];
  const connection = setup.client.realtime.connect("acme/model", {
    throttleInterval: 0,
    onResult: (result) => results.push(result),
    onError: (error) => errors.push(error),
  });
  setup.answer = (_input, socket) => {
    socket.send(JSON.stringify({ status: "error", error: "Unauthorized" }));
    socket.close(1008);
  };
  connection.send({ n: 1 });
  await until(() => errors.length === 2);
  assert.deepEqual([errors[0]!.status, errors[0]!.message], [401, "Unauthorized"]);
  assert.equal(errors[1]!.status, 1008);
  setup.answer = (_input, socket) => socket.terminate();
  connection.send({ n: 2 });
  await until(() => errors.length === 3);
  assert.match(errors[2]!.message, /lost \(1006/);
  setup.answer = (input, socket) => socket.send(encode(input));
  connection.send({ n: 3 });
  await until(() => results.length === 1);
  assert.equal(setup.server.calls.length, 3);
  connection.close();
});

test("a token that cannot be had is told", async (t) => {
  const setup = await setUp(t);
  setup.server.handler = (_call, response) =>
    sendJson(response, 401, { detail: "No user found for Key ID and Secret" });
  const errors: ApiError[] = [];
  const connection = setup.client.realtime.connect("acme/model", {
    onResult() {},
    onError: (e) => errors.push(e),
  });
  connection.send({});
  await until(() => errors.length === 1);
  assert.equal(errors[0]!.status, 401);
  assert.equal(errors[0]!.message, "No user found for Key ID and Secret");
});

test("a token provider is asked with the whole path, and its tokens are used until nine tenths of their time", async (t) => {
  const setup = await setUp(t);
  const asked: string[] = [];
  let closes = 0;
  const results: unknown[] = [];
  const connection = setup.client.realtime.connect("acme/model", {
    path: "/ws",
    throttleInterval: 0,
    // Long enough for two round trips on a busy machine.
    tokenExpirationSeconds: 3,
    tokenProvider: async (app) => {
      asked.push(app);
      return `token-${asked.length}`;
    },
    onResult: (result) => results.push(result),
  });
  const roundTrip = async () => {
    connection.send({});
    await until(() => results.length === closes + 1);
    connection.close();
    closes++;
    await until(() => setup.closes.length === closes);
  };
  await roundTrip();
  await roundTrip();
  await delay(3_000);
  await roundTrip();
  assert.deepEqual(asked, ["acme/model/ws", "acme/model/ws"]);
  assert.deepEqual(
    setup.urls.map((url) => url.pathname + url.searchParams.get("fal_jwt_token")),
    ["/run/acme/model/wstoken-1", "/run/acme/model/wstoken-1", "/run/acme/model/wstoken-2"],
  );
  assert.equal(setup.server.calls.length, 0);
});

test("the same connection key shares one socket, and the latest handler hears", async (t) => {
  const setup = await setUp(t);
  const heard: string[] = [];
  const connect = (name: string) =>
    setup.client.realtime.connect("acme/model", {
      connectionKey: "one",
      throttleInterval: 0,
      onResult: () => heard.push(name),
    });
  connect("first").send({});
  await until(() => heard.length === 1);
  const second = connect("second");
  second.send({});
  await until(() => heard.length === 2);
  assert.deepEqual(heard, ["first", "second"]);
  assert.equal(setup.sockets.length, 1);
  second.close();
});

test("custom codecs: text goes as text, and a slow decoder keeps the order", async (t) => {
  const setup = await setUp(t);
  setup.answer = (input, socket, isBinary) => {
    assert.equal(isBinary, false);
    for (const n of [input.n, input.n + 1]) socket.send(String(n));
  };
  const results: unknown[] = [];
  const connection = setup.client.realtime.connect("acme/model", {
    encodeMessage: (input) => JSON.stringify(input),
    decodeMessage: async (data) => {
      await delay(data === "1" ? 30 : 0);
      return { n: Number(data) };
    },
    onResult: (result) => results.push(result.n),
  });
  connection.send({ n: 1 });
  await until(() => results.length === 2);
  assert.deepEqual(results, [1, 2]);
  connection.close();
});

test("what onResult throws is reported by the runtime, and the next message still comes", async (t) => {
  const setup = await setUp(t);
  const uncaught: unknown[] = [];
  const listeners = process.listeners("uncaughtException");
  process.removeAllListeners("uncaughtException");
  process.on("uncaughtException", (error) => uncaught.push(error));
  t.after(() => {
    process.removeAllListeners("uncaughtException");
    for (const listener of listeners) process.on("uncaughtException", listener);
  });
  const results: unknown[] = [];
  const connection = setup.client.realtime.connect("acme/model", {
    throttleInterval: 0,
    onResult: (result) => {
      results.push(result);
      if (results.length === 1) throw new Error("mine");
    },
  });
  connection.send({ n: 1 });
  await until(() => results.length === 1);
  connection.send({ n: 2 });
  await until(() => results.length === 2);
  assert.deepEqual(uncaught.map(String), ["Error: mine"]);
  connection.close();
});

test("an input that cannot be encoded is told and costs no connection", async (t) => {
  const setup = await setUp(t);
  const errors: ApiError[] = [];
  const connection = setup.client.realtime.connect("acme/model", {
    onResult() {},
    onError: (e) => errors.push(e),
  });
  connection.send({ f: Symbol("no") });
  await until(() => errors.length === 1);
  assert.match(errors[0]!.message, /cannot be encoded/);
  assert.equal(setup.urls.length, 0);
});

test("maxBuffering out of range throws, clientOnly does nothing on a server", async (t) => {
  const setup = await setUp(t);
  for (const maxBuffering of [0, 61, 1.5]) {
    assert.throws(
      () => setup.client.realtime.connect("acme/model", { maxBuffering, onResult() {} }),
      /1 to 60/,
    );
  }
  const connection = setup.client.realtime.connect("acme/model", { clientOnly: true, onResult() {} });
  connection.send({});
  connection.close();
  await delay(20);
  assert.equal(setup.server.calls.length, 0);
});

test("without a WebSocket in the runtime the error says what to do, and one can be given", async (t) => {
  const setup = await setUp(t);
  const Native = globalThis.WebSocket;
  t.after(() => {
    globalThis.WebSocket = Native;
  });
  Reflect.deleteProperty(globalThis, "WebSocket");
  const errors: ApiError[] = [];
  setup.client.realtime.connect("acme/model", { onResult() {}, onError: (e) => errors.push(e) }).send({});
  await until(() => errors.length === 1);
  assert.match(errors[0]!.message, /config\(\{ WebSocket \}\)/);
  const results: unknown[] = [];
  const given = createFalClient({ url: setup.server.url, WebSocket: Native });
  const connection = given.realtime.connect("acme/model", { onResult: (result) => results.push(result) });
  connection.send({ n: 1 });
  await until(() => results.length === 1);
  connection.close();
});

test("the bare realtime adds a request id to each input", async (t) => {
  const setup = await setUp(t);
  configure({ url: setup.server.url });
  t.after(() => configure({}));
  const results: Untyped[] = [];
  const connection = bareRealtime.connect("acme/model", {
    throttleInterval: 0,
    onResult: (r) => results.push(r),
  });
  connection.send({ n: 1 });
  await until(() => results.length === 1);
  connection.send({ n: 2, request_id: "mine" });
  await until(() => results.length === 2);
  assert.match(results[0].echo.request_id, /^[0-9a-f-]{36}$/);
  assert.equal(results[1].echo.request_id, "mine");
  connection.close();
});
