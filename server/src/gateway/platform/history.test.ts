import assert from "node:assert/strict";
import { test } from "node:test";
import { openPlatform } from "./testing/open-platform.ts";

const timeout = 60_000;
const DAY_MS = 86_400_000;

test("the history shows the account's finished requests of an endpoint", { timeout }, async () => {
  await using platform = await openPlatform();
  const createdAt = Date.now() - 60_000;
  const id = await platform.record(
    {},
    {},
    { createdAt, startedAt: createdAt + 1500, endedAt: createdAt + 4000 },
  );
  await platform.record({ accountId: platform.otherAccountId, keyId: null });
  await platform.record({ endpointId: "test/echo/loud" });
  await platform.enqueue();
  const { status, json } = await platform.call("/v1/models/requests/by-endpoint?endpoint_id=test/echo");
  assert.equal(status, 200);
  assert.deepEqual(json, {
    items: [
      {
        request_id: id,
        endpoint_id: "test/echo",
        started_at: new Date(createdAt + 1500).toISOString(),
        sent_at: new Date(createdAt).toISOString(),
        ended_at: new Date(createdAt + 4000).toISOString(),
        status_code: 200,
        duration: 2.5,
      },
    ],
    next_cursor: null,
    has_more: false,
  });
});

test("the operator's key sees everybody's history", { timeout }, async () => {
  await using platform = await openPlatform();
  const ids = [
    await platform.record(),
    await platform.record({ accountId: platform.otherAccountId, keyId: null }),
  ];
  const options = { authorization: platform.admin };
  const { json } = await platform.call("/v1/models/requests/by-endpoint?endpoint_id=test/echo", options);
  assert.deepEqual(json.items.map((item: { request_id: string }) => item.request_id).sort(), ids.sort());
});

test("payloads come when asked for, with the files' URLs of this server", { timeout }, async () => {
  await using platform = await openPlatform();
  const body = Buffer.from('{"image":{"url":"\\u002Ffile\\u002Ffiles/b/0/x.png"}}');
  await platform.record({}, { body });
  const { json } = await platform.call(
    "/v1/models/requests/by-endpoint?endpoint_id=test/echo&expand=payloads",
  );
  assert.deepEqual(json.items[0].json_input, { prompt: "a fox" });
  assert.deepEqual(json.items[0].json_output, {
    image: { url: `${platform.gateway.origin}/cdn/files/b/0/x.png` },
  });
});

test("the history is filtered by time, outcome and id, sorted, and paged", { timeout }, async () => {
  await using platform = await openPlatform();
  const list = async (query: string): Promise<string[]> => {
    const { status, json } = await platform.call(
      `/v1/models/requests/by-endpoint?endpoint_id=test/echo&${query}`,
    );
    assert.equal(status, 200, JSON.stringify(json));
    return json.items.map((item: { request_id: string }) => item.request_id);
  };
  const now = Date.now();
  const old = await platform.record({}, {}, { createdAt: now - 3 * DAY_MS });
  const slow = await platform.record(
    {},
    {},
    { createdAt: now - 9000, startedAt: now - 9000, endedAt: now - 1000 },
  );
  const refused = await platform.record({}, { state: "failed", statusCode: 422 }, { createdAt: now - 8000 });
  const broken = await platform.record({}, { state: "failed", statusCode: 500 }, { createdAt: now - 7000 });
  assert.deepEqual((await list("")).sort(), [slow, refused, broken].sort());
  assert.deepEqual(await list("sort_by=duration&limit=1"), [slow]);
  assert.deepEqual(await list("status=user_error"), [refused]);
  assert.deepEqual(await list("status=error"), [broken]);
  assert.deepEqual(await list("status=success"), [slow]);
  assert.deepEqual(await list(`request_id=${old}`), [old]);
  const day = new Date(now - 3 * DAY_MS).toISOString().slice(0, 10);
  assert.deepEqual(await list(`start=${day}&end=${new Date(now - 2 * DAY_MS).toISOString()}`), [old]);
  const first = await platform.call("/v1/models/requests/by-endpoint?endpoint_id=test/echo&limit=2");
  assert.equal(first.json.has_more, true);
  const rest = await list(`limit=2&cursor=${encodeURIComponent(first.json.next_cursor)}`);
  assert.equal(rest.length, 1);
});

test("wrong filters of the history are refused by name", { timeout }, async () => {
  await using platform = await openPlatform();
  for (const [query, message] of [
    ["", /"endpoint_id" is required/],
    ["endpoint_id=test/echo&limit=101", /"limit"/],
    ["endpoint_id=test/echo&start=yesterday", /"start" must be a date/],
    ["endpoint_id=test/echo&start=2026-02-30T99:00:00Z", /"start"/],
    ["endpoint_id=test/echo&start=2026-02-02&end=2026-02-01", /"start" must be before "end"/],
    ["endpoint_id=test/echo&request_id=5", /"request_id"/],
    ["endpoint_id=test/echo&status=fine", /"status"/],
    ["endpoint_id=test/echo&cursor=nonsense", /cursor/],
  ] as const) {
    const { status, json } = await platform.call(`/v1/models/requests/by-endpoint?${query}`);
    assert.equal(status, 400, query);
    assert.match(json.error.message, message);
  }
});

test("a search by filters looks at all endpoints; a search by meaning is not offered", {
  timeout,
}, async () => {
  await using platform = await openPlatform();
  const ids = [await platform.record(), await platform.record({ endpointId: "test/echo/loud" })];
  await platform.record({ accountId: platform.otherAccountId, keyId: null });
  const all = await platform.call("/v1/models/requests/search");
  const found = all.json.results.map((row: { request_id: string }) => row.request_id);
  assert.deepEqual(found.sort(), ids.sort());
  const none = await platform.call("/v1/models/requests/search?exclude_api_requests=true");
  assert.deepEqual(none.json.results, []);
  const semantic = await platform.call("/v1/models/requests/search?query=foxes");
  assert.equal(semantic.status, 501);
  assert.equal(semantic.json.error.type, "not_implemented");
});

test("removing payloads removes what is stored and the output files, and is answered alike again", {
  timeout,
}, async () => {
  await using platform = await openPlatform();
  const { files } = platform.gateway.context;
  const id = await platform.record();
  const base = { accountId: platform.accountId, contentType: "image/png", expiresAt: null };
  const output = await files.create({ ...base, requestId: id, fileName: "out.png" }, Buffer.from("out"));
  const input = await files.create({ ...base, requestId: null, fileName: "in.png" }, Buffer.from("in"));
  const path = `/v1/models/requests/${id}/payloads`;
  assert.equal((await platform.call(path, { method: "DELETE" })).status, 403);
  assert.equal((await platform.call(path, { method: "DELETE", authorization: platform.other })).status, 403);
  const options = { method: "DELETE", authorization: platform.admin, headers: { "idempotency-key": "k" } };
  const first = await platform.call(path, options);
  assert.equal(first.status, 200);
  assert.deepEqual(first.json.cdn_delete_results, [
    { link: `${platform.gateway.origin}/cdn/${output.path}`, exception: null },
  ]);
  assert.equal(await files.find(output.path), undefined);
  assert.ok(await files.find(input.path));
  const { json } = await platform.call(
    "/v1/models/requests/by-endpoint?endpoint_id=test/echo&expand=payloads",
  );
  assert.equal("json_input" in json.items[0] || "json_output" in json.items[0], false);
  assert.deepEqual((await platform.call(path, options)).json, first.json);
  const again = await platform.call(path, { method: "DELETE", authorization: platform.admin });
  assert.deepEqual(again.json.cdn_delete_results, []);
});

test("payloads of a request that is not finished stay", { timeout }, async () => {
  await using platform = await openPlatform();
  const id = await platform.enqueue();
  const { status, json } = await platform.call(`/v1/models/requests/${id}/payloads`, {
    method: "DELETE",
    authorization: platform.admin,
  });
  assert.equal(status, 400);
  assert.match(json.error.message, /not finished/);
  assert.ok(await platform.queue.readInput(id));
});
