import assert from "node:assert/strict";
import { createPublicKey } from "node:crypto";
import { test } from "node:test";
import type { AccountId } from "../../ids.ts";
import { type FileGateway, openFileGateway } from "../cdn/testing/open-file-gateway.ts";

async function call(
  { origin }: FileGateway,
  method: string,
  path: string,
  { key, body }: { key?: string | undefined; body?: unknown } = {},
): Promise<{ status: number; body: unknown; headers: Headers }> {
  const response = await fetch(`${origin}/rest${path}`, {
    method,
    headers: key === undefined ? {} : { authorization: key },
    ...(body === undefined ? {} : { body: typeof body === "string" ? body : JSON.stringify(body) }),
  });
  const text = await response.text();
  return {
    status: response.status,
    body: text === "" ? undefined : JSON.parse(text),
    headers: response.headers,
  };
}

function detailOf(answer: { body: unknown }): unknown {
  return (answer.body as { detail: unknown }).detail;
}

test("refusals have the status and words of the API", async () => {
  await using gateway = await openFileGateway();
  const key = await gateway.createKey();
  const id = key.slice(4, 40);
  const runtime = (await call(gateway, "POST", "/tokens/", { key, body: { allowed_apps: ["x"] } })).body;
  const cdn = (await call(gateway, "POST", "/storage/auth/token", { key })).body as { token: string };
  const cases: readonly (readonly [string | undefined, string])[] = [
    [undefined, "Authorization header is required"],
    ["Key", "Invalid Key Authorization header format. Expected '<key_id>:<key_secret>'."],
    [`Key ${id}`, "Invalid Key Authorization header format. Expected '<key_id>:<key_secret>'."],
    [`Key ${id}:wrong`, "No user found for Key ID and Secret"],
    ["Key 00000000-0000-4000-8000-000000000000:x", "No user found for Key ID and Secret"],
    ["Bearer nonsense", "Authorization token=<…> is invalid."],
    [`Bearer ${String(runtime)}`, "Authorization header is required"],
    [`Bearer ${cdn.token}`, "Authorization header is required"],
  ];
  for (const path of [
    "/tokens/",
    "/tokens/realtime",
    "/storage/upload/initiate",
    "/storage/upload/initiate-multipart?storage_type=gcs",
    "/storage/auth/token?storage_type=fal-cdn-v3",
    "/nothing/here",
  ])
    for (const [credential, detail] of cases) {
      const answer = await call(gateway, "POST", path, { key: credential, body: {} });
      assert.equal(answer.status, 401, `${path} ${credential}`);
      assert.equal(detailOf(answer), detail);
      assert.equal(answer.headers.get("www-authenticate"), "Key");
    }
  assert.equal((await call(gateway, "GET", "/storage/files/acl?url=x")).status, 401);
  assert.equal((await call(gateway, "GET", "/users/current")).status, 401);
  assert.equal((await call(gateway, "GET", "/nothing/here", { key })).status, 404);
  // The scheme's case and white space around do not matter.
  assert.equal((await call(gateway, "GET", "/users/current", { key: `kEy   ${key.slice(4)} ` })).status, 200);
  await gateway.keys.revoke(id);
  assert.equal((await call(gateway, "GET", "/users/current", { key })).status, 401);
});

test("a runtime token is a JSON string, or an object on the newer route", async () => {
  await using gateway = await openFileGateway();
  const key = await gateway.createKey("asker");
  for (const path of ["/tokens/", "/tokens"]) {
    const answer = await call(gateway, "POST", path, {
      key,
      body: { allowed_apps: ["flux-pro"], token_expiration: 120 },
    });
    assert.equal(answer.status, 201);
    assert.match(answer.headers.get("content-type") ?? "", /application\/json/);
    const caller = await gateway.tokens.verify(String(answer.body));
    assert.deepEqual(
      { account: caller?.accountId, credential: caller?.credential, apps: caller?.apps },
      { account: "asker", credential: "token", apps: ["flux-pro"] },
    );
  }
  const apps = ["fal-ai/fast-lcm-diffusion/realtime"];
  const newer = await call(gateway, "POST", "/tokens/realtime", {
    key,
    body: { allowed_apps: apps, duration: 60 },
  });
  assert.equal(newer.status, 201);
  const { token } = newer.body as { token: string };
  assert.deepEqual((await gateway.tokens.verify(token))?.apps, apps);
  gateway.storage.clock.advance(91_000);
  assert.equal(await gateway.tokens.verify(token), undefined);
});

test("a malformed token request names the field", async () => {
  await using gateway = await openFileGateway();
  const key = await gateway.createKey();
  const cases: readonly (readonly [unknown, readonly unknown[], string])[] = [
    [{}, ["body", "allowed_apps"], "missing"],
    [{ allowed_apps: "x" }, ["body", "allowed_apps"], "list_type"],
    [{ allowed_apps: [] }, ["body", "allowed_apps"], "sequence_too_short"],
    [{ allowed_apps: Array(101).fill("x") }, ["body", "allowed_apps"], "sequence_too_long"],
    [{ allowed_apps: ["x", 1] }, ["body", "allowed_apps", 1], "value_error"],
    [{ allowed_apps: ["x y"] }, ["body", "allowed_apps", 0], "value_error"],
    [{ allowed_apps: ["x"], token_expiration: "soon" }, ["body", "token_expiration"], "float_type"],
    [{ allowed_apps: ["x"], token_expiration: 0 }, ["body", "token_expiration"], "greater_than_equal"],
    ["[1]", ["body"], "model_attributes_type"],
    ["null", ["body"], "model_attributes_type"],
    ["{", ["body", 0], "json_invalid"],
    ["\xff\xfe", ["body", 0], "json_invalid"],
  ];
  for (const [body, loc, type] of cases) {
    const answer = await call(gateway, "POST", "/tokens/", { key, body });
    assert.equal(answer.status, 422, JSON.stringify(body));
    const [item] = detailOf(answer) as { loc: unknown; type: string }[];
    assert.deepEqual([item?.loc, item?.type], [loc, type]);
  }
  for (const [name, value] of [
    ["file_name", 1],
    ["content_type", {}],
  ] as const) {
    const answer = await call(gateway, "POST", "/storage/upload/initiate", { key, body: { [name]: value } });
    assert.equal(answer.status, 422);
    assert.deepEqual((detailOf(answer) as { loc: unknown }[])[0]?.loc, ["body", name]);
  }
  const huge = await call(gateway, "POST", "/tokens/", { key, body: " ".repeat(3_000_000) });
  assert.equal(huge.status, 413);
});

test("a CDN token lives as long as asked, an hour by default and thirty days at most", async () => {
  await using gateway = await openFileGateway();
  const key = await gateway.createKey();
  const lifetime = async (body: unknown): Promise<number> => {
    const answer = await call(gateway, "POST", "/storage/auth/token", { key, body });
    const { expires_at } = answer.body as { expires_at: string };
    assert.match(expires_at, /\+00:00$/);
    return Math.round((Date.parse(expires_at) - gateway.storage.clock.now()) / 1000);
  };
  const isAbout = (actual: number, expected: number): void => assert.ok(Math.abs(actual - expected) <= 2);
  isAbout(await lifetime({}), 3_600);
  isAbout(await lifetime(undefined), 3_600);
  isAbout(await lifetime({ expiration_seconds: 60 }), 60);
  isAbout(await lifetime({ expiration_seconds: 1e9 }), 30 * 86_400);
});

test("the owner reads and replaces the rules of a file, by any form of its URL; nobody else sees it", async () => {
  await using gateway = await openFileGateway();
  const key = await gateway.createKey("owner");
  const friend = await gateway.createKey("friend");
  const upload = await fetch(`${gateway.origin}/cdn/files/upload`, {
    method: "POST",
    headers: { authorization: key },
    body: "x",
  });
  const { access_url } = (await upload.json()) as { access_url: string };
  const path = new URL(access_url).pathname.replace("/cdn/", "");
  const acl = (url: string): string => `/storage/files/acl?url=${encodeURIComponent(url)}`;
  for (const url of [
    access_url,
    `https://v3.fal.media/${path}`,
    `https://files.example.org/cdn/${path}?x=1`,
    path,
  ]) {
    const answer = await call(gateway, "GET", acl(url), { key });
    assert.deepEqual([answer.status, answer.body], [200, { default: "allow", rules: [] }], url);
  }
  const nickname = (await call(gateway, "GET", "/users/current", { key: friend })).body as {
    nickname: string;
  };
  const rules = [
    { user: nickname.nickname, decision: "allow" },
    { user: "unknown", decision: "allow" },
  ];
  const put = await call(gateway, "PUT", acl(access_url), { key, body: { default: "hide", rules } });
  assert.deepEqual([put.status, put.body], [200, { default: "hide", rules: rules.slice(0, 1) }]);
  assert.deepEqual((await call(gateway, "GET", acl(access_url), { key })).body, put.body);
  assert.equal((await fetch(access_url)).status, 404);
  assert.equal((await fetch(access_url, { headers: { authorization: friend } })).status, 200);
  for (const method of ["GET", "PUT"]) {
    const body = method === "PUT" ? { default: "allow" } : undefined;
    assert.equal((await call(gateway, method, acl(access_url), { key: friend, body })).status, 404);
    assert.equal((await call(gateway, method, acl("https://example.org/x"), { key, body })).status, 404);
    assert.equal((await call(gateway, method, "/storage/files/acl", { key, body })).status, 404);
  }
  for (const body of [{ default: "maybe" }, { rules: [{ user: "x" }] }, { rules: {} }])
    assert.equal((await call(gateway, "PUT", acl(access_url), { key, body })).status, 422);
});

test("the webhook keys are public and cacheable", async () => {
  await using gateway = await openFileGateway();
  const answer = await call(gateway, "GET", "/.well-known/jwks.json");
  assert.equal(answer.status, 200);
  assert.equal(answer.headers.get("cache-control"), "public, max-age=3600");
  const { keys } = answer.body as { keys: Record<string, string>[] };
  const [key] = keys;
  assert.ok(key !== undefined);
  assert.deepEqual([key["kty"], key["crv"], key["use"], key["alg"]], ["OKP", "Ed25519", "sig", "EdDSA"]);
  assert.equal(createPublicKey({ key, format: "jwk" }).asymmetricKeyType, "ed25519");
});

test("a key learns whose it is", async () => {
  await using gateway = await openFileGateway();
  const key = await gateway.createKey("owner");
  const { body } = await call(gateway, "GET", "/users/current", { key });
  const user = body as { user_id: string; nickname: string; key: { alias: string; scope: string } };
  const account = await gateway.keys.findAccount("owner" as AccountId);
  assert.deepEqual([user.user_id, user.nickname], ["owner", account?.nickname]);
  assert.deepEqual([user.key.alias, user.key.scope], ["test", "API"]);
});
