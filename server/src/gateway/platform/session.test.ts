import assert from "node:assert/strict";
import { test } from "node:test";
import { openPlatform, type TestPlatform } from "./testing/open-platform.ts";

const timeout = 30_000;

test("a page trades a key for a session that calls as the key does", { timeout }, async () => {
  await using platform = await openPlatform();
  const { headers } = await signIn(platform, platform.admin);
  const who = await platform.call("/v1/sluice/session", { authorization: null, headers });
  assert.deepEqual([who.status, who.json.scope, who.json.alias], [200, "ADMIN", "admin"]);
  assert.equal((await platform.call("/v1/keys", { authorization: null, headers })).status, 200);
  const submit = { authorization: null, headers, json: { prompt: "a fox" } };
  assert.equal((await platform.call("/queue/test/echo", submit)).status, 200);
});

test("half a session, a changed one or another origin's request is nobody's", { timeout }, async () => {
  await using platform = await openPlatform();
  const { headers } = await signIn(platform, platform.admin);
  const other = await signIn(platform, platform.admin);
  const { cookie, "x-sluice-session": secret } = headers;
  // Not the last letter: some of its bits say nothing, and another one can stand for the same bytes.
  const changed = cookie.replace(/.(?=.$)/, (letter) => (letter === "A" ? "B" : "A"));
  for (const wrong of [
    { cookie },
    { "x-sluice-session": secret },
    { cookie, "x-sluice-session": other.headers["x-sluice-session"] },
    { cookie: changed, "x-sluice-session": secret },
    { ...headers, "sec-fetch-site": "cross-site" },
    { ...headers, "sec-fetch-site": "same-site" },
  ] as Record<string, string>[]) {
    const answer = await platform.call("/v1/keys", { authorization: null, headers: wrong });
    assert.equal(answer.status, 401, JSON.stringify(Object.keys(wrong)));
  }
  const bearer = { authorization: `Bearer ${cookie.slice(cookie.indexOf("=") + 1)}` };
  assert.equal((await platform.call("/v1/keys", bearer)).status, 401);
});

test("the cookie is out of reach for scripts and other sites, and signing out removes it", {
  timeout,
}, async () => {
  await using platform = await openPlatform();
  const { setCookie } = await signIn(platform, platform.admin);
  for (const part of ["HttpOnly", "SameSite=Strict", "Path=/", "Max-Age=43200"])
    assert.ok(setCookie.includes(part), part);
  const out = await platform.call("/v1/sluice/session", { method: "DELETE", authorization: null });
  assert.equal(out.status, 204);
  assert.match(out.headers.get("set-cookie") ?? "", /Max-Age=0/);
  const preflight = await platform.call("/v1/keys", {
    method: "OPTIONS",
    authorization: null,
    headers: { origin: "https://evil.example", "access-control-request-headers": "x-sluice-session" },
  });
  assert.equal(preflight.headers.get("access-control-allow-credentials"), null);
  const elsewhere = await platform.call("/v1/sluice/session", {
    method: "POST",
    headers: { "sec-fetch-site": "cross-site" },
  });
  assert.equal(elsewhere.status, 401);
});

test("a session ends with its key", { timeout }, async () => {
  await using platform = await openPlatform();
  const made = await platform.call("/v1/keys", { json: { alias: "x" }, authorization: platform.admin });
  const { headers } = await signIn(platform, `Key ${made.json.key}`);
  const call = () => platform.call("/v1/sluice/requests", { authorization: null, headers });
  assert.equal((await call()).status, 200);
  await platform.call(`/v1/keys/${made.json.key_id}`, { method: "DELETE", authorization: platform.admin });
  const after = await call();
  assert.equal(after.status, 401);
  assert.match(after.json.error.message, /sign in again/);
});

async function signIn(
  platform: TestPlatform,
  authorization: string,
): Promise<{ readonly headers: { cookie: string; "x-sluice-session": string }; readonly setCookie: string }> {
  const answer = await platform.call("/v1/sluice/session", { method: "POST", authorization });
  assert.equal(answer.status, 201);
  const setCookie = answer.headers.get("set-cookie") ?? "";
  const cookie = setCookie.split(";", 1)[0] ?? "";
  return { headers: { cookie, "x-sluice-session": answer.json.secret }, setCookie };
}
