import assert from "node:assert/strict";
import { after, before, beforeEach, test } from "node:test";
import { stringifyWithFileLinks } from "../../files/file-links.ts";
import type { NewRequest, RequestResult } from "../../queue/request-queue.ts";
import { createResult, ECHO, openGateway, type TestGateway } from "../testing/open-gateway.ts";
import { readEvents } from "../testing/read-events.ts";

let gateway: TestGateway;
let echo: TestGateway["directRun"];
before(async () => {
  gateway = await openGateway();
  echo = gateway.directRun;
});
beforeEach(() => {
  gateway.directRun = echo;
});
after(() => gateway[Symbol.asyncDispose]());

test("a direct run answers with what the model answers", async () => {
  let seen: NewRequest | undefined;
  gateway.directRun = async (request, options) => {
    seen = request;
    options.onStart?.(request.id);
    return createResult({ seed: 42 }, { headers: { "content-type": "application/json", "x-own": "1" } });
  };
  const answer = await gateway.call("/run/test/echo", {
    json: { prompt: "x" },
    headers: { "x-fal-runner-hint": "same", "idempotency-key": "ignored", "x-fal-queue-priority": "low" },
  });
  assert.equal(answer.status, 200);
  assert.deepEqual(answer.json, { seed: 42 });
  assert.equal(answer.headers.get("x-fal-request-id"), seen?.id);
  assert.equal(answer.headers.get("x-fal-billable-units"), "1");
  assert.equal(answer.headers.get("x-own"), "1");
  assert.ok(answer.headers.get("x-fal-served-from"));
  assert.equal(answer.headers.get("x-fal-runner-hints"), "same");
  assert.equal(seen?.surface, "run");
  assert.equal(seen?.endpointId, "test/echo");
  assert.equal(seen?.hint, "same");
  assert.equal(seen?.priority, "normal");
  assert.equal(seen?.idempotencyKey, undefined);
  assert.equal(seen?.timeoutMs, ECHO.limits.timeoutMs);
});

test("a model's error is answered as it is, and links to files are made absolute", async () => {
  gateway.directRun = async () =>
    createResult(null, {
      state: "failed",
      statusCode: 500,
      body: Buffer.from('{"detail":[{"loc":["body"],"msg":"no","type":"internal_server_error"}]}'),
    });
  const failed = await gateway.call("/run/test/echo/", { json: { prompt: "x" } });
  assert.equal(failed.status, 500);
  assert.equal(failed.json.detail[0].type, "internal_server_error");
  gateway.directRun = async () =>
    createResult(null, {
      body: Buffer.from(stringifyWithFileLinks((link) => ({ url: link("files/b/1/a.png") }))),
    });
  const linked = await gateway.call("/run/test/echo", { json: { prompt: "x" } });
  assert.equal(linked.json.url, `${gateway.origin}/cdn/files/b/1/a.png`);
});

test("an input that does not fit is 422 at once, reaches no worker, and is kept in the history", async () => {
  gateway.directRun = () => assert.fail("it ran");
  const answer = await gateway.call("/run/test/echo", { json: { count: 9 } });
  assert.equal(answer.status, 422);
  assert.deepEqual(
    answer.json.detail.map((item: { type: string }) => item.type),
    ["missing", "less_than_equal"],
  );
  assert.equal(answer.headers.get("x-fal-billable-units"), "0");
  assert.equal(answer.headers.get("x-fal-retryable"), "false");
  assert.equal(answer.headers.get("x-fal-needs-retry"), "0");
  const id = answer.headers.get("x-fal-request-id") as NewRequest["id"];
  let record = await gateway.context.queue.find(id);
  for (let tries = 0; tries < 100 && record === undefined; tries++) {
    await new Promise((resolve) => setTimeout(resolve, 10));
    record = await gateway.context.queue.find(id);
  }
  assert.equal(record?.state, "failed");
  assert.equal(record?.surface, "run");
  assert.equal((await gateway.call(`/queue/test/echo/requests/${id}/status`)).status, 404);
});

test("unknown apps, unknown paths, other methods and the app's own health", async () => {
  const app = await gateway.call("/run/test/missing", { json: {} });
  assert.equal(app.status, 404);
  assert.equal(app.json.detail, 'Application "missing" not found');
  const path = await gateway.call("/run/test/echo/x", { json: {} });
  assert.equal(path.status, 404);
  assert.equal(path.json.detail, "Path /x not found");
  assert.equal(path.headers.get("x-fal-billable-units"), "0");
  for (const method of ["GET", "PUT", "DELETE"]) {
    const answer = await gateway.call("/run/test/echo?prompt=x", { method });
    assert.equal(answer.status, 405);
    assert.equal(answer.json.detail, "Method Not Allowed");
    assert.equal(answer.headers.get("allow"), "POST");
  }
  assert.deepEqual((await gateway.call("/run/test/echo/health")).json, { version: "0.0.0-test" });
  const document = await gateway.call("/run/test/echo/openapi.json", { authorization: null });
  assert.equal(document.status, 200);
  assert.match(document.json.openapi, /^3\./);
});

test("a run that no worker starts in time is 504 with the header that stops retries", async () => {
  let aborted: unknown;
  gateway.directRun = (_request, { signal }) =>
    new Promise((resolve) => {
      signal.addEventListener("abort", () => {
        aborted = signal.reason;
        resolve(createResult(null, { state: "cancelled", statusCode: 499 }));
      });
    });
  const answer = await gateway.call("/run/test/echo", {
    json: { prompt: "x" },
    headers: { "x-fal-request-start-timeout": "0.2" },
  });
  assert.equal(answer.status, 504);
  assert.equal(answer.json.error_type, "startup_timeout");
  assert.equal(answer.headers.get("x-fal-request-timeout-type"), "user");
  assert.equal(answer.headers.get("x-fal-error-type"), "startup_timeout");
  assert.match(String(aborted), /did not start in time/);
});

test("once a worker has started, the start timeout has no effect", async () => {
  gateway.directRun = async (request, { onStart, signal }) => {
    onStart?.(request.id);
    await new Promise((resolve) => setTimeout(resolve, 400));
    return createResult({ isAborted: signal.aborted });
  };
  const answer = await gateway.call("/run/test/echo", {
    json: { prompt: "x" },
    headers: { "x-fal-request-timeout": "0.1" },
  });
  assert.equal(answer.status, 200);
  assert.deepEqual(answer.json, { isAborted: false });
});

test("a caller who leaves aborts the run", async () => {
  const leave = new AbortController();
  const aborted = new Promise<unknown>((resolve) => {
    gateway.directRun = (_request, { signal }) => {
      leave.abort();
      return new Promise<RequestResult>((end) => {
        signal.addEventListener("abort", () => {
          resolve(signal.reason);
          end(createResult(null, { state: "cancelled", statusCode: 499 }));
        });
      });
    };
  });
  await assert.rejects(gateway.call("/run/test/echo", { json: { prompt: "x" }, signal: leave.signal }));
  assert.match(String(await aborted), /closed the connection/);
});

test("a key over its limit of runs at once is 429, and may run again when one ends", async () => {
  const { authorization } = await gateway.createKey({ limits: { concurrency: 1 } });
  let finish: (() => void) | undefined;
  const started = new Promise<void>((resolve) => {
    gateway.directRun = async () => {
      resolve();
      await new Promise<void>((end) => {
        finish = end;
      });
      return createResult({});
    };
  });
  const first = gateway.call("/run/test/echo", { json: { prompt: "x" }, authorization });
  await started;
  const second = await gateway.call("/run/test/echo", { json: { prompt: "x" }, authorization });
  assert.equal(second.status, 429);
  assert.equal(second.json.error_type, "concurrent_requests_limit");
  assert.equal(second.headers.get("x-fal-error-type"), "concurrent_requests_limit");
  assert.equal(second.headers.get("x-fal-needs-retry"), "1");
  finish?.();
  await first;
  gateway.directRun = echo;
  assert.equal((await gateway.call("/run/test/echo", { json: { prompt: "x" }, authorization })).status, 200);
});

test("runs count against a key's requests per day, streams and queued requests with them", async () => {
  const { authorization } = await gateway.createKey({ limits: { requestsPerDay: 3 } });
  const call = (path: string, json: unknown = { prompt: "x" }): ReturnType<TestGateway["call"]> =>
    gateway.call(path, { json, authorization });
  for (const path of ["/run/test/echo", "/queue/test/echo", "/run/test/echo/stream"])
    assert.equal((await call(path)).status, 200, path);
  for (const path of ["/run/test/echo", "/queue/test/echo", "/run/test/echo/stream"]) {
    const refused = await call(path);
    assert.equal(refused.status, 429, path);
    assert.equal(refused.json.error_type, "rate_limited");
    assert.match(refused.json.detail, /as many requests in a day/);
    const seconds = Number(refused.headers.get("retry-after"));
    assert.ok(seconds >= 1 && seconds <= 86_400, `retry-after ${seconds}`);
  }
  assert.equal((await call("/run/test/echo", {})).status, 422, "what is wrong with an input is still said");
});

test("a runner that throws is 500 with a flat body", async () => {
  gateway.directRun = () => Promise.reject(new Error("secret detail"));
  const answer = await gateway.call("/run/test/echo", { json: { prompt: "x" } });
  assert.equal(answer.status, 500);
  assert.equal(answer.json.error_type, "internal_error");
  assert.equal(answer.text.includes("secret"), false);
});

test("a stream shows previews and parts as they come, and the whole output last", async () => {
  const { live } = gateway.context;
  gateway.directRun = async (request) => {
    assert.equal(live.hasPreviewListener(request.id), true);
    assert.equal(request.surface, "stream");
    const requestId = request.id;
    live.publish({
      type: "progress",
      requestId,
      progress: { phase: "denoise", step: 1, steps: 4 },
      at: Date.now(),
    });
    const bytes = Buffer.from("jpeg");
    const picture = { contentType: "image/jpeg", width: 8, height: 4, image: 0 };
    live.publish({ type: "preview", requestId, bytes, step: 1, ...picture });
    await new Promise((resolve) => setTimeout(resolve, 30));
    live.publish({ type: "emit", requestId, value: { text: "line\nbreak" } });
    return createResult({ images: [], seed: 1 });
  };
  const response = await fetch(`${gateway.origin}/run/test/echo/stream`, {
    method: "POST",
    headers: { authorization: gateway.authorization },
    body: JSON.stringify({ prompt: "x" }),
  });
  assert.equal(response.status, 200);
  assert.match(response.headers.get("content-type") ?? "", /^text\/event-stream/);
  assert.ok(response.headers.get("x-fal-request-id"));
  assert.equal(response.headers.get("content-encoding"), null);
  const events = await collect(response);
  assert.deepEqual(events, [
    {
      images: [
        {
          url: `data:image/jpeg;base64,${Buffer.from("jpeg").toString("base64")}`,
          width: 8,
          height: 4,
          content_type: "image/jpeg",
        },
      ],
      progress: 0.25,
    },
    { text: "line\nbreak" },
    { images: [], seed: 1 },
  ]);
});

test("the body of a stream stays open long enough for clients that take one event every 16 ms", async () => {
  const { live } = gateway.context;
  gateway.directRun = async ({ id: requestId }) => {
    for (let value = 0; value < 20; value++) live.publish({ type: "emit", requestId, value: { value } });
    return createResult({ last: true });
  };
  // From before the call: on a busy machine the events themselves are read late, and the rest of the wait is short.
  const calledAt = performance.now();
  const response = await fetch(`${gateway.origin}/run/test/echo/stream/stream`, {
    method: "POST",
    headers: { authorization: gateway.authorization },
    body: JSON.stringify({ prompt: "x" }),
  });
  let count = 0;
  for await (const _ of readEvents(response)) count += 1;
  const heldMs = performance.now() - calledAt;
  assert.equal(count, 21);
  assert.ok(heldMs >= 20 * 20 - 50, `held for ${heldMs} ms`);
});

test("of previews that nobody has read yet, only the newest of each picture is sent", async () => {
  const { live } = gateway.context;
  gateway.directRun = async ({ id: requestId }) => {
    for (let step = 1; step <= 5; step++)
      for (const image of [0, 1])
        live.publish({
          type: "preview",
          requestId,
          image,
          step,
          bytes: Buffer.from(`${image}.${step}`),
          contentType: "image/jpeg",
          width: 1,
          height: 1,
        });
    return createResult({ last: true });
  };
  const response = await fetch(`${gateway.origin}/run/test/echo/stream`, {
    method: "POST",
    headers: { authorization: gateway.authorization },
    body: JSON.stringify({ prompt: "x" }),
  });
  const events = (await collect(response)) as { images?: { url: string }[] }[];
  assert.deepEqual(
    events.map((event) => event.images?.map(({ url }) => atob(url.split(",")[1] ?? ""))),
    [["0.5"], ["1.5"], undefined],
  );
});

test("a stream that fails before it showed anything is a plain answer with its status", async () => {
  gateway.directRun = async () =>
    createResult(null, {
      state: "failed",
      statusCode: 422,
      body: Buffer.from('{"detail":[{"loc":["body","prompt"],"msg":"bad","type":"value_error"}]}'),
    });
  const failed = await gateway.call("/run/test/echo/stream", { json: { prompt: "x" } });
  assert.equal(failed.status, 422);
  assert.match(failed.headers.get("content-type") ?? "", /^application\/json/);
  assert.equal(failed.json.detail[0].type, "value_error");
  const invalid = await gateway.call("/run/test/echo/stream", { json: {} });
  assert.equal(invalid.status, 422);
  assert.equal((await gateway.call("/run/test/missing/stream", { json: {} })).status, 404);
});

test("a stream that fails later ends with an error event", async () => {
  const { live } = gateway.context;
  gateway.directRun = async ({ id: requestId }) => {
    live.publish({ type: "emit", requestId, value: { part: 1 } });
    await new Promise((resolve) => setTimeout(resolve, 30));
    return createResult(null, {
      state: "failed",
      statusCode: 500,
      body: Buffer.from('{"detail":"The runner failed","error_type":"runner_server_error"}'),
    });
  };
  const response = await fetch(`${gateway.origin}/run/test/echo/stream`, {
    method: "POST",
    headers: { authorization: gateway.authorization },
    body: JSON.stringify({ prompt: "x" }),
  });
  assert.equal(response.status, 200);
  assert.deepEqual(await collect(response), [
    { part: 1 },
    { error: { status: 500, body: { detail: "The runner failed", error_type: "runner_server_error" } } },
  ]);
});

test("a caller who leaves a stream aborts the run, before and after the first event", async () => {
  const { live } = gateway.context;
  for (const showsSomething of [false, true]) {
    const leave = new AbortController();
    const aborted = new Promise<unknown>((resolve) => {
      gateway.directRun = ({ id: requestId }, { signal }) => {
        if (showsSomething) live.publish({ type: "emit", requestId, value: 1 });
        else setTimeout(() => leave.abort(), 20);
        return new Promise<RequestResult>((end) => {
          signal.addEventListener("abort", () => {
            resolve(signal.reason);
            end(createResult(null, { state: "cancelled", statusCode: 499 }));
          });
        });
      };
    });
    const call = fetch(`${gateway.origin}/run/test/echo/stream`, {
      method: "POST",
      headers: { authorization: gateway.authorization },
      body: JSON.stringify({ prompt: "x" }),
      signal: leave.signal,
    });
    if (showsSomething) {
      const events = readEvents(await call);
      assert.equal((await events.next()).value, 1);
      leave.abort();
    } else await assert.rejects(call);
    assert.match(String(await aborted), /closed the connection/);
  }
});

test("a token may call its apps on the run surface and no others", async () => {
  const { tokens } = gateway.context;
  const { key } = await gateway.createKey();
  const caller = { accountId: key.accountId, keyId: key.id, scope: "API", credential: "key" } as const;
  for (const [app, path, status] of [
    ["echo", "/run/test/echo", 200],
    ["test/echo", "/run/test/echo", 200],
    ["test/echo/stream", "/run/test/echo/stream", 200],
    ["test/echo/loud", "/run/test/echo/loud", 200],
    ["test/echo/loud", "/run/test/echo", 401],
    ["app", "/run/test/echo", 401],
    ["test", "/run/test/echo", 401],
  ] as const) {
    const token = await tokens.issueRuntimeToken(caller, [app], 60);
    const answer = await gateway.call(`${path}?fal_jwt_token=${token}`, {
      json: { prompt: "x" },
      authorization: null,
    });
    assert.equal(answer.status, status, `${app} on ${path}`);
    const header = await gateway.call(path, { json: { prompt: "x" }, authorization: `Bearer ${token}` });
    assert.equal(header.status, status);
  }
});

async function collect(response: Response): Promise<unknown[]> {
  const events: unknown[] = [];
  for await (const event of readEvents(response)) events.push(event);
  return events;
}
