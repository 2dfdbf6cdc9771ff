import assert from "node:assert/strict";
import test, { type TestContext } from "node:test";
import { setTimeout as delay } from "node:timers/promises";
import { inspect } from "node:util";
import { ApiError, ConnectionError, ValidationError } from "./api-error.ts";
import { createFalClient, type FalClient } from "./client.ts";
import type { Config } from "./config.ts";
import { withMiddleware, withProxy } from "./middleware.ts";
import { FAST } from "./testing/set-up-queue.ts";
import { type Handler, sendJson, startTestServer, type TestServer } from "./testing/test-server.ts";
import { until } from "./testing/until.ts";

async function setUp(
  t: TestContext,
  handler: Handler,
  config: Config = {},
): Promise<{ server: TestServer; client: FalClient }> {
  const server = await startTestServer(handler);
  t.after(() => server.stop());
  return {
    server,
    client: createFalClient({ url: server.url, credentials: "id:secret", retry: FAST, ...config }),
  };
}

function setEnvironment(t: TestContext, values: Record<string, string | undefined>): void {
  const before = Object.fromEntries(Object.keys(values).map((name) => [name, process.env[name]]));
  const assign = (source: Record<string, string | undefined>) => {
    for (const [name, value] of Object.entries(source)) {
      if (value === undefined) delete process.env[name];
      else process.env[name] = value;
    }
  };
  assign(values);
  t.after(() => assign(before));
}

function setGlobal(t: TestContext, name: string, value: unknown): void {
  const before = Object.getOwnPropertyDescriptor(globalThis, name);
  Object.defineProperty(globalThis, name, { value, configurable: true, writable: true });
  t.after(() => {
    if (before === undefined) Reflect.deleteProperty(globalThis, name);
    else Object.defineProperty(globalThis, name, before);
  });
}

const answerOk: Handler = (_call, response) =>
  sendJson(response, 200, { ok: true }, { "x-fal-request-id": "the-id" });

test("run posts the input and resolves to data and request id", async (t) => {
  const { server, client } = await setUp(t, answerOk);
  const result = await client.run("acme/model/path", { input: { prompt: "a" }, startTimeout: 2.5 });
  assert.deepEqual(result, { data: { ok: true }, requestId: "the-id" });
  const [call] = server.calls;
  assert.equal(call!.method, "POST");
  assert.equal(call!.path, "/run/acme/model/path");
  assert.equal(call!.headers.authorization, "Key id:secret");
  assert.equal(call!.headers.accept, "application/json");
  assert.equal(call!.headers["content-type"], "application/json");
  assert.match(String(call!.headers["user-agent"]), /^@sluice\/client\/\d/);
  assert.equal(call!.headers["x-fal-request-timeout"], "2.5");
  assert.equal(call!.body.toString(), '{"prompt":"a"}');
});

test("ids: old numeric ones, namespaces, and whole URLs of the configured server", async (t) => {
  const { server, client } = await setUp(t, answerOk);
  await client.run("110602490-lora", {});
  await client.run("workflows/acme/flow", {});
  await client.run(`${server.url}/run/acme/model/`, {});
  assert.deepEqual(
    server.calls.map((call) => call.path),
    ["/run/110602490/lora", "/run/workflows/acme/flow", "/run/acme/model"],
  );
  await assert.rejects(client.run("https://evil.example/a/b", {}), /not on the configured server/);
});

test("the method get turns the input into the query", async (t) => {
  const { server, client } = await setUp(t, answerOk);
  await client.run("acme/model", { method: "get", input: { a: "1 2" } });
  assert.equal(server.calls[0]!.method, "GET");
  assert.equal(server.calls[0]!.query.get("a"), "1 2");
  assert.equal(server.calls[0]!.body.length, 0);
});

test("answers are read by their content type", async (t) => {
  const types: [string, string][] = [
    ["application/json; charset=utf-8", '{"a":1}'],
    ["text/html", "<p>"],
    ["application/octet-stream", "bytes"],
    ["text/plain", "text"],
  ];
  const { client } = await setUp(t, (call, response) => {
    const [type, body] = types[Number(call.path.at(-1))]!;
    response.writeHead(200, { "content-type": type }).end(body);
  });
  const read = async (n: number) => (await client.run(`acme/model/${n}`, {})).data;
  assert.deepEqual(await read(0), { a: 1 });
  assert.equal(await read(1), "<p>");
  assert.equal(Buffer.from(await read(2)).toString(), "bytes");
  assert.equal(await read(3), "text");
});

test("credentials come from the configuration, a function, or the environment, at each call", async (t) => {
  const { server } = await setUp(t, answerOk);
  setEnvironment(t, { FAL_KEY: undefined, FAL_KEY_ID: undefined, FAL_KEY_SECRET: undefined });
  const sent = async (config: Config, environment: Record<string, string> = {}) => {
    const client = createFalClient({ url: server.url, ...config });
    Object.assign(process.env, environment);
    await client.run("acme/model", {});
    return server.calls.at(-1)!.headers.authorization;
  };
  assert.equal(await sent({}), undefined);
  let n = 0;
  const client = createFalClient({ url: server.url, credentials: () => `k:${++n}` });
  await client.run("acme/model", {});
  await client.run("acme/model", {});
  assert.equal(server.calls.at(-1)!.headers.authorization, "Key k:2");
  assert.equal(await sent({}, { FAL_KEY_ID: "i", FAL_KEY_SECRET: "s" }), "Key i:s");
  assert.equal(await sent({}, { FAL_KEY: " a:b\n" }), "Key a:b");
  assert.equal(await sent({ credentials: "c:d" }), "Key c:d");
});

test("middleware runs on every try and may change url, method and headers", async (t) => {
  let tries = 0;
  const { server, client } = await setUp(
    t,
    (call, response, request) =>
      ++tries < 3 ? sendJson(response, 503, { detail: "later" }) : answerOk(call, response, request),
    {
      requestMiddleware: withMiddleware(
        async (request) => ({
          ...request,
          headers: { ...request.headers, "X-Try": String(tries), authorization: "Bearer b" },
        }),
        async (request) => ({ ...request, url: `${request.url}?seen=${request.method}`, method: "PUT" }),
      ),
    },
  );
  await client.run("acme/model", { input: {} });
  assert.deepEqual(
    server.calls.map((call) => [
      call.method,
      call.query.get("seen"),
      call.headers["x-try"],
      call.headers.authorization,
    ]),
    ["0", "1", "2"].map((n) => ["PUT", "POST", n, "Bearer b"]),
  );
});

test("a proxy gets the call and the target in a header: always, in pages only, or when a function says so", async (t) => {
  const { server } = await setUp(t, answerOk);
  const url = `${server.url}/proxy`;
  const target = async (config: Config) => {
    server.calls.length = 0;
    await createFalClient({ credentials: "a:b", suppressLocalCredentialsWarning: true, ...config }).run(
      "acme/model",
      {},
    );
    assert.equal(server.calls.length, 1);
    return [server.calls[0]!.path, server.calls[0]!.headers["x-fal-target-url"]];
  };
  const direct = ["/run/acme/model", undefined];
  assert.deepEqual(await target({ proxyUrl: { url, when: "always" } }), [
    "/proxy",
    "https://fal.run/acme/model",
  ]);
  assert.deepEqual(await target({ url: server.url, proxyUrl: { url, when: "always" } }), [
    "/proxy",
    `${server.url}/run/acme/model`,
  ]);
  assert.deepEqual(await target({ url: server.url, proxyUrl: url }), direct);
  assert.deepEqual(
    await target({ url: server.url, proxyUrl: { url, when: ({ isBrowser }) => isBrowser } }),
    direct,
  );
  assert.deepEqual(await target({ url: "https://fal.run", proxyUrl: { url, when: () => true } }), [
    "/proxy",
    "https://fal.run/acme/model",
  ]);
  setGlobal(t, "window", { document: {} });
  assert.deepEqual(await target({ proxyUrl: url }), ["/proxy", "https://fal.run/acme/model"]);
  assert.deepEqual(await target({ requestMiddleware: withProxy({ targetUrl: url }) }), [
    "/proxy",
    "https://fal.run/acme/model",
  ]);
  const twice = withMiddleware(withProxy({ targetUrl: url }), withProxy({ targetUrl: "http://other.test" }));
  assert.deepEqual(await target({ requestMiddleware: twice, proxyUrl: "http://third.test" }), [
    "/proxy",
    "https://fal.run/acme/model",
  ]);
});

test("a key in a page is warned about, unless that is wanted", (t) => {
  const warn = t.mock.method(console, "warn", () => undefined);
  createFalClient({ credentials: "a:b" });
  assert.equal(warn.mock.callCount(), 0);
  setGlobal(t, "window", { document: {} });
  createFalClient({ credentials: "a:b", suppressLocalCredentialsWarning: true });
  createFalClient({ proxyUrl: "/api/fal/proxy" });
  assert.equal(warn.mock.callCount(), 0);
  createFalClient({ credentials: "a:b" });
  assert.equal(warn.mock.callCount(), 1);
});

test("a runtime without fetch needs one", (t) => {
  setGlobal(t, "fetch", undefined);
  assert.throws(() => createFalClient(), /config\(\{ fetch \}\)/);
  createFalClient({ fetch: async () => new Response("{}") });
});

test("run is tried again on 429, 502, 503, 504 and lost connections, and on nothing else", async (t) => {
  let tries = 0;
  let status = 0;
  const { client } = await setUp(t, (_call, response) => {
    tries++;
    if (status === 0) response.destroy();
    else sendJson(response, status, { detail: "no" });
  });
  for (status of [0, 429, 502, 503, 504]) {
    tries = 0;
    await assert.rejects(client.run("acme/model", { input: {} }));
    assert.equal(tries, 4, `status ${status}`);
  }
  for (status of [400, 401, 403, 404, 409, 422, 500]) {
    tries = 0;
    await assert.rejects(client.run("acme/model", { input: {} }), { status });
    assert.equal(tries, 1, `status ${status}`);
  }
});

test("what the server says about trying again is believed, and so is the caller's own deadline", async (t) => {
  let tries = 0;
  let headers: Record<string, string> = {};
  const { client } = await setUp(t, (_call, response) => {
    tries++;
    sendJson(response, 504, { detail: "late", error_type: "startup_timeout" }, headers);
  });
  for (headers of [
    { "x-fal-request-timeout-type": "user" },
    { "x-fal-needs-retry": "0" },
    { "x-fal-retryable": "false" },
  ]) {
    tries = 0;
    const error = await client.run("acme/model", {}).catch((e: unknown) => e);
    assert.ok(error instanceof ApiError);
    assert.equal(error.isUserTimeout, "x-fal-request-timeout-type" in headers);
    assert.equal(error.errorType, "startup_timeout");
    assert.equal(tries, 1);
  }
});

test("retries are the caller's to set", async (t) => {
  let tries = 0;
  const handler: Handler = (_call, response) => {
    tries++;
    sendJson(response, 418, { detail: "teapot" });
  };
  const { client } = await setUp(t, handler, {
    retry: { ...FAST, maxRetries: 1, retryableStatusCodes: [418] },
  });
  await assert.rejects(client.run("acme/model", {}), { status: 418, message: "teapot" });
  assert.equal(tries, 2);
});

test("abort and timeout of run end the call, which the server sees", async (t) => {
  const { server, client } = await setUp(t, () => undefined);
  const controller = new AbortController();
  const promise = client.run("acme/model", { input: {}, abortSignal: controller.signal });
  await until(() => server.pending.size === 1);
  controller.abort();
  await assert.rejects(promise, { name: "AbortError" });
  await until(() => server.pending.size === 0, "the end of the call");
  await assert.rejects(client.run("acme/model", { input: {}, timeout: 30 }), {
    name: "TimeoutError",
    message: "acme/model took longer than 30ms",
  });
  await until(() => server.pending.size === 0, "the end of the call");
});

test("a fetch that ignores its signal cannot hold up an abort", async () => {
  const client = createFalClient({ url: "http://x.test", fetch: () => new Promise(() => undefined) });
  await assert.rejects(client.run("acme/model", { timeout: 20 }), { name: "TimeoutError" });
});

test("an error prints what is wrong, the status, the body and the request id", async (t) => {
  const body = { detail: [{ loc: ["body", "prompt"], msg: "Field required", type: "missing" }] };
  const { client } = await setUp(t, (_call, response) =>
    sendJson(response, 422, body, { "x-fal-request-id": "the-id" }),
  );
  const error = await client.run("acme/model", {}).catch((e: unknown) => e);
  assert.ok(error instanceof ValidationError);
  const text = inspect(error);
  assert.match(text, /^ValidationError: prompt: Field required\n/);
  for (const part of [/status: 422/, /requestId: 'the-id'/, /body: \{ detail/]) assert.match(text, part);
  assert.doesNotMatch(text, /undefined/);
});

test("the message is the server's own words in every shape of error", async (t) => {
  const bodies: [unknown, number, string][] = [
    [{ detail: "Path /x not found" }, 404, "Path /x not found"],
    [{ detail: "Request timed out", error_type: "request_timeout" }, 500, "Request timed out"],
    [{ error: { type: "validation_error", message: "Bad filter" } }, 400, "Bad filter"],
    [{ status: "ALREADY_COMPLETED" }, 400, "ALREADY_COMPLETED"],
    ["Invalid request", 400, "HTTP 400: Bad Request"],
    [{ detail: [] }, 422, "HTTP 422: Unprocessable Entity"],
    [{ detail: "free text" }, 422, "free text"],
    [null, 500, "HTTP 500: Internal Server Error"],
  ];
  let n = 0;
  const { client } = await setUp(t, (_call, response) => sendJson(response, bodies[n]![1], bodies[n]![0]));
  for (; n < bodies.length; n++) {
    const error = await client.run("acme/model", {}).catch((e: unknown) => e);
    assert.ok(error instanceof ApiError);
    assert.equal(error.message, bodies[n]![2]);
    assert.deepEqual(error.body, bodies[n]![0]);
    assert.equal(error instanceof ValidationError, bodies[n]![1] === 422);
  }
});

test("a 422 with one sentence has it as the error of the body", () => {
  const error = new ValidationError({ message: "m", status: 422, body: { detail: "bad" } });
  assert.deepEqual(error.fieldErrors, [{ loc: ["body"], msg: "bad", type: "value_error" }]);
  assert.deepEqual(error.getFieldErrors("prompt"), []);
});

test("an answer that breaks off, or is not the JSON it claims to be, is an error", async (t) => {
  let isCut = true;
  const { client } = await setUp(t, (_call, response) => {
    response.writeHead(200, {
      "content-type": "application/json",
      ...(isCut ? { "content-length": "100" } : {}),
    });
    response.write('{"a":');
    if (isCut) setTimeout(() => response.destroy(), 10);
    else response.end();
  });
  await assert.rejects(client.run("acme/model", {}), (error) => error instanceof ConnectionError);
  isCut = false;
  await assert.rejects(client.run("acme/model", {}), { name: "ApiError", message: /is not/ });
});

test("an own response handler reads the answers of models", async (t) => {
  const { client } = await setUp(t, answerOk, { responseHandler: async (response) => response.status });
  assert.deepEqual(await client.run("acme/model", {}), { data: 200, requestId: "the-id" });
});

test("files in the input of run are uploaded, unless that is turned off", async (t) => {
  const { server, client } = await setUp(t, (call, response, request) => {
    if (call.path.endsWith("/initiate")) {
      sendJson(response, 200, { upload_url: `${server.url}/up`, file_url: "http://files.test/f.bin" });
    } else return answerOk(call, response, request);
  });
  await client.run("acme/model", { input: { image: new Blob(["x"]) } });
  assert.deepEqual(JSON.parse(server.calls.at(-1)!.body.toString()), { image: "http://files.test/f.bin" });
  await client.run("acme/model", { input: { image: new Blob(["x"]) }, autoUpload: false });
  assert.deepEqual(JSON.parse(server.calls.at(-1)!.body.toString()), { image: {} });
});

test("an input that cannot be sent says where, before anything is sent", async (t) => {
  const { server, client } = await setUp(t, (_call, response) => sendJson(response, 200, {}));
  const cyclic: { list: unknown[] } = { list: [1] };
  cyclic.list.push({ back: cyclic });
  let deep: unknown = "end";
  for (let level = 0; level < 100_000; level++) deep = { deep };
  for (const [wrong, message] of [
    [cyclic, /input\.list\.1\.back contains itself/],
    [{ seed: 7n }, /input\.seed is a BigInt/],
    [deep, /input is nested more than 200 levels deep/],
  ] as const) {
    const input = wrong as Record<string, unknown>;
    for (const call of [
      () => client.run("acme/model", { input }),
      () => client.subscribe("acme/model", { input }),
      async () => (await client.stream("acme/model", { input })).done(),
    ])
      await assert.rejects(call(), (error) => error instanceof TypeError && message.test(error.message));
  }
  assert.equal(server.calls.length, 0);
  const shared = { text: "twice is not a circle" };
  await client.run("acme/model", { input: { a: shared, b: [shared, shared] } });
  const large = "x".repeat(8 * 1024 * 1024);
  await client.run("acme/model", { input: { large } });
  assert.equal(JSON.parse(server.calls[1]!.body.toString()).large.length, large.length);
});

test("status, result and cancel leave out the path of the id", async (t) => {
  const { server, client } = await setUp(t, (call, response) => {
    if (call.path.endsWith("/status")) return sendJson(response, 202, { status: "IN_PROGRESS", logs: null });
    sendJson(response, 200, { ok: true });
  });
  const requestId = "6b6d1d7e-0000-4000-8000-000000000000";
  const status = await client.queue.status("workflows/acme/model/path", { requestId });
  assert.deepEqual(status, { status: "IN_PROGRESS", logs: [] });
  await client.queue.status("acme/model/path", { requestId, logs: true });
  await client.queue.result("acme/model/path", { requestId });
  assert.equal(await client.queue.cancel("acme/model/path", { requestId }), undefined);
  assert.deepEqual(
    server.calls.map((call) => `${call.method} ${call.path}?${call.query}`),
    [
      `GET /queue/workflows/acme/model/requests/${requestId}/status?logs=0`,
      `GET /queue/acme/model/requests/${requestId}/status?logs=1`,
      `GET /queue/acme/model/requests/${requestId}?`,
      `PUT /queue/acme/model/requests/${requestId}/cancel?`,
    ],
  );
  await assert.rejects(client.queue.result("acme/model", { requestId: "" }), /requestId/);
});

test("a status stream can be followed by hand", async (t) => {
  const { server, client } = await setUp(t, async (_call, response) => {
    response.writeHead(200, { "content-type": "text/event-stream" });
    for (const status of ["IN_QUEUE", "IN_PROGRESS", "COMPLETED"]) {
      response.write(`data: ${JSON.stringify({ status })}\n\n`);
      await delay(5);
    }
    response.end();
  });
  const stream = await client.queue.streamStatus("acme/model", { requestId: "r", logs: true });
  const seen: string[] = [];
  for await (const status of stream) seen.push(status.status);
  assert.deepEqual(seen, ["IN_QUEUE", "IN_PROGRESS", "COMPLETED"]);
  assert.equal(server.calls[0]!.method, "GET");
  assert.equal(server.calls[0]!.query.get("logs"), "1");
});
