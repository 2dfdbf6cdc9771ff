import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import type { Caller } from "../keys/caller.ts";
import { openGateway, type TestGateway } from "./testing/open-gateway.ts";

let gateway: TestGateway;
before(async () => {
  gateway = await openGateway();
});
after(() => gateway[Symbol.asyncDispose]());

const JSON_BODY = { prompt: "x" };
const MISSING =
  'Cannot access application "test/echo". Authentication is required to access this application.';
const MALFORMED = "Invalid Key Authorization header format. Expected '<key_id>:<key_secret>'.";
const UNKNOWN = "No user found for Key ID and Secret";
const INVALID = "Authorization token=<…> is invalid.";
const NO_KEY = "01890000-0000-7000-8000-000000000000:00000000000000000000000000000000";

/** Surface path, Authorization, status, detail: one row per refusal of the hosted service. */
const REFUSALS: readonly (readonly [string, string | null, number, string])[] = [
  ["/queue/test/echo", null, 401, MISSING],
  ["/run/test/echo", null, 401, MISSING],
  ["/queue/test/echo/loud", null, 401, MISSING],
  ["/run/test/echo/loud/stream", null, 401, MISSING],
  ["/run/test/echo", "", 401, MISSING],
  ["/run/test/echo", "Basic dXNlcjpwYXNz", 401, MISSING],
  ["/queue/test/echo", "Key", 401, MALFORMED],
  ["/queue/test/echo", "Key undefined", 401, MALFORMED],
  ["/queue/test/echo", "Key :", 401, MALFORMED],
  ["/run/test/echo", "Key id:", 401, MALFORMED],
  ["/rest/tokens/", "Key nonsense", 401, MALFORMED],
  ["/queue/test/echo", `Key ${NO_KEY}`, 401, UNKNOWN],
  ["/run/test/echo", `Key ${NO_KEY}`, 401, UNKNOWN],
  ["/rest/tokens/", `Key ${NO_KEY}`, 401, UNKNOWN],
  ["/queue/test/echo", "Key a:b", 401, UNKNOWN],
  ["/rest/tokens/", null, 401, "Authorization header is required"],
  ["/queue/test/echo", "Bearer nonsense", 401, INVALID],
  ["/run/test/echo", "Bearer a.b.c", 401, INVALID],
  ["/rest/tokens/", "Bearer nonsense", 401, INVALID],
];

for (const [path, authorization, status, detail] of REFUSALS)
  test(`${path} with ${authorization === null ? "no credential" : `"${authorization}"`} is ${status}: ${detail}`, async () => {
    const answer = await gateway.call(path, { json: JSON_BODY, authorization });
    assert.equal(answer.status, status);
    assert.equal(answer.json.detail, detail);
    assert.equal(answer.json.message, detail);
    assert.equal(answer.headers.get("www-authenticate"), "Key");
    assert.ok(answer.headers.get("x-fal-request-id"));
    assert.equal(answer.headers.get("access-control-allow-origin"), "*");
  });

test("a wrong secret is refused like an unknown id", async () => {
  const answer = await gateway.call("/queue/test/echo", {
    json: JSON_BODY,
    authorization: `${gateway.authorization.slice(0, -1)}${gateway.authorization.endsWith("0") ? "1" : "0"}`,
  });
  assert.equal(answer.status, 401);
  assert.equal(answer.json.detail, UNKNOWN);
});

test("the scheme may be in any case, and white space around it does not matter", async () => {
  const credential = gateway.authorization.slice("Key ".length);
  for (const authorization of [`KEY ${credential}`, `key  ${credential}`, `  Key\t${credential}  `]) {
    const answer = await gateway.call("/run/test/echo", { json: JSON_BODY, authorization });
    assert.equal(answer.status, 200, JSON.stringify(authorization));
  }
});

test("the credential is checked before the application, and that before the method", async () => {
  assert.equal((await gateway.call("/run/test/missing", { method: "GET", authorization: null })).status, 401);
  const unknown = await gateway.call("/run/test/missing", { method: "GET" });
  assert.equal(unknown.status, 404);
  assert.equal(unknown.json.detail, 'Application "missing" not found');
  assert.equal((await gateway.call("/run/test/echo", { method: "GET" })).status, 405);
});

test("everything under /v1 that needs a key refuses in the platform's envelope", async () => {
  for (const authorization of [null, "Key nonsense", `Key ${NO_KEY}`]) {
    const answer = await gateway.call("/v1/keys", { authorization });
    assert.equal(answer.status, 401);
    assert.equal(answer.json.error.type, "authorization_error");
    assert.equal(typeof answer.json.error.message, "string");
  }
});

test("a key of scope API may not do what needs ADMIN", async () => {
  const refused = await gateway.call("/v1/keys");
  assert.equal(refused.status, 403);
  assert.equal(refused.json.error.type, "authorization_error");
  const { authorization } = await gateway.createKey({ scope: "ADMIN" });
  assert.equal((await gateway.call("/v1/keys", { authorization })).status, 200);
});

test("a CDN token opens neither queue nor run", async () => {
  const [key] = (await gateway.context.keys.list({ limit: 1 })).keys;
  const caller: Caller = { accountId: key!.accountId, keyId: key!.id, scope: "API", credential: "key" };
  const { token } = await gateway.context.tokens.issueCdnToken(caller, 60);
  for (const path of ["/queue/test/echo", "/run/test/echo"]) {
    const answer = await gateway.call(path, { json: JSON_BODY, authorization: `Bearer ${token}` });
    assert.equal(answer.status, 401);
    assert.equal(answer.json.detail, MISSING);
  }
});

test("a token is never echoed", async () => {
  const answer = await gateway.call("/run/test/echo?fal_jwt_token=sensitive", {
    json: JSON_BODY,
    authorization: null,
  });
  assert.equal(answer.status, 401);
  assert.equal(answer.text.includes("sensitive"), false);
  const header = await gateway.call("/run/test/echo", { json: JSON_BODY, authorization: "Bearer sensitive" });
  assert.equal(header.text.includes("sensitive"), false);
});

test("a revoked key is refused at once, and so are its tokens", async () => {
  const { key, authorization } = await gateway.createKey();
  const caller: Caller = { accountId: key.accountId, keyId: key.id, scope: "API", credential: "key" };
  const token = await gateway.context.tokens.issueRuntimeToken(caller, ["echo"], 60);
  assert.equal((await gateway.call("/run/test/echo", { json: JSON_BODY, authorization })).status, 200);
  await gateway.context.keys.revoke(key.id);
  assert.equal((await gateway.call("/run/test/echo", { json: JSON_BODY, authorization })).status, 401);
  const withToken = await gateway.call("/run/test/echo", {
    json: JSON_BODY,
    authorization: `Bearer ${token}`,
  });
  assert.equal(withToken.status, 401);
});

test("in strict mode bodies have only the hosted service's fields", async () => {
  await using strict = await openGateway({ settings: { strict: true } });
  const refused = await strict.call("/run/test/echo", { json: JSON_BODY, authorization: null });
  assert.deepEqual(refused.json, { detail: MISSING });
  const { json } = await strict.call("/queue/test/echo", { json: JSON_BODY });
  const cancelled = await strict.call(json.cancel_url, { method: "PUT" });
  assert.deepEqual(cancelled.json, { status: "CANCELLATION_REQUESTED" });
  const path = await strict.call("/run/test/echo/x", { json: JSON_BODY });
  assert.deepEqual(path.json, { detail: "Path /x not found" });
});

test("with anonymous results, whoever knows the id reads the result and nothing else", async () => {
  await using open = await openGateway({ settings: { anonymousResultById: true } });
  const { json } = await open.call("/queue/test/echo", { json: JSON_BODY });
  await open.complete(await open.lease());
  assert.equal((await open.call(json.response_url, { authorization: null })).status, 200);
  assert.equal((await open.call(json.status_url, { authorization: null })).status, 401);
  assert.equal((await open.call(json.cancel_url, { method: "PUT", authorization: null })).status, 401);
});

test("where the operator chose it, the cancel of a queued request answers 200 OK", async () => {
  await using other = await openGateway({ settings: { cancelAnswersOk: true } });
  const { json } = await other.call("/queue/test/echo", { json: JSON_BODY });
  const cancelled = await other.call(json.cancel_url, { method: "PUT" });
  assert.equal(cancelled.status, 200);
  assert.deepEqual(cancelled.json, { status: "OK", success: true });
});
