import assert from "node:assert/strict";
import { test } from "node:test";
import { type ReadOptions, type RequestOptions, readRequestOptions } from "./request-options.ts";

const NOW = 1_700_000_000_000;

function read(headers: Record<string, string> = {}, query = ""): ReadOptions {
  const url = new URL(`http://localhost/queue/a/b${query}`);
  return readRequestOptions(new Request(url, { method: "POST", headers }), url, NOW);
}

function readGood(headers: Record<string, string> = {}, query = ""): RequestOptions {
  const outcome = read(headers, query);
  assert.equal(outcome.kind, "options");
  return (outcome as Extract<ReadOptions, { kind: "options" }>).options;
}

const DEFAULTS = { connectionError: 10, serverError: 3, timeout: 2 };

test("without headers the defaults hold", () => {
  assert.deepEqual(readGood(), { priority: "normal", retry: DEFAULTS, keepsPayloads: true });
});

test("a retry configuration changes the classes it names, up to ten attempts", () => {
  const config = (value: unknown) => readGood({ "x-fal-retry-config": JSON.stringify(value) }).retry;
  assert.deepEqual(config({ server_error: { retries: 4 } }), { ...DEFAULTS, serverError: 5 });
  assert.deepEqual(config({ timeout: { retries: 0 }, connection_error: { retries: 99 } }), {
    connectionError: 10,
    serverError: 3,
    timeout: 1,
  });
  for (const nonsense of [
    null,
    [],
    5,
    { server_error: null },
    { timeout: { retries: -1 } },
    { timeout: { retries: 1.5 } },
  ])
    assert.deepEqual(config(nonsense), DEFAULTS, JSON.stringify(nonsense));
});

test("no-retry wins over a retry configuration", () => {
  const config = '{"server_error":{"retries":4}}';
  for (const word of ["1", "true", "YES"])
    assert.deepEqual(readGood({ "x-fal-no-retry": word, "x-fal-retry-config": config }).retry, {
      connectionError: 1,
      serverError: 1,
      timeout: 1,
    });
});

test("tags keep to their rules: ten, lower case, bounded, none of ours", () => {
  const many = Array.from({ length: 15 }, (_, index) => `k${index}=v`).join(",");
  assert.equal(Object.keys(readGood({ "x-fal-tags": many }).tags ?? {}).length, 10);
  assert.deepEqual(readGood({ "x-fal-tags": "A.b-c_1=X=Y , a.b-c_1=later" }).tags, { "a.b-c_1": "later" });
  const long = `ok=1,${"k".repeat(65)}=v,v=${"x".repeat(257)},fal.x=1,spa ce=1,novalue`;
  assert.deepEqual(readGood({ "x-fal-tags": long }).tags, { ok: "1" });
  const heavy = Array.from({ length: 8 }, (_, index) => `k${index}=${"x".repeat(200)}`).join(",");
  const kept = Object.entries(readGood({ "x-fal-tags": heavy }).tags ?? {});
  assert.ok(kept.reduce((sum, [key, value]) => sum + key.length + value.length, 0) <= 1_024);
  assert.equal(readGood({ "x-fal-tags": "" }).tags, undefined);
});

test("a start timeout of any length gives a deadline that can be stored", () => {
  assert.equal(readGood({ "x-fal-request-timeout": "30.0" }).startDeadlineAt, NOW + 30_000);
  assert.equal(readGood({ "x-fal-request-timeout": "0.1" }).startDeadlineAt, NOW + 100);
  const longest = readGood({ "x-fal-request-timeout": "999999999999999" }).startDeadlineAt ?? 0;
  assert.ok(Number.isSafeInteger(longest));
  for (const bad of ["0.05", "0", "-1", "1e3", "Infinity", "NaN", "", "1,5", " "])
    assert.equal(read({ "x-fal-request-start-timeout": bad }).kind, "bad_request", JSON.stringify(bad));
});

test("a lifecycle is kept as it came once it was checked, also one with access rules", () => {
  const lifecycle = {
    expiration_duration_seconds: null,
    initial_acl: { default: "hide", rules: [{ user: "nick", decision: "allow" }] },
  };
  const name = "x-fal-object-lifecycle-preference";
  assert.deepEqual(readGood({ [name]: JSON.stringify(lifecycle) }).fileLifecycle, lifecycle);
  for (const bad of [
    "[]",
    "5",
    '{"initial_acl":{"default":"maybe"}}',
    '{"expiration_duration_seconds":"soon"}',
  ])
    assert.equal(read({ [name]: bad }).kind, "bad_request", bad);
});

test("model code sees the caller's own headers, few and small, and no credential", () => {
  const { headers } = readGood({
    authorization: "Key a:b",
    cookie: "session=1",
    "x-fal-cdn-token": "secret",
    "x-api-key": "secret",
    "x-forwarded-for": "192.0.2.1",
    "x-app-fal-disable-fallback": "true",
    "X-Own": "1",
  });
  assert.deepEqual(headers, { "x-app-fal-disable-fallback": "true", "x-own": "1" });
  const big = readGood({ "x-a": "1", "x-b": "x".repeat(2_000) }).headers ?? {};
  assert.ok(JSON.stringify(big).length < 1_200);
});

test("webhook and queue length come from the query", () => {
  const options = readGood({}, "?fal_webhook=http%3A%2F%2F127.0.0.1%3A9%2Fh%3Fa%3D1&fal_max_queue_length=0");
  assert.equal(options.webhookUrl, "http://127.0.0.1:9/h?a=1");
  assert.equal(options.maxQueueLength, 0);
});
