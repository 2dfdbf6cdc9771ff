import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { openPlatform, type TestPlatform } from "./testing/open-platform.ts";

const timeout = 30_000;
let platform: TestPlatform;
before(async () => {
  platform = await openPlatform();
});
after(() => platform[Symbol.asyncDispose]());

const NO_LIMITS = { concurrency: null, queued: null, requests_per_day: null, stored_bytes: null };

function call(path: string, method: string, json?: unknown): ReturnType<TestPlatform["call"]> {
  return platform.call(path, {
    method,
    authorization: platform.admin,
    ...(json === undefined ? {} : { json }),
  });
}

test("a key is made with limits, which hold at once, and its last use is told", { timeout }, async () => {
  const made = await call("/v1/sluice/keys", "POST", { alias: "limited", limits: { requests_per_day: 1 } });
  assert.equal(made.status, 201);
  const { key, ...rest } = made.json;
  assert.match(key, new RegExp(`^${rest.key_id}:[0-9a-f]{32}$`));
  assert.deepEqual(rest.limits, { ...NO_LIMITS, requests_per_day: 1 });
  assert.equal(rest.last_used_at, null);
  const authorization = `Key ${key}`;
  const json = { prompt: "x" };
  assert.equal((await platform.call("/queue/test/echo", { json, authorization })).status, 200);
  assert.equal((await platform.call("/queue/test/echo", { json, authorization })).status, 429);
  const raised = await call(`/v1/sluice/keys/${rest.key_id}`, "PATCH", { limits: { requests_per_day: 2 } });
  assert.equal(raised.json.limits.requests_per_day, 2);
  assert.equal((await platform.call("/queue/test/echo", { json, authorization })).status, 200);
  assert.equal((await platform.call("/queue/test/echo", { json, authorization })).status, 429);
  const lifted = await call(`/v1/sluice/keys/${rest.key_id}`, "PATCH", { alias: "free", limits: {} });
  assert.deepEqual([lifted.json.alias, lifted.json.limits], ["free", NO_LIMITS]);
  assert.equal((await platform.call("/queue/test/echo", { json, authorization })).status, 200);
  const listed = await call("/v1/sluice/keys?limit=1000", "GET");
  const found = listed.json.keys.find((each: { key_id: string }) => each.key_id === rest.key_id);
  assert.ok(Math.abs(Date.parse(found.last_used_at) - Date.now()) < 60_000);
  assert.ok(!listed.text.includes(key.split(":")[1]));
});

test("what is wrong with a key is named", { timeout }, async () => {
  const path = `/v1/sluice/keys/${platform.keyId}`;
  for (const [body, name] of [
    [{ alias: "" }, "alias"],
    [{ alias: "x".repeat(256) }, "alias"],
    [{ alias: 1 }, "alias"],
    [{ alias: "a", limits: [] }, "limits"],
    [{ alias: "a", limits: { concurrency: 0 } }, "limits.concurrency"],
    [{ alias: "a", limits: { queued: "5" } }, "limits.queued"],
    [{ alias: "a", limits: { stored_bytes: 1.5 } }, "limits.stored_bytes"],
    [{ alias: "a", limits: { requestsPerDay: 5 } }, "limits.requestsPerDay"],
  ] as const) {
    for (const [target, method] of [
      ["/v1/sluice/keys", "POST"],
      [path, "PATCH"],
    ] as const) {
      const { status, json } = await call(target, method, body);
      assert.equal(status, 400, JSON.stringify(body));
      assert.ok(json.error.message.startsWith(`"${name}"`), json.error.message);
    }
  }
  assert.match(
    (await call("/v1/sluice/keys", "POST", { alias: "a", scope: "ROOT" })).json.error.message,
    /"scope"/,
  );
});

test("a revoked or unknown key cannot be changed, and keys are the operator's", { timeout }, async () => {
  const made = await call("/v1/sluice/keys", "POST", { alias: "short-lived" });
  const path = `/v1/sluice/keys/${made.json.key_id}`;
  assert.equal((await call(`/v1/keys/${made.json.key_id}`, "DELETE")).status, 204);
  for (const each of [path, "/v1/sluice/keys/00000000-0000-7000-8000-000000000000", "/v1/sluice/keys/nobody"])
    assert.equal((await call(each, "PATCH", { alias: "x" })).status, 404);
  for (const method of ["GET", "POST"])
    assert.equal((await platform.call("/v1/sluice/keys", { method })).status, 403);
});
