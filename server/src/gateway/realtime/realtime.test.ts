import assert from "node:assert/strict";
import { type TestContext, test } from "node:test";
import { encode } from "@msgpack/msgpack";
import { createManifest } from "../../catalog/testing/create-manifest.ts";
import type { AccountId } from "../../ids.ts";
import type { NewRequest, RequestResult } from "../../queue/request-queue.ts";
import { createResult, ECHO, openGateway, type TestGateway } from "../testing/open-gateway.ts";
import { openSocket, Refused, type TestSocket } from "../ws/testing/open-socket.ts";

const timeout = { timeout: 30_000 };
const MODELS = [
  ECHO,
  createManifest("test/echo/loud", { input: ECHO.input }),
  createManifest("test/picture", {
    input: { type: "object", properties: { prompt: { type: "string" }, sync_mode: { type: "boolean" } } },
  }),
  createManifest("test/live/realtime", { input: { type: "object" } }),
];

async function open(t: TestContext, options: Parameters<typeof openGateway>[0] = {}): Promise<TestGateway> {
  const gateway = await openGateway({ models: MODELS, ...options });
  t.after(() => gateway[Symbol.asyncDispose]());
  return gateway;
}

async function connect(gateway: TestGateway, path = "/run/test/echo/realtime"): Promise<TestSocket> {
  return await openSocket(gateway.origin + path, { authorization: gateway.authorization });
}

const readInput = (request: NewRequest): Record<string, unknown> =>
  JSON.parse(Buffer.from(request.input ?? "").toString("utf8"));

/** A model that answers when it is told to. */
function createSlowModel(gateway: TestGateway): { readonly inputs: unknown[]; release(): Promise<void> } {
  const held: (() => void)[] = [];
  const inputs: unknown[] = [];
  gateway.directRun = (request) =>
    new Promise((resolve) => {
      const input = readInput(request);
      inputs.push(input["prompt"]);
      held.push(() => resolve(createResult({ echo: input["prompt"] })));
    });
  return {
    inputs,
    async release() {
      while (held.length === 0) await new Promise((resolve) => setTimeout(resolve, 5));
      held.shift()?.();
    },
  };
}

test(
  "inputs are msgpack, so are results, and request_id is echoed but not given to the model",
  timeout,
  async (t) => {
    const gateway = await open(t);
    const requests: NewRequest[] = [];
    gateway.directRun = async (request) => {
      requests.push(request);
      return createResult({ echo: readInput(request) });
    };
    const { socket, next } = await connect(gateway);
    socket.send(encode({ prompt: "a", request_id: "one" }));
    const first = await next();
    assert.ok(first.isBinary);
    assert.deepEqual(first.json, { echo: { prompt: "a" }, request_id: "one" });
    socket.send(encode({ prompt: "b" }));
    assert.deepEqual((await next()).json, { echo: { prompt: "b" } });
    assert.deepEqual(
      requests.map(({ surface, endpointId }) => [surface, endpointId]),
      [
        ["realtime", "test/echo"],
        ["realtime", "test/echo"],
      ],
    );
    assert.notEqual(requests[0]?.id, requests[1]?.id);
  },
);

test("a text frame is a JSON input and is answered by text", timeout, async (t) => {
  const gateway = await open(t);
  const { socket, next } = await connect(gateway);
  socket.send(JSON.stringify({ prompt: "a", request_id: 7 }));
  const { isBinary, json } = await next();
  assert.equal(isBinary, false);
  assert.deepEqual(json, { echo: { prompt: "a" }, request_id: 7 });
});

test(
  "bytes in an input become a data URI; pictures come back inside the answer unless asked otherwise",
  timeout,
  async (t) => {
    const gateway = await open(t);
    const { socket, next } = await connect(gateway, "/run/test/picture/realtime");
    socket.send(encode({ prompt: "a", image: new Uint8Array([1, 2, 3]) }));
    assert.deepEqual((await next()).json, {
      echo: { prompt: "a", image: "data:application/octet-stream;base64,AQID", sync_mode: true },
    });
    socket.send(encode({ prompt: "a", sync_mode: false }));
    assert.deepEqual((await next()).json.echo, { prompt: "a", sync_mode: false });
  },
);

test("every path of an endpoint opens it: realtime, ws, its own, virtual hosts too", timeout, async (t) => {
  const gateway = await open(t);
  const endpoints: string[] = [];
  gateway.directRun = async (request) => {
    endpoints.push(request.endpointId);
    return createResult({});
  };
  const paths = [
    "/run/test/echo/realtime",
    "/run/test/echo/ws",
    "/run/test/echo",
    "/run/test/echo/loud/realtime",
    "/run/test/echo/loud",
    "/run/test/live/realtime",
  ];
  for (const path of paths) {
    const { socket, next } = await connect(gateway, path);
    socket.send(encode({ prompt: "a" }));
    await next();
    socket.close();
  }
  const { socket, next } = await openSocket(`${gateway.origin}/test/echo/realtime`, {
    authorization: gateway.authorization,
    host: "fal.run",
  });
  socket.send(encode({ prompt: "a" }));
  await next();
  assert.deepEqual(endpoints, [
    ...["test/echo", "test/echo", "test/echo", "test/echo/loud", "test/echo/loud", "test/live/realtime"],
    "test/echo",
  ]);
});

test("while one input is processed the newest waits and older ones are dropped", timeout, async (t) => {
  const gateway = await open(t);
  const model = createSlowModel(gateway);
  const { socket, next } = await connect(gateway);
  for (const prompt of ["a", "b", "c", "d"]) socket.send(encode({ prompt }));
  await new Promise((resolve) => setTimeout(resolve, 100));
  await model.release();
  assert.equal((await next()).json.echo, "a");
  await model.release();
  assert.equal((await next()).json.echo, "d");
  assert.deepEqual(model.inputs, ["a", "d"]);
});

test("max_buffering says how many wait, and their order stays", timeout, async (t) => {
  const gateway = await open(t);
  for (const [query, kept] of [
    ["max_buffering=3", ["a", "c", "d", "e"]],
    ["max_buffering=60", ["a", "b", "c", "d", "e"]],
    ["max_buffering=900", ["a", "b", "c", "d", "e"]],
    ["max_buffering=0", ["a", "e"]],
    ["max_buffering=many", ["a", "e"]],
  ] as const) {
    const model = createSlowModel(gateway);
    const { socket, next } = await connect(gateway, `/run/test/echo/realtime?${query}`);
    for (const prompt of ["a", "b", "c", "d", "e"]) socket.send(encode({ prompt }));
    await new Promise((resolve) => setTimeout(resolve, 50));
    for (const prompt of kept) {
      await model.release();
      assert.equal((await next()).json.echo, prompt, query);
    }
    assert.deepEqual(model.inputs, kept, query);
    socket.close();
  }
});

test("an input that does not fit is told in text, and the next one is answered", timeout, async (t) => {
  const gateway = await open(t);
  const { socket, next } = await connect(gateway, "/run/test/echo/realtime?max_buffering=60");
  socket.send(encode({ prompt: 5, request_id: "bad" }));
  socket.send("{nonsense");
  socket.send(encode([1, 2]));
  socket.send(Uint8Array.of(0xc1));
  socket.send(encode({ prompt: "good" }));
  const first = await next();
  assert.equal(first.isBinary, false);
  const { type, error, reason, request_id } = first.json;
  assert.deepEqual([type, error, request_id], ["x-fal-error", "INVALID_INPUT", "bad"]);
  const [detail] = JSON.parse(reason);
  assert.deepEqual([detail.loc, detail.type], [["body", "prompt"], "string_type"]);
  for (const expected of ["json_invalid", "model_attributes_type", "value_error"]) {
    const { json } = await next();
    assert.equal(json.error, "INVALID_INPUT");
    assert.equal(JSON.parse(json.reason)[0].type, expected);
  }
  assert.deepEqual((await next()).json, { echo: { prompt: "good" } });
});

test("a failure of the model is told and ends the session with 1000", timeout, async (t) => {
  const gateway = await open(t);
  const body = { detail: [{ loc: ["body"], msg: "The weights are gone", type: "internal_server_error" }] };
  gateway.directRun = async () => fail(500, body);
  const { socket, next, closed } = await connect(gateway);
  socket.send(encode({ prompt: "a" }));
  assert.deepEqual((await next()).json, {
    type: "x-fal-error",
    error: "INTERNAL_ERROR",
    reason: "The weights are gone",
  });
  assert.equal((await closed).code, 1000);
});

test(
  "a refusal of the model is told and the session goes on; a server that is too busy closes with 1013",
  timeout,
  async (t) => {
    const gateway = await open(t);
    const refusal = { detail: [{ loc: ["body", "prompt"], msg: "no", type: "content_policy_violation" }] };
    gateway.directRun = async () => fail(422, refusal);
    const { socket, next, closed } = await connect(gateway);
    socket.send(encode({ prompt: "a" }));
    assert.deepEqual(JSON.parse((await next()).json.reason), refusal.detail);
    const busy = { detail: "No runner", error_type: "runner_scheduling_failure" };
    gateway.directRun = async () => ({ ...fail(503, busy), errorType: "runner_scheduling_failure" });
    socket.send(encode({ prompt: "b" }));
    assert.equal((await next()).json.reason, "No runner");
    assert.equal((await closed).code, 1013);
  },
);

function fail(statusCode: number, body: unknown): RequestResult {
  return createResult(body, { state: "failed", statusCode, billableUnits: 0, inferenceSeconds: null });
}

test("timings follow their result when they are asked for", timeout, async (t) => {
  const gateway = await open(t);
  const { socket, next } = await connect(gateway, "/run/test/echo/realtime?emit_timings=true");
  socket.send(encode({ prompt: "a" }));
  assert.deepEqual((await next()).json, { echo: { prompt: "a" } });
  const { isBinary, json } = await next();
  assert.equal(isBinary, false);
  assert.deepEqual(json, { type: "x-fal-message", action: "timings", timing: 0.25 });
});

test(
  "a session without inputs ends with TIMEOUT and 1000, but not while one is processed",
  timeout,
  async (t) => {
    const gateway = await open(t, { settings: { realtimeIdleMs: 200 } });
    const model = createSlowModel(gateway);
    const { socket, next, closed } = await connect(gateway);
    socket.send(encode({ prompt: "a" }));
    await new Promise((resolve) => setTimeout(resolve, 400));
    await model.release();
    assert.equal((await next()).json.echo, "a");
    assert.deepEqual((await next()).json, {
      type: "x-fal-error",
      error: "TIMEOUT",
      reason: "no inputs, reconnect when needed!",
    });
    assert.equal((await closed).code, 1000);
  },
);

test("an empty close is answered with 1000, and the input in progress is stopped", timeout, async (t) => {
  const gateway = await open(t);
  let isStopped = false;
  gateway.directRun = (_request, { signal }) =>
    new Promise((resolve) => {
      signal.addEventListener("abort", () => {
        isStopped = true;
        resolve(fail(499, { detail: "gone" }));
      });
    });
  const { socket, closed } = await connect(gateway);
  socket.send(encode({ prompt: "a" }));
  await new Promise((resolve) => setTimeout(resolve, 50));
  socket.close();
  assert.equal((await closed).code, 1000);
  await new Promise((resolve) => setTimeout(resolve, 50));
  assert.ok(isStopped);
});

test(
  "a token opens what it names; a bad one is told on the socket and closed with 1008",
  timeout,
  async (t) => {
    const gateway = await open(t);
    const getToken = async (apps: string[]): Promise<string> => {
      const { json } = await gateway.call("/rest/tokens/", { json: { allowed_apps: apps } });
      return json;
    };
    const url = (token: string) => `${gateway.origin}/run/test/echo/realtime?fal_jwt_token=${token}`;
    for (const app of ["echo", "test/echo", "test/echo/realtime"]) {
      const { socket, next } = await openSocket(url(await getToken([app])));
      socket.send(encode({ prompt: app }));
      assert.equal((await next()).json.echo.prompt, app);
      socket.close();
    }
    for (const token of ["nonsense", await getToken(["picture"])]) {
      const { next, closed } = await openSocket(url(token));
      const { isBinary, json } = await next();
      assert.equal(isBinary, false);
      assert.deepEqual(json, { status: "error", error: "Unauthorized" });
      assert.equal((await closed).code, 1008);
    }
  },
);

test("no credential, a wrong key and what is not there are refused in HTTP", timeout, async (t) => {
  const gateway = await open(t);
  const { authorization } = gateway;
  const wrong = `${authorization.slice(0, -4)}0000`;
  for (const [path, headers, status, detail] of [
    ["/run/test/echo/realtime", {}, 401, /Cannot access application \\"test\/echo\\"/],
    ["/run/test/echo/realtime", { authorization: wrong }, 401, /No user found/],
    ["/run/test/nothing/realtime", { authorization }, 404, /Application \\"nothing\\" not found/],
    ["/run/test/echo/quiet/realtime", { authorization }, 404, /Path \/quiet\/realtime not found/],
    ["/queue/test/echo", { authorization }, 404, /does not speak WebSocket/],
    ["/", { authorization }, 404, /does not speak WebSocket/],
  ] as const) {
    await assert.rejects(openSocket(gateway.origin + path, headers), (error) => {
      assert.ok(error instanceof Refused, String(error));
      assert.equal(error.status, status, path);
      assert.match(error.text, detail);
      return true;
    });
  }
});

test("a key's limit of requests in progress holds here too", timeout, async (t) => {
  const gateway = await open(t);
  const { authorization } = await gateway.createKey({
    limits: { concurrency: 1 },
    accountId: "33333333-3333-4333-8333-333333333333" as AccountId,
  });
  const model = createSlowModel(gateway);
  const url = `${gateway.origin}/run/test/echo/realtime`;
  const first = await openSocket(url, { authorization });
  const second = await openSocket(url, { authorization });
  first.socket.send(encode({ prompt: "a" }));
  await new Promise((resolve) => setTimeout(resolve, 100));
  second.socket.send(encode({ prompt: "b" }));
  assert.equal((await second.next()).json.error, "CONCURRENT_REQUESTS_LIMIT");
  await model.release();
  assert.equal((await first.next()).json.echo, "a");
  second.socket.send(encode({ prompt: "c" }));
  await model.release();
  assert.equal((await second.next()).json.echo, "c");
});

test("a key's requests per day are counted here too", timeout, async (t) => {
  const gateway = await open(t);
  const { authorization } = await gateway.createKey({ limits: { requestsPerDay: 1 } });
  const { socket, next } = await openSocket(`${gateway.origin}/run/test/echo/realtime`, { authorization });
  socket.send(encode({ prompt: "a" }));
  assert.equal((await next()).json.echo.prompt, "a");
  socket.send(encode({ prompt: "b" }));
  assert.equal((await next()).json.error, "RATE_LIMITED");
});

test("a message that is too long closes with 1009, too many sockets with 1013", timeout, async (t) => {
  const gateway = await open(t, { socketLimits: { maxMessageBytes: 1_000, maxSockets: 2 } });
  const { socket, closed } = await connect(gateway);
  await connect(gateway);
  assert.equal((await (await connect(gateway)).closed).code, 1013);
  socket.send(encode({ prompt: "x".repeat(2_000) }));
  assert.equal((await closed).code, 1009);
});

test("a side that has gone silent is dropped, one that answers pings is kept", timeout, async (t) => {
  const gateway = await open(t, { socketLimits: { pingMs: 50, silenceMs: 200 } });
  const alive = await connect(gateway);
  const silent = await connect(gateway);
  silent.socket.pause(); // It reads nothing, so it answers no ping.
  let isStopped = false;
  gateway.directRun = (_request, { signal }) =>
    new Promise((resolve) => {
      signal.addEventListener("abort", () => {
        isStopped = true;
        resolve(fail(499, {}));
      });
    });
  silent.socket.send(encode({ prompt: "a" }));
  await new Promise((resolve) => setTimeout(resolve, 800));
  assert.ok(isStopped, "what the dropped side asked for is stopped");
  gateway.directRun = async () => createResult({ ok: true });
  alive.socket.send(encode({ prompt: "a" }));
  assert.deepEqual((await alive.next()).json, { ok: true });
  silent.socket.terminate();
});

test("a server that stops closes its sockets with 1001", timeout, async (t) => {
  const gateway = await open(t);
  const idle = await connect(gateway);
  await gateway.listener.close(1_000);
  assert.equal((await idle.closed).code, 1001);
});

test(
  "a server that drains refuses handshakes, and closes a session at its next input",
  timeout,
  async (t) => {
    const gateway = await open(t);
    const { socket, closed } = await connect(gateway);
    gateway.isDraining = true;
    await assert.rejects(connect(gateway), { status: 503 });
    socket.send(encode({ prompt: "a" }));
    assert.equal((await closed).code, 1001);
  },
);

test("an offer of another protocol is declined by answering without it", timeout, async (t) => {
  const gateway = await open(t);
  const { request } = await import("node:http");
  const status = await new Promise<number | undefined>((resolve, reject) => {
    const headers = { connection: "Upgrade, HTTP2-Settings", upgrade: "h2c", "http2-settings": "AAMAAABk" };
    const call = request(`${gateway.origin}/health`, { headers }, (response) => {
      response.resume();
      resolve(response.statusCode);
    });
    call.on("error", reject);
    call.end();
  });
  assert.equal(status, 200);
});
