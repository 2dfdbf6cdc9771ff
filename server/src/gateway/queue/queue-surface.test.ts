import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { createFlatError, REQUEST_ERRORS, type RequestErrorType } from "@sluice/protocol";
import { stringifyWithFileLinks } from "../../files/file-links.ts";
import { createAccountId } from "../../ids.ts";
import { type Answer, openGateway, type TestGateway } from "../testing/open-gateway.ts";
import { readEvents } from "../testing/read-events.ts";

let gateway: TestGateway;
before(async () => {
  gateway = await openGateway();
});
after(() => gateway[Symbol.asyncDispose]());

const UNKNOWN = "01890000-0000-7000-8000-000000000000";

async function submit(path = "/queue/test/echo", json: unknown = { prompt: "a tiger eye" }): Promise<Answer> {
  return await gateway.call(path, { method: "POST", json });
}

/** Leases until it is the turn of this request, and ends the ones before. */
async function leaseRequest(id: string) {
  for (;;) {
    const lease = await gateway.lease();
    if (lease.requestId === id) return lease;
    await gateway.complete(lease);
  }
}

test("a submit answers 200 with the status object and URLs in the style it was asked", async () => {
  const answer = await submit();
  const id = answer.json.request_id;
  const url = `${gateway.origin}/queue/test/echo/requests/${id}`;
  assert.equal(answer.status, 200);
  assert.match(id, /^[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[0-9a-f]{4}-[0-9a-f]{12}$/);
  assert.deepEqual(answer.json, {
    status: "IN_QUEUE",
    request_id: id,
    response_url: url,
    status_url: `${url}/status`,
    cancel_url: `${url}/cancel`,
    queue_position: 0,
  });
  assert.equal(answer.headers.get("x-fal-request-id"), id);
  assert.equal(answer.headers.get("content-type"), "application/json");
});

test("a request goes through its states as clients expect: 202, 202, 200", async () => {
  const { request_id: id, status_url: statusUrl, response_url: responseUrl } = (await submit()).json;
  const queued = await gateway.call(`${statusUrl}?logs=1`);
  assert.equal(queued.status, 202);
  assert.equal(queued.json.status, "IN_QUEUE");
  assert.equal(typeof queued.json.queue_position, "number");
  assert.equal("logs" in queued.json, false);

  const lease = await leaseRequest(id);
  await gateway.context.queue.appendEvents(lease, [
    { kind: "log", at: Date.now(), data: { message: "1/28 steps", level: "INFO" } },
  ]);
  const running = await gateway.call(`${statusUrl}?logs=true`);
  assert.equal(running.status, 202);
  assert.equal(running.json.status, "IN_PROGRESS");
  assert.equal(running.json.logs[0].message, "1/28 steps");
  assert.equal(running.json.logs[0].source, "USER");
  assert.match(running.json.logs[0].timestamp, /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d+(Z|[+-]\d\d:\d\d)$/);
  const early = await gateway.call(responseUrl);
  assert.equal(early.status, 400);
  assert.equal(early.json.detail, "Request is still in progress");

  await gateway.complete(lease, { body: Buffer.from('{"images":[]}'), inferenceSeconds: 3.5 });
  const done = await gateway.call(`${statusUrl}?logs=1`);
  assert.equal(done.status, 200);
  assert.equal(done.json.status, "COMPLETED");
  assert.equal(done.json.logs.length, 1);
  assert.deepEqual(done.json.metrics, { inference_time: 3.5 });
  assert.equal("error" in done.json, false);
  for (const path of [
    responseUrl,
    `${responseUrl}/`,
    `${responseUrl}/response`,
    `${responseUrl}/response/`,
  ]) {
    const result = await gateway.call(path);
    assert.equal(result.status, 200, path);
    assert.deepEqual(result.json, { images: [] });
    assert.equal(result.headers.get("x-fal-request-id"), id);
    assert.equal(result.headers.get("x-fal-billable-units"), "1");
    assert.equal(result.headers.get("x-model"), "test@1");
    assert.ok(result.headers.get("x-fal-served-from"));
  }
});

test("logs are null unless they are asked for in one of the known spellings", async () => {
  const { request_id: id, status_url: statusUrl } = (await submit()).json;
  const lease = await leaseRequest(id);
  for (const [query, isArray] of [
    ["", false],
    ["?logs=0", false],
    ["?logs=false", false],
    ["?logs=yes", false],
    ["?logs=", false],
    ["?logs=1", true],
    ["?logs=true", true],
    ["?logs=True", true],
  ] as const) {
    const { json } = await gateway.call(statusUrl + query);
    assert.equal(Array.isArray(json.logs), isArray, query);
    assert.ok("logs" in json, query);
  }
  await gateway.complete(lease);
});

test("an input that does not fit is accepted, and its result is the 422 with the field", async () => {
  const submitted = await submit("/queue/test/echo", { prompt: "x", count: 9 });
  assert.equal(submitted.status, 200);
  assert.equal(submitted.json.status, "IN_QUEUE");
  const status = await gateway.call(submitted.json.status_url);
  assert.equal(status.status, 200);
  assert.equal(status.json.status, "COMPLETED");
  assert.equal(status.json.error, "Invalid status code: 422");
  assert.equal(status.json.error_type, "less_than_equal");
  const result = await gateway.call(submitted.json.response_url);
  assert.equal(result.status, 422);
  assert.deepEqual(result.json.detail[0].loc, ["body", "count"]);
  assert.equal(result.headers.get("x-fal-billable-units"), "0");
  assert.equal(result.headers.get("x-fal-retryable"), "false");
  assert.equal(result.headers.get("x-fal-needs-retry"), "0");
  assert.equal(result.headers.get("x-fal-request-id"), submitted.json.request_id);
});

test("malformed JSON and no body at all are results too", async () => {
  for (const [body, type] of [
    ["{nope", "json_invalid"],
    ["[1]", "model_attributes_type"],
    ["", "missing"],
  ] as const) {
    const submitted = await gateway.call("/queue/test/echo", { method: "POST", body });
    assert.equal(submitted.status, 200, body);
    const result = await gateway.call(submitted.json.response_url);
    assert.equal(result.status, 422, body);
    assert.equal(result.json.detail[0].type, type, body);
  }
});

test("an unknown path of a known app ends as the app's 404; an unknown app is refused", async () => {
  const submitted = await submit("/queue/test/echo/nowhere/else");
  assert.equal(submitted.status, 200);
  assert.match(submitted.json.status_url, /\/queue\/test\/echo\/requests\//);
  const result = await gateway.call(submitted.json.response_url);
  assert.equal(result.status, 404);
  assert.equal(result.json.detail, "Path /nowhere/else not found");
  assert.equal(result.headers.get("x-fal-billable-units"), "0");
  const refused = await submit("/queue/test/missing/path");
  assert.equal(refused.status, 404);
  assert.equal(refused.json.detail, 'Application "missing" not found');
});

test("a sub-path endpoint answers under owner and alias, and under its full id", async () => {
  const { json } = await submit("/queue/test/echo/loud");
  assert.match(json.status_url, /\/queue\/test\/echo\/requests\/[0-9a-f-]+\/status$/);
  const lease = await gateway.lease("test/echo/loud");
  await gateway.complete(lease);
  for (const app of ["test/echo", "test/echo/loud", "test/echo/anything"]) {
    const answer = await gateway.call(`/queue/${app}/requests/${json.request_id}/status/`);
    assert.equal(answer.status, 200, app);
  }
  assert.equal((await gateway.call(`/queue/other/app/requests/${json.request_id}/status`)).status, 404);
});

test("a request that nobody knows is 404 with or without a credential", async () => {
  for (const authorization of [null, "Key nonsense", gateway.authorization]) {
    for (const id of [UNKNOWN, "nonsense", UNKNOWN.toUpperCase().replaceAll("0", "A")]) {
      const base = `/queue/test/echo/requests/${id}`;
      const status = await gateway.call(`${base}/status`, { authorization });
      assert.equal(status.status, 404);
      assert.deepEqual(status.json, { status: "NOT_FOUND" });
      const stream = await gateway.call(`${base}/status/stream`, { authorization });
      assert.equal(stream.status, 404);
      assert.deepEqual(stream.json, { status: "NOT_FOUND" });
      const result = await gateway.call(base, { authorization });
      assert.equal(result.status, 404);
      assert.deepEqual(result.json, { status: "NOT_FOUND", detail: "Request not found" });
      const cancel = await gateway.call(`${base}/cancel`, { method: "PUT", authorization });
      assert.equal(cancel.status, 404);
      assert.deepEqual(cancel.json, { status: "NOT_FOUND", success: false });
    }
  }
});

test("a known request needs a credential, and another account's request is unknown", async () => {
  const { json } = await submit();
  const colleague = await gateway.createKey();
  const stranger = await gateway.createKey({ accountId: createAccountId() });
  for (const [url, method] of [
    [json.status_url, "GET"],
    [`${json.status_url}/stream`, "GET"],
    [json.response_url, "GET"],
    [json.cancel_url, "PUT"],
  ] as const) {
    const anonymous = await gateway.call(url, { method, authorization: null });
    assert.equal(anonymous.status, 401, url);
    assert.match(anonymous.json.detail, /^Cannot access application "test\/echo"\./);
    const other = await gateway.call(url, { method, authorization: stranger.authorization });
    assert.equal(other.status, 404, url);
    assert.equal(other.json.status, "NOT_FOUND");
  }
  const own = await gateway.call(json.status_url, { authorization: colleague.authorization });
  assert.equal(own.status, 202);
});

test("other methods are refused with Allow, after the credential", async () => {
  const { json } = await submit();
  for (const [url, method, allow] of [
    ["/queue/test/echo", "GET", "POST"],
    ["/queue/test/echo", "DELETE", "POST"],
    [json.status_url, "POST", "GET, HEAD"],
    [json.response_url, "DELETE", "GET, HEAD"],
    [`${json.status_url}/stream`, "POST", "GET"],
    [json.cancel_url, "POST", "PUT"],
    [json.cancel_url, "GET", "PUT"],
  ] as const) {
    const answer = await gateway.call(url, { method });
    assert.equal(answer.status, 405, `${method} ${url}`);
    assert.equal(answer.headers.get("allow"), allow);
    assert.equal(answer.json.detail, "Method Not Allowed");
    assert.equal((await gateway.call(url, { method, authorization: null })).status, 401);
  }
});

test("cancel answers by state", async () => {
  const queued = (await submit()).json;
  const first = await gateway.call(queued.cancel_url, { method: "PUT" });
  assert.equal(first.status, 202);
  assert.deepEqual(first.json, { status: "CANCELLATION_REQUESTED", success: true });
  const status = await gateway.call(queued.status_url);
  assert.equal(status.status, 200);
  assert.equal(status.json.status, "COMPLETED");
  assert.equal(status.json.error_type, "client_cancelled");
  const result = await gateway.call(queued.response_url);
  assert.equal(result.status, 499);
  assert.equal(result.json.detail, "Request cancelled by the client.");
  assert.equal(result.json.error_type, "client_cancelled");
  assert.equal(result.headers.get("x-fal-error-type"), "client_cancelled");
  const again = await gateway.call(queued.cancel_url, { method: "PUT" });
  assert.equal(again.status, 400);
  assert.deepEqual(again.json, { status: "ALREADY_COMPLETED", success: false });

  const running = (await submit()).json;
  const lease = await leaseRequest(running.request_id);
  const heard: string[] = [];
  const stopListening = gateway.context.live.onCancel((id) => heard.push(id));
  for (let times = 1; times <= 2; times++) {
    const answer = await gateway.call(running.cancel_url, { method: "PUT" });
    assert.equal(answer.status, 202);
    assert.deepEqual(answer.json, { status: "CANCELLATION_REQUESTED", success: true });
  }
  stopListening();
  assert.deepEqual(heard, [running.request_id, running.request_id]);
  await gateway.complete(lease);
});

test("a result of the platform is replayed with its status, body and header", async () => {
  const { json } = await submit();
  const lease = await leaseRequest(json.request_id);
  const body = createFlatError("request_timeout");
  await gateway.complete(lease, {
    state: "failed",
    statusCode: 504,
    headers: { "content-type": "application/json", "x-fal-error-type": "request_timeout" },
    body: Buffer.from(JSON.stringify(body)),
    error: body.detail,
    errorType: body.error_type,
  });
  const status = await gateway.call(json.status_url);
  assert.equal(status.status, 200);
  assert.equal(status.json.error, body.detail);
  assert.equal(status.json.error_type, "request_timeout");
  const result = await gateway.call(json.response_url);
  assert.equal(result.status, 504);
  assert.deepEqual(result.json, { ...body, message: body.detail });
  assert.equal(result.headers.get("x-fal-error-type"), "request_timeout");
});

for (const [type, { status }] of Object.entries(REQUEST_ERRORS))
  test(`a request that ended with ${type} is COMPLETED, and its result is ${status}`, async () => {
    const { json } = await submit();
    const lease = await leaseRequest(json.request_id);
    const body = createFlatError(type as RequestErrorType);
    await gateway.complete(lease, {
      state: status === 499 ? "cancelled" : "failed",
      statusCode: status,
      headers: { "content-type": "application/json", "x-fal-error-type": type },
      body: Buffer.from(JSON.stringify(body)),
      error: body.detail,
      errorType: type,
    });
    const said = await gateway.call(json.status_url);
    assert.equal(said.status, 200);
    assert.equal(said.json.status, "COMPLETED");
    assert.equal(said.json.error_type, type);
    const result = await gateway.call(json.response_url);
    assert.equal(result.status, status);
    assert.equal(result.json.detail, body.detail);
    assert.equal(result.json.error_type, type);
    assert.equal(result.headers.get("x-fal-error-type"), type);
  });

test("a key over its limits is refused with 429 and told when to come back", async () => {
  const waiting = await gateway.createKey({ limits: { queued: 1 } });
  const send = (authorization: string) => gateway.call("/queue/other/app", { json: {}, authorization });
  const first = await send(waiting.authorization);
  assert.equal(first.status, 200);
  const second = await send(waiting.authorization);
  assert.equal(second.status, 429);
  assert.equal(second.json.error_type, "queue_length_exceeded");
  assert.ok(Number(second.headers.get("retry-after")) >= 1);
  await gateway.call(first.json.cancel_url, { method: "PUT", authorization: waiting.authorization });
  assert.equal((await send(waiting.authorization)).status, 200);

  const daily = await gateway.createKey({ limits: { requestsPerDay: 1 } });
  assert.equal((await send(daily.authorization)).status, 200);
  const refused = await send(daily.authorization);
  assert.equal(refused.status, 429);
  assert.equal(refused.json.error_type, "rate_limited");
  assert.ok(Number(refused.headers.get("retry-after")) >= 1);
});

test("links to files become URLs of the path mount when a result is read, however it is asked", async () => {
  const { json } = await submit();
  const lease = await leaseRequest(json.request_id);
  const text = stringifyWithFileLinks((link) => ({ images: [{ url: link("files/b/0a1b2c3d/x_y.png") }] }));
  await gateway.complete(lease, { body: Buffer.from(text) });
  const result = await gateway.call(json.response_url);
  assert.equal(result.json.images[0].url, `${gateway.origin}/cdn/files/b/0a1b2c3d/x_y.png`);
  const again = await gateway.call(json.response_url);
  assert.deepEqual(again.json, result.json);
});

test("bodies that are no JSON keep their type and their bytes", async () => {
  const { json } = await submit();
  const lease = await leaseRequest(json.request_id);
  await gateway.complete(lease, {
    body: Buffer.from("<b>hello</b>"),
    headers: { "content-type": "text/html", "x-own": "kept" },
  });
  const result = await gateway.call(json.response_url);
  assert.equal(result.headers.get("content-type"), "text/html");
  assert.equal(result.headers.get("x-own"), "kept");
  assert.equal(result.text, "<b>hello</b>");
});

test("headers and query reach the queue in its words", async () => {
  const answer = await gateway.call(
    "/queue/test/echo?fal_webhook=https%3A%2F%2Fexample.org%2Fhook%3Fa%3D1&fal_max_queue_length=5000",
    {
      method: "POST",
      json: { prompt: "x" },
      headers: {
        "x-fal-queue-priority": "LOW",
        "x-fal-request-start-timeout": "120.5",
        "x-fal-request-timeout": "5",
        "x-fal-runner-hint": "same",
        "x-fal-store-io": "0",
        "x-fal-object-lifecycle-preference": '{"expiration_duration_seconds":60}',
        "x-fal-tags": "Team=Red, bad key=1,fal.own=1,empty=",
        "x-own-header": "seen",
        "x-fal-cdn-token": "secret",
        "user-agent": "tester/1",
        "accept-language": "fr",
      },
    },
  );
  assert.equal(answer.status, 200);
  const record = await gateway.context.queue.find(answer.json.request_id);
  assert.ok(record);
  assert.equal(record.priority, "low");
  assert.equal(record.startDeadlineAt, record.createdAt + 120_500);
  assert.equal(record.hint, "same");
  assert.equal(record.keepsPayloads, false);
  assert.equal(record.webhookUrl, "https://example.org/hook?a=1");
  assert.deepEqual(record.fileLifecycle, { expiration_duration_seconds: 60 });
  assert.deepEqual(record.tags, { team: "Red", empty: "" });
  assert.deepEqual(record.headers, {
    "accept-language": "fr",
    "user-agent": "tester/1",
    "x-own-header": "seen",
  });
  await gateway.call(answer.json.cancel_url, { method: "PUT" });
});

test("a hint comes back with the result", async () => {
  const { json } = await gateway.call("/queue/test/echo", {
    json: { prompt: "x" },
    headers: { "x-fal-runner-hint": "sticky" },
  });
  await gateway.complete(await leaseRequest(json.request_id));
  const result = await gateway.call(json.response_url);
  assert.equal(result.headers.get("x-fal-runner-hints"), "sticky");
});

test("headers and parameters that cannot be read are refused by name", async () => {
  const json = { prompt: "x" };
  for (const [name, value] of [
    ["X-Fal-Request-Start-Timeout", "soon"],
    ["X-Fal-Request-Timeout", "0"],
    ["X-Fal-Request-Timeout", "-5"],
    ["X-Fal-Request-Timeout", "1e9"],
    ["X-Fal-Object-Lifecycle-Preference", "{"],
    ["Idempotency-Key", "k".repeat(256)],
  ] as const) {
    const answer = await gateway.call("/queue/test/echo", { json, headers: { [name]: value } });
    assert.equal(answer.status, 400, `${name}: ${value}`);
    assert.equal(answer.json.error_type, "bad_request");
    assert.equal(answer.headers.get("x-fal-error-type"), "bad_request");
    assert.ok(answer.json.detail.includes(name), answer.json.detail);
  }
  for (const hook of [
    "",
    "nonsense",
    "ftp://example.org/",
    "javascript:alert(1)",
    `https://x.org/${"y".repeat(2100)}`,
  ]) {
    const answer = await gateway.call(`/queue/test/echo?fal_webhook=${encodeURIComponent(hook)}`, { json });
    assert.equal(answer.status, 422, hook);
    assert.deepEqual(answer.json.detail[0].loc, ["query", "fal_webhook"]);
  }
  const length = await gateway.call("/queue/test/echo?fal_max_queue_length=many", { json });
  assert.equal(length.status, 422);
  assert.deepEqual(length.json.detail[0].loc, ["query", "fal_max_queue_length"]);
});

test("malformed values that only tune the call are ignored", async () => {
  const answer = await gateway.call("/queue/test/echo", {
    json: { prompt: "x" },
    headers: {
      "x-fal-retry-config": "{nope",
      "x-fal-queue-priority": "urgent",
      "x-fal-tags": "====,,,",
      "x-fal-no-retry": "maybe",
      "x-fal-anything": "?",
    },
  });
  assert.equal(answer.status, 200);
  await gateway.call(answer.json.cancel_url, { method: "PUT" });
});

test("a full queue is refused with 429 when the caller asked for a limit", async () => {
  const { json } = await submit("/queue/other/app", {});
  const answer = await gateway.call("/queue/other/app?fal_max_queue_length=1", { json: {} });
  assert.equal(answer.status, 429);
  assert.equal(answer.json.detail, "Queue length limit exceeded");
  assert.equal(answer.json.error_type, "queue_length_exceeded");
  assert.equal(answer.headers.get("x-fal-error-type"), "queue_length_exceeded");
  assert.ok(answer.headers.get("retry-after"));
  await gateway.call(json.cancel_url, { method: "PUT" });
});

test("the same Idempotency-Key gives the same request, and another body is a conflict", async () => {
  const send = (prompt: string, authorization = gateway.authorization) =>
    gateway.call("/queue/test/echo", {
      json: { prompt },
      headers: { "idempotency-key": "order-1" },
      authorization,
    });
  const first = await send("x");
  const again = await send("x");
  assert.equal(again.status, 200);
  assert.equal(again.json.request_id, first.json.request_id);
  assert.equal(again.headers.get("x-fal-request-id"), first.json.request_id);
  const other = await send("y");
  assert.equal(other.status, 409);
  assert.match(other.json.detail, /Idempotency-Key/);
  const stranger = await gateway.createKey({ accountId: createAccountId() });
  assert.notEqual((await send("y", stranger.authorization)).json.request_id, first.json.request_id);
});

test("an input that does not fit is one request too under the same Idempotency-Key", async () => {
  const headers = { "idempotency-key": "order-2" };
  const first = await gateway.call("/queue/test/echo", { json: { count: 9 }, headers });
  const again = await gateway.call("/queue/test/echo", { json: { count: 9 }, headers });
  assert.equal(again.status, 200);
  assert.equal(again.json.request_id, first.json.request_id);
  const corrected = await gateway.call("/queue/test/echo", { json: { prompt: "x" }, headers });
  assert.equal(corrected.status, 409);
  assert.equal((await gateway.call(first.json.response_url)).status, 422);
});

test("the status stream says each change once, only new log lines, and ends with the result at hand", async () => {
  const { json } = await submit();
  const stream = await fetch(`${json.status_url}/stream?logs=1`, {
    headers: { authorization: gateway.authorization, accept: "application/json, text/event-stream" },
  });
  assert.equal(stream.status, 200);
  assert.match(stream.headers.get("content-type") ?? "", /^text\/event-stream/);
  assert.match(stream.headers.get("cache-control") ?? "", /no-cache/);
  assert.equal(stream.headers.get("x-fal-request-id"), json.request_id);
  const events = readEvents(stream);
  assert.equal((await events.next()).value.status, "IN_QUEUE");
  const lease = await leaseRequest(json.request_id);
  const log = async (message: string): Promise<void> => {
    const at = Date.now();
    await gateway.context.queue.appendEvents(lease, [{ kind: "log", at, data: { message, level: "INFO" } }]);
    gateway.context.live.publish({ type: "log", requestId: lease.requestId, level: "INFO", message, at });
  };
  let event = (await events.next()).value;
  while (event.status === "IN_QUEUE") event = (await events.next()).value;
  assert.equal(event.status, "IN_PROGRESS");
  assert.deepEqual(event.logs, []);
  await log("one");
  assert.deepEqual(
    (await events.next()).value.logs.map((line: { message: string }) => line.message),
    ["one"],
  );
  await log("two");
  assert.deepEqual(
    (await events.next()).value.logs.map((line: { message: string }) => line.message),
    ["two"],
  );
  await gateway.complete(lease);
  const last = (await events.next()).value;
  assert.equal(last.status, "COMPLETED");
  assert.deepEqual(last.logs, []);
  assert.equal((await gateway.call(json.response_url)).status, 200);
  assert.equal((await events.next()).done, true);
});

test("the status stream of a finished request is one event; logs are null when not asked for", async () => {
  const { json } = await submit("/queue/test/echo", { prompt: 5, count: "many" });
  const stream = await fetch(`${json.status_url}/stream`, {
    headers: { authorization: gateway.authorization },
  });
  const events = readEvents(stream);
  const only = (await events.next()).value;
  assert.equal(only.status, "COMPLETED");
  assert.equal(only.logs, null);
  assert.equal(only.error, "Invalid status code: 422");
  assert.equal((await events.next()).done, true);
});

test("a status stream stops listening when the caller leaves, and when the request is completed", async () => {
  const signals: AbortSignal[] = [];
  await using watched = await openGateway({
    change: (context) => ({
      ...context,
      live: Object.assign(Object.create(context.live), {
        publish: context.live.publish.bind(context.live),
        subscribeAll: context.live.subscribeAll.bind(context.live),
        wake: context.live.wake.bind(context.live),
        subscribe(...[id, signal, options]: Parameters<typeof context.live.subscribe>) {
          signals.push(signal);
          return context.live.subscribe(id, signal, options);
        },
      }),
    }),
  });
  const { json } = await watched.call("/queue/test/echo", { json: { prompt: "x" } });
  const leave = new AbortController();
  const headers = { authorization: watched.authorization };
  const left = await fetch(`${json.status_url}/stream`, { headers, signal: leave.signal });
  await readEvents(left).next();
  leave.abort();
  await waitUntil(() => signals[0]?.aborted === true);
  const read = fetch(`${json.status_url}/stream`, { headers }).then((response) => response.text());
  await waitUntil(() => signals.length === 2);
  await watched.complete(await watched.lease());
  assert.match(await read, /COMPLETED/);
  assert.equal(signals[1]?.aborted, true);
});

test("a token of the account may read status streams, and nothing else of the queue", async () => {
  const { json } = await submit();
  const { tokens, keys } = gateway.context;
  const [key] = (await keys.list({ limit: 1000 })).keys.slice(-1);
  const caller = { accountId: key!.accountId, keyId: key!.id, scope: "API", credential: "key" } as const;
  const token = await tokens.issueRuntimeToken(caller, ["echo"], 60);
  const stream = await fetch(`${json.status_url}/stream?fal_jwt_token=${token}`);
  assert.equal(stream.status, 200);
  await stream.body?.cancel();
  for (const url of [json.status_url, json.response_url])
    assert.equal((await gateway.call(`${url}?fal_jwt_token=${token}`, { authorization: null })).status, 401);
  const submitted = await gateway.call(`/queue/test/echo?fal_jwt_token=${token}`, {
    json: { prompt: "x" },
    authorization: null,
  });
  assert.equal(submitted.status, 401);
  await gateway.call(json.cancel_url, { method: "PUT" });
});

async function waitUntil(isTrue: () => boolean): Promise<void> {
  for (let tries = 0; tries < 200 && !isTrue(); tries++)
    await new Promise((resolve) => setTimeout(resolve, 10));
  assert.ok(isTrue(), "it did not happen within two seconds");
}
