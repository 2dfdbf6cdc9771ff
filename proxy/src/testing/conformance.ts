/**
 * What every adapter of the proxy must do, through its real framework and over real HTTP. An adapter's test file
 * calls this with a function that serves the proxy with the given options.
 */
import assert from "node:assert/strict";
import { randomBytes } from "node:crypto";
import {
  Agent,
  type ClientRequest,
  type IncomingHttpHeaders,
  type IncomingMessage,
  request as openRequest,
} from "node:http";
import test, { type TestContext } from "node:test";
import { setTimeout as delay } from "node:timers/promises";
import { gzipSync } from "node:zlib";
import type { ProxyOptions } from "../proxy-options.ts";
import { startUpstream } from "./upstream.ts";

/** A server whose route `url` is the proxy. */
export interface ServedProxy {
  readonly url: string;
  close(): Promise<void>;
}

export interface AdapterTraits {
  /** Something before the adapter parses JSON bodies: they arrive as the same values, not as the same bytes. */
  readonly rewritesBodies?: boolean;
  /** Largest body that the framework itself lets through, when that is less than the tests would send. */
  readonly maxBodyBytes?: number;
  /** Why the framework cannot tell that a caller went away before the answer began. */
  readonly missesEarlyLeave?: string;
}

interface Answer {
  readonly status: number;
  readonly headers: IncomingHttpHeaders;
  readonly body: Buffer;
}

interface CallOptions {
  readonly method?: string;
  readonly headers?: Record<string, string>;
  readonly body?: string | Buffer;
}

const KEY = "id:secret";

export function testProxy(
  name: string,
  serve: (options: ProxyOptions) => Promise<ServedProxy>,
  traits: AdapterTraits = {},
): void {
  const setUp = async (t: TestContext, options: Partial<ProxyOptions> = {}) => {
    const upstream = await startUpstream();
    const proxy = await serve({
      allowedEndpoints: ["acme/model", "acme/open/**"],
      targetOrigin: upstream.url,
      credentials: KEY,
      ...options,
    });
    t.after(async () => {
      await proxy.close();
      await upstream.close();
    });
    const call = (target: string | undefined, { method = "POST", headers = {}, body }: CallOptions = {}) =>
      send(
        proxy.url,
        method,
        { ...(target === undefined ? {} : { "x-fal-target-url": target }), ...headers },
        body,
      );
    return { upstream, proxy, call };
  };
  const scenario = (title: string, run: (t: TestContext) => Promise<void>) => test(`${name}: ${title}`, run);

  scenario("a call is made with the key, and with the headers of the API alone", async (t) => {
    const { upstream, call } = await setUp(t);
    const body = '{ "prompt" : "größer \\u00e9" ,\n "n": 1.0 }';
    const answer = await call(
      "https://queue.fal.run/acme/model?fal_webhook=https%3A%2F%2Fx.test%2F%3Fa%3Db",
      {
        headers: {
          "content-type": "application/json",
          accept: "application/json, text/event-stream",
          "X-Fal-Queue-Priority": "low",
          "x-fal-runner-hint": "a, b",
          "idempotency-key": "k1",
          "user-agent": "test/1",
          authorization: "Bearer the-session-of-the-app",
          cookie: "session=1",
          "x-other": "no",
        },
        body,
      },
    );
    assert.equal(answer.status, 200);
    assert.equal(answer.body.toString(), '{"ok":true}');
    const [seen] = upstream.calls;
    assert.equal(seen!.method, "POST");
    assert.equal(seen!.url, "/queue/acme/model?fal_webhook=https%3A%2F%2Fx.test%2F%3Fa%3Db");
    if (traits.rewritesBodies) assert.deepEqual(JSON.parse(seen!.body.toString()), JSON.parse(body));
    else assert.equal(seen!.body.toString(), body);
    assert.equal(seen!.headers["content-length"], String(seen!.body.length));
    assert.equal(seen!.headers["authorization"], `Key ${KEY}`);
    assert.equal(seen!.headers["accept"], "application/json, text/event-stream");
    assert.equal(seen!.headers["content-type"], "application/json");
    assert.equal(seen!.headers["x-fal-queue-priority"], "low");
    assert.equal(seen!.headers["x-fal-runner-hint"], "a, b");
    assert.equal(seen!.headers["idempotency-key"], "k1");
    assert.equal(seen!.headers["user-agent"], "test/1");
    assert.match(String(seen!.headers["x-fal-client-proxy"]), /^@sluice\/proxy\/[a-z0-9-]+$/);
    for (const header of ["cookie", "x-other", "x-fal-target-url"])
      assert.equal(seen!.headers[header], undefined);
  });

  scenario("a call without a body has none, whatever its method", async (t) => {
    const { upstream, call } = await setUp(t);
    await call("https://queue.fal.run/acme/model/requests/r1/cancel", { method: "PUT" });
    await call("https://queue.fal.run/acme/model/requests/r1/cancel", {
      method: "PUT",
      headers: { "content-type": "application/json" },
    });
    await call("https://queue.fal.run/acme/model/requests/r1/status?logs=1", { method: "GET" });
    await call("https://queue.fal.run/acme/model", { method: "POST" });
    assert.deepEqual(
      upstream.calls.map(({ method, url, body }) => [method, url, body.length]),
      [
        ["PUT", "/queue/acme/model/requests/r1/cancel", 0],
        ["PUT", "/queue/acme/model/requests/r1/cancel", 0],
        ["GET", "/queue/acme/model/requests/r1/status?logs=1", 0],
        ["POST", "/queue/acme/model", 0],
      ],
    );
  });

  scenario("status, body and headers of the answer come back, but not those of the connection", async (t) => {
    const { upstream, call } = await setUp(t);
    upstream.handler = (_call, response) => {
      response.writeHead(422, {
        "content-type": "application/json",
        "content-encoding": "gzip",
        "x-fal-request-id": "the-id",
        "x-fal-billable-units": "0",
        "retry-after": "3",
        "set-cookie": "upstream=1",
        "keep-alive": "timeout=99",
        "access-control-allow-origin": "*",
      });
      response.end(gzipSync('{"detail":[]}'));
    };
    const answer = await call("https://fal.run/acme/model", { body: "{}" });
    assert.equal(answer.status, 422);
    assert.equal(answer.body.toString(), '{"detail":[]}');
    assert.equal(answer.headers["x-fal-request-id"], "the-id");
    assert.equal(answer.headers["x-fal-billable-units"], "0");
    assert.equal(answer.headers["retry-after"], "3");
    assert.match(String(answer.headers["content-type"]), /^application\/json/);
    for (const header of ["content-encoding", "set-cookie", "access-control-allow-origin"]) {
      assert.equal(answer.headers[header], undefined, header);
    }
    assert.notEqual(answer.headers["keep-alive"], "timeout=99");
  });

  scenario("events are passed on as they come, with the status of the answer", async (t) => {
    const { upstream, proxy } = await setUp(t);
    let finish: () => void = () => undefined;
    upstream.handler = (call, response) => {
      assert.equal(call.headers.accept, "text/event-stream");
      response.writeHead(203, { "content-type": "text/event-stream" });
      response.write("data: 1\n\n");
      finish = () => response.end("data: 2\n\n");
    };
    const request = openRequest(proxy.url, {
      method: "POST",
      headers: { "x-fal-target-url": "https://fal.run/acme/model/stream", accept: "text/event-stream" },
    });
    request.end("{}");
    const response = await once(request);
    assert.equal(response.statusCode, 203);
    assert.match(String(response.headers["content-type"]), /^text\/event-stream/);
    const chunks = response[Symbol.asyncIterator]();
    assert.equal(String((await chunks.next()).value), "data: 1\n\n");
    finish();
    assert.equal(String((await chunks.next()).value), "data: 2\n\n");
    assert.equal((await chunks.next()).done, true);
  });

  scenario("a caller that goes away ends the call", async (t) => {
    const { upstream, proxy } = await setUp(t);
    if (traits.missesEarlyLeave !== undefined)
      t.diagnostic(`only once it has begun: ${traits.missesEarlyLeave}`);
    for (const hasBegun of traits.missesEarlyLeave === undefined ? [false, true] : [true]) {
      upstream.handler = (_call, response) => {
        if (!hasBegun) return;
        response.writeHead(200, { "content-type": "text/event-stream" });
        response.write("data: 1\n\n");
      };
      const request = openRequest(proxy.url, {
        method: "POST",
        headers: { "x-fal-target-url": "https://fal.run/acme/model", "content-type": "application/json" },
      });
      const responded = once(request);
      responded.catch(() => undefined);
      request.on("error", () => undefined);
      request.end("{}");
      await until(() => upstream.pending.size === 1, "the call");
      if (hasBegun) (await responded).on("error", () => undefined);
      request.destroy();
      await until(() => upstream.pending.size === 0, "the end of the call");
    }
  });

  const large = Math.min(3 * 1024 * 1024, traits.maxBodyBytes ?? Number.POSITIVE_INFINITY);
  scenario("a large body arrives as it was, and one over the limit is refused", async (t) => {
    const { upstream, call } = await setUp(t, { maxBodyBytes: large });
    const text = JSON.stringify({ prompt: randomBytes(large / 2 - 100).toString("hex") });
    const headers = { "content-type": "application/json" };
    const answer = await call("https://fal.run/acme/model", { headers, body: text });
    assert.equal(answer.status, 200);
    assert.ok(upstream.calls[0]!.body.equals(Buffer.from(text)));
    const tooLarge = JSON.stringify({ prompt: "x".repeat(large) });
    assert.equal((await call("https://fal.run/acme/model", { headers, body: tooLarge })).status, 413);
    assert.equal(upstream.calls.length, 1);
  });

  scenario("a target that is not the API, and a call that was not allowed, go nowhere", async (t) => {
    const { upstream, call } = await setUp(t);
    const refused: [string, string | undefined][] = [
      ["POST", undefined],
      ["POST", "not a url"],
      ["POST", "/acme/model"],
      ["POST", "http://fal.run/acme/model"],
      ["POST", "ftp://fal.run/acme/model"],
      ["POST", "https://fal.run:8443/acme/model"],
      ["POST", "https://evilfal.run/acme/model"],
      ["POST", "https://fal.run.evil.test/acme/model"],
      ["POST", "https://user:pass@fal.run/acme/model"],
      ["POST", "https://user@fal.run/acme/model"],
      ["POST", "https://127.0.0.1/run/acme/model"],
      ["POST", `${upstream.url}/v1/keys`],
      ["POST", `${upstream.url}/cdn/files/upload`],
      ["POST", `${upstream.url}/run/../v1/keys`],
      ["POST", "https://fal.run/acme/other"],
      ["POST", "https://fal.run/acme/model/extra"],
      ["POST", "https://fal.run/acme/open/../other"],
      ["POST", "https://fal.run/acme/open/%2e%2e/other"],
      ["POST", "https://fal.run/acme/open/..%2fother"],
      ["POST", "https://fal.run/acme//model"],
      ["GET", "https://fal.run/acme/other?prompt=x"],
      ["PUT", "https://queue.fal.run/acme/other"],
      ["POST", "https://queue.fal.run/acme/other/requests/r1"],
      ["POST", "https://rest.fal.ai/tokens/"],
      ["POST", "https://rest.fal.ai/storage/auth/token?storage_type=fal-cdn-v3"],
      ["PUT", "https://rest.fal.ai/storage/files/acl?url=x"],
      ["GET", "https://rest.fal.ai/storage/upload/initiate"],
      ["POST", "https://rest.fal.ai/storage/upload/initiate?storage_type=other"],
      ["POST", "https://api.fal.ai/v1/keys"],
    ];
    for (const [method, target] of refused) {
      const answer = await call(target, { method, ...(method === "GET" ? {} : { body: "{}" }) });
      assert.equal(answer.status, 400, `${method} ${target}`);
      assert.match(JSON.parse(answer.body.toString()).detail, /^Invalid request: /);
    }
    assert.deepEqual(upstream.calls, []);
  });

  scenario("a refused call leaves its connection usable, whatever body it had", async (t) => {
    const { upstream, proxy } = await setUp(t, { maxBodyBytes: 400_000 });
    const agent = new Agent({ keepAlive: true, maxSockets: 1 });
    t.after(() => agent.destroy());
    const post = (target: string, size: number) =>
      send(
        proxy.url,
        "POST",
        { "x-fal-target-url": target, "content-type": "application/json" },
        JSON.stringify({ prompt: "x".repeat(size) }),
        agent,
      );
    for (const size of [0, 2, 100_000, 300_000]) {
      assert.equal((await post("https://fal.run/acme/other", size)).status, 400);
      assert.equal((await post("https://fal.run/acme/model", size)).status, 200);
    }
    assert.equal(upstream.calls.length, 4);
  });

  scenario("what is allowed goes to the API, by its hosted names and by its own address", async (t) => {
    const { upstream, call } = await setUp(t);
    const allowed: [string, string, string][] = [
      ["POST", "https://fal.run/acme/model", "/run/acme/model"],
      ["POST", "https://fal.run/acme/model/stream", "/run/acme/model/stream"],
      ["POST", "https://fal.run/acme/open", "/run/acme/open"],
      ["POST", "https://queue.fal.run/acme/open/a/b", "/queue/acme/open/a/b"],
      ["POST", `${upstream.url}/queue/acme/model`, "/queue/acme/model"],
      ["GET", "https://queue.fal.run/acme/model/requests/r1", "/queue/acme/model/requests/r1"],
      [
        "GET",
        "https://queue.fal.run/acme/model/requests/r1/status/stream?logs=1",
        "/queue/acme/model/requests/r1/status/stream?logs=1",
      ],
      [
        "POST",
        "https://rest.fal.ai/storage/upload/initiate?storage_type=fal-cdn-v3",
        "/rest/storage/upload/initiate?storage_type=fal-cdn-v3",
      ],
      [
        "POST",
        "https://rest.fal.ai/storage/upload/initiate-multipart?storage_type=fal-cdn-v3",
        "/rest/storage/upload/initiate-multipart?storage_type=fal-cdn-v3",
      ],
      ["POST", "https://rest.alpha.fal.ai/storage/upload/initiate", "/rest/storage/upload/initiate"],
    ];
    for (const [method, target] of allowed) {
      const answer = await call(target, { method, ...(method === "GET" ? {} : { body: "{}" }) });
      assert.equal(answer.status, 200, target);
    }
    assert.deepEqual(
      upstream.calls.map((call) => call.url),
      allowed.map(([, , url]) => url),
    );
  });

  scenario("without a key nothing is sent; a caller's own key is used", async (t) => {
    const { upstream, call } = await setUp(t, { credentials: () => undefined });
    const answer = await call("https://fal.run/acme/model", { body: "{}" });
    assert.equal(answer.status, 401);
    assert.equal(upstream.calls.length, 0);
    await call("https://fal.run/acme/model", { body: "{}", headers: { authorization: "Key own:key" } });
    assert.equal(upstream.calls[0]!.headers.authorization, "Key own:key");
  });

  scenario("the app decides who may call", async (t) => {
    const { upstream, call } = await setUp(t, {
      isAuthenticated: async (request) => request.headers.get("cookie") === "session=good",
      resolveFalAuth: () => "Key by:hook",
    });
    const body = "{}";
    assert.equal((await call("https://fal.run/acme/model", { body })).status, 401);
    assert.equal(
      (await call("https://fal.run/acme/model", { body, headers: { cookie: "session=bad" } })).status,
      401,
    );
    assert.equal(
      (await call("https://fal.run/acme/model", { body, headers: { cookie: "session=good" } })).status,
      200,
    );
    assert.deepEqual(
      upstream.calls.map((call) => call.headers.authorization),
      ["Key by:hook"],
    );
  });

  scenario("a page of another origin is refused, this one's and the listed ones are not", async (t) => {
    const { upstream, proxy, call } = await setUp(t, { allowedOrigins: ["https://friend.test"] });
    const cases: [Record<string, string>, number][] = [
      [{ origin: "https://evil.test" }, 403],
      [{ origin: "https://evil.test", "sec-fetch-site": "cross-site" }, 403],
      [{ "sec-fetch-site": "same-site" }, 403],
      [{ origin: "null" }, 403],
      [{ origin: "https://friend.test", "sec-fetch-site": "cross-site" }, 200],
      [{ origin: new URL(proxy.url).origin }, 200],
      [{ "sec-fetch-site": "same-origin" }, 200],
      [{}, 200],
    ];
    for (const [headers, status] of cases) {
      const answer = await call("https://fal.run/acme/model", { headers, body: "{}" });
      assert.equal(answer.status, status, JSON.stringify(headers));
    }
    assert.equal(upstream.calls.length, 4);
  });

  scenario("a redirect is not followed", async (t) => {
    const { upstream, call } = await setUp(t);
    upstream.handler = (_call, response) => {
      response.writeHead(307, { location: `${upstream.url}/elsewhere` }).end();
    };
    const answer = await call("https://fal.run/acme/model", { body: "{}" });
    assert.equal(answer.status, 307);
    assert.equal(upstream.calls.length, 1);
  });

  scenario("an API that cannot be reached is a 502", async (t) => {
    const { upstream, call } = await setUp(t);
    await upstream.close();
    const answer = await call("https://fal.run/acme/model", { body: "{}" });
    assert.equal(answer.status, 502);
    assert.doesNotMatch(answer.body.toString(), /secret|127\.0\.0\.1/);
  });
}

async function send(
  url: string,
  method: string,
  headers: Record<string, string>,
  body: string | Buffer | undefined,
  agent?: Agent,
): Promise<Answer> {
  const request = openRequest(url, {
    method,
    ...(agent === undefined ? {} : { agent }),
    headers: {
      ...headers,
      ...(body === undefined ? {} : { "content-length": String(Buffer.byteLength(body)) }),
    },
  });
  // A server may refuse a body before it has read it all.
  request.on("error", () => undefined);
  request.end(body);
  const response = await once(request);
  const chunks: Buffer[] = [];
  for await (const chunk of response) chunks.push(chunk);
  return { status: response.statusCode ?? 0, headers: response.headers, body: Buffer.concat(chunks) };
}

function once(request: ClientRequest): Promise<IncomingMessage> {
  return new Promise((resolve, reject) => {
    request.once("response", resolve);
    request.once("error", reject);
  });
}

async function until(condition: () => boolean, what: string): Promise<void> {
  for (let waited = 0; !condition(); waited += 5) {
    assert.ok(waited < 3000, `${what} did not come`);
    await delay(5);
  }
}
