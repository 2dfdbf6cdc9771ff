import assert from "node:assert/strict";
import { test } from "node:test";
import { Validator } from "@seriousme/openapi-schema-validator";
import type { RequestId } from "../../ids.ts";
import { createPlatformDocument } from "./platform-document.ts";
import { createPlatformRoutes } from "./platform-routes.ts";
import { openPlatform } from "./testing/open-platform.ts";

const timeout = 60_000;

test("keys are made, listed without their secrets, and revoked at once", { timeout }, async () => {
  await using platform = await openPlatform();
  const { admin } = platform;
  const made = await platform.call("/v1/keys", { json: { alias: "ci" }, authorization: admin });
  assert.equal(made.status, 201);
  assert.equal(made.json.key, `${made.json.key_id}:${made.json.key_secret}`);
  const { json } = await platform.call("/v1/keys?expand=creator_info", { authorization: admin });
  const listed = json.keys.find((key: { key_id: string }) => key.key_id === made.json.key_id);
  assert.deepEqual([listed.alias, listed.scope], ["ci", "API"]);
  assert.ok(listed.creator_nickname);
  assert.ok(!JSON.stringify(json).includes(made.json.key_secret));
  const use = () =>
    platform.call("/v1/models/pricing?endpoint_id=test/echo", { authorization: `Key ${made.json.key}` });
  assert.equal((await use()).status, 200);
  for (let round = 0; round < 2; round++) {
    const options = { method: "DELETE", authorization: admin };
    assert.equal((await platform.call(`/v1/keys/${made.json.key_id}`, options)).status, 204);
  }
  assert.equal((await use()).status, 401);
});

test("an ADMIN key lists and revokes the keys of every account", { timeout }, async () => {
  await using platform = await openPlatform();
  const { json } = await platform.call("/v1/keys?limit=2", { authorization: platform.admin });
  assert.equal(json.keys.length, 2);
  const rest = await platform.call(`/v1/keys?cursor=${json.next_cursor}`, { authorization: platform.admin });
  const aliases = [...json.keys, ...rest.json.keys].map((key: { alias: string }) => key.alias);
  assert.deepEqual(aliases.sort(), ["admin", "mine", "other", "test"]);
  const options = { method: "DELETE", authorization: platform.admin };
  assert.equal((await platform.call(`/v1/keys/${platform.keyId}`, options)).status, 204);
  assert.equal((await platform.call("/v1/models/pricing?endpoint_id=test/echo")).status, 401);
  assert.equal((await platform.call("/v1/keys/nobody", options)).status, 204);
});

test("a key's alias and scope are checked", { timeout }, async () => {
  await using platform = await openPlatform();
  for (const json of [
    {},
    { alias: "" },
    { alias: 5 },
    { alias: "x".repeat(256) },
    { alias: "x", scope: "ROOT" },
  ]) {
    const answer = await platform.call("/v1/keys", { json, authorization: platform.admin });
    assert.equal(answer.status, 400);
    assert.equal(answer.json.error.type, "validation_error");
  }
});

test("what needs a key or a scope says so in the platform's shape", { timeout }, async () => {
  await using platform = await openPlatform();
  for (const [path, method] of protectedRoutes()) {
    const none = await platform.call(path, { method, authorization: null });
    assert.equal(none.status, 401, `${method} ${path}`);
    assert.equal(none.json.error.type, "authorization_error");
    assert.equal(none.headers.get("www-authenticate"), "Key");
  }
  for (const [path, method] of protectedRoutes("ADMIN")) {
    const weak = await platform.call(path, { method });
    assert.equal(weak.status, 403, `${method} ${path}`);
    assert.equal(weak.json.error.type, "authorization_error");
  }
});

test("what this server has not answers 501, what nobody has 404", { timeout }, async () => {
  await using platform = await openPlatform();
  for (const path of [
    "/v1/assets/tags",
    "/v1/compute/instances",
    "/v1/organization/teams",
    "/v1/workflows",
    "/v1/serverless/logs/history",
    "/v1/account/focus",
  ]) {
    const { status, json } = await platform.call(path);
    assert.equal(status, 501, path);
    assert.equal(json.error.type, "not_implemented");
  }
  const { status, json } = await platform.call("/v1/nothing");
  assert.equal(status, 404);
  assert.equal(json.error.type, "not_found");
});

test("an app's document is where older callers look for it", { timeout }, async () => {
  await using platform = await openPlatform();
  const found = await platform.call("/rest/applications/test/echo/metadata", { authorization: null });
  assert.deepEqual(found.json["x-fal-order-paths"], ["/", "/loud"]);
  const unknown = await platform.call("/rest/applications/acme/none/metadata", { authorization: null });
  assert.equal(unknown.status, 404);
});

test("webhook addresses and the account are told", { timeout }, async () => {
  await using platform = await openPlatform();
  const meta = await platform.call("/v1/meta", { authorization: null });
  assert.deepEqual(meta.json, { webhook_ip_ranges: [] });
  const billing = await platform.call("/v1/account/billing?expand=credits", {
    authorization: platform.admin,
  });
  assert.equal(typeof billing.json.username, "string");
});

test("who may read a file is read, replaced and got around with a signed URL", { timeout }, async () => {
  await using platform = await openPlatform();
  const { files } = platform.gateway.context;
  const file = await files.create(
    {
      accountId: platform.accountId,
      requestId: null,
      fileName: "a.txt",
      contentType: "text/plain",
      expiresAt: null,
    },
    Buffer.from("hello"),
  );
  const url = `${platform.gateway.origin}/cdn/${file.path}`;
  const path = (name: string): string => `/v1/storage/files/${name}?url=${encodeURIComponent(url)}`;
  const set = await platform.call(path("acl"), { method: "PUT", json: { default: "forbid" } });
  assert.deepEqual(set.json, { default: "forbid", rules: [] });
  assert.deepEqual((await platform.call(path("acl"))).json, { default: "forbid", rules: [] });
  assert.equal((await platform.call(url, { authorization: null })).status, 403);
  const signed = await platform.call(path("sign"), { json: { expiration_seconds: 60 } });
  assert.equal((await platform.call(signed.json.signed_url, { authorization: null })).text, "hello");
  for (const json of [
    {},
    { expiration_seconds: 0 },
    { expiration_seconds: 604_801 },
    { expiration_seconds: "60" },
  ])
    assert.equal((await platform.call(path("sign"), { json })).status, 400);
  assert.equal((await platform.call(path("acl"), { authorization: platform.other })).status, 404);
  const wrong = await platform.call(path("acl"), { method: "PUT", json: { default: "maybe" } });
  assert.equal(wrong.status, 400);
});

test("what new files get is set for the account, replaced as a whole, and a call may say otherwise", async () => {
  await using platform = await openPlatform();
  const path = "/v1/storage/settings";
  const put = (json: object) => platform.call(path, { method: "PUT", json });
  const nothing = { expiration_duration_seconds: null, initial_acl: null };
  assert.deepEqual((await platform.call(path)).json, nothing);
  const acl = { default: "hide", rules: [{ user: platform.otherAccountId, decision: "allow" }] };
  const rules = [...acl.rules, { user: "nobody-known", decision: "allow" }];
  const set = await put({ expiration_duration_seconds: 3600, initial_acl: { ...acl, rules } });
  const settings = { expiration_duration_seconds: 3600, initial_acl: acl };
  assert.deepEqual(set.json, settings);
  assert.deepEqual((await platform.call(path)).json, settings);
  assert.deepEqual((await platform.call(path, { authorization: platform.other })).json, nothing);

  const { files, clock } = platform.gateway.context;
  const upload = async (headers: Record<string, string> = {}) => {
    const initiate = "/rest/storage/upload/initiate";
    const { json } = await platform.call(initiate, { json: { file_name: "a.txt" }, headers });
    await fetch(json.upload_url, { method: "PUT", body: "hello" });
    const file = await files.find(new URL(json.file_url).pathname.replace("/cdn/", ""));
    const seconds = file?.expiresAt == null ? null : Math.round((file.expiresAt - clock.now()) / 1000);
    return { seconds, acl: file?.acl.default };
  };
  const direct = await platform.call("/cdn/files/upload", { method: "POST", body: "hello" });
  assert.equal((await platform.call(direct.json.access_url, { authorization: null })).status, 404);
  assert.deepEqual(await upload(), { seconds: 3600, acl: "hide" });
  const header = (value: object) => ({ "x-fal-object-lifecycle": JSON.stringify(value) });
  assert.deepEqual(await upload(header({ expiration_duration_seconds: 60 })), { seconds: 60, acl: "hide" });
  assert.deepEqual(await upload(header({ expiration_duration_seconds: 0 })), { seconds: null, acl: "hide" });
  assert.deepEqual(await upload(header({ initial_acl: { default: "allow" } })), {
    seconds: 3600,
    acl: "allow",
  });

  assert.deepEqual((await put({ expiration_duration_seconds: 0 })).json, {
    expiration_duration_seconds: 0,
    initial_acl: null,
  });
  assert.deepEqual(await upload(), { seconds: null, acl: "allow" });
  assert.deepEqual((await put({})).json, nothing);
  for (const wrong of [
    { expiration_duration_seconds: -1 },
    { expiration_duration_seconds: "1d" },
    { initial_acl: { default: "maybe" } },
    { initial_acl: [] },
  ]) {
    const { status, json } = await put(wrong);
    assert.equal(status, 400, JSON.stringify(wrong));
    assert.match(json.error.message, /expiration_duration_seconds|initial_acl/);
  }
  assert.deepEqual((await platform.call(path)).json, nothing);
  assert.equal((await platform.call("/v1/storage/else")).status, 404);
});

test("a paused queue starts nothing until it is resumed", { timeout }, async () => {
  await using platform = await openPlatform();
  const { admin: authorization, queue } = platform;
  const lease = () => queue.lease({ runnerId: "r", endpointIds: ["test/echo/loud"], leaseMs: 15_000 });
  await platform.enqueue({ endpointId: "test/echo/loud" });
  const act = (action: string) =>
    platform.call(`/v1/sluice/queues/test%2Fecho/loud/${action}`, { method: "POST", authorization });
  assert.deepEqual((await act("pause")).json, { endpoint_id: "test/echo/loud", is_paused: true });
  assert.equal(await lease(), undefined);
  const { json } = await platform.call("/v1/sluice/queues", { authorization });
  const row = json.queues.find((each: { endpoint_id: string }) => each.endpoint_id === "test/echo/loud");
  assert.deepEqual([row.queued, row.running, row.is_paused, row.is_offered], [1, 0, true, true]);
  assert.ok(Date.parse(row.oldest_queued_at) > Date.now() - 60_000);
  assert.deepEqual((await act("resume")).json, { endpoint_id: "test/echo/loud", is_paused: false });
  assert.ok(await lease());
  assert.equal((await act("burn")).status, 404);
  const unknown = await platform.call("/v1/sluice/queues/acme/none/pause", { method: "POST", authorization });
  assert.equal(unknown.status, 404);
});

test("flushing cancels what waits, by our route and by the platform's", { timeout }, async () => {
  await using platform = await openPlatform();
  const { admin: authorization, queue } = platform;
  const first = await platform.enqueue();
  const flushed = await platform.call("/v1/sluice/queues/test/echo/flush", { method: "POST", authorization });
  assert.deepEqual(flushed.json, { endpoint_id: "test/echo", flushed: 1 });
  assert.equal((await queue.find(first))?.state, "cancelled");
  await platform.enqueue();
  await platform.enqueue({ endpointId: "test/echo/loud" });
  const app = "/v1/serverless/apps/test/echo/queue";
  assert.deepEqual((await platform.call(app, { authorization })).json, { queue_size: 2 });
  assert.equal((await platform.call(app, { method: "DELETE", authorization })).status, 204);
  assert.deepEqual((await platform.call(app, { authorization })).json, { queue_size: 0 });
  assert.equal((await platform.call("/v1/serverless/apps/acme/none/queue", { authorization })).status, 404);
});

test("a key sees its account's requests of all endpoints, an ADMIN key everybody's", {
  timeout,
}, async () => {
  await using platform = await openPlatform();
  const mine = await platform.record();
  const theirs = await platform.record({
    accountId: platform.otherAccountId,
    keyId: null,
    endpointId: "test/echo/loud",
  });
  const waiting = await platform.enqueue();
  const list = async (query: string, authorization?: string): Promise<string[]> => {
    const options = authorization === undefined ? {} : { authorization };
    const { json } = await platform.call(`/v1/sluice/requests?${query}`, options);
    return json.requests.map((request: { request_id: string }) => request.request_id);
  };
  assert.deepEqual((await list("")).sort(), [mine, waiting].sort());
  assert.deepEqual((await list("", platform.admin)).sort(), [mine, theirs, waiting].sort());
  assert.deepEqual(await list("state=queued"), [waiting]);
  assert.deepEqual(await list("state=succeeded,failed"), [mine]);
  assert.deepEqual(await list("endpoint_id=test/echo/loud", platform.admin), [theirs]);
  assert.deepEqual((await list(`key_id=${platform.keyId}`, platform.admin)).sort(), [mine, waiting].sort());
  assert.deepEqual(await list("status=success&limit=1"), [mine]);
  assert.equal((await platform.call("/v1/sluice/requests?state=lost")).status, 400);
  assert.equal((await platform.call(`/v1/sluice/requests/${theirs}`)).status, 404);
  assert.equal(
    (await platform.call(`/v1/sluice/requests/${theirs}`, { authorization: platform.admin })).status,
    200,
  );
  assert.equal((await platform.call("/v1/sluice/requests/5")).status, 404);
});

test("one request is shown with its timeline, logs, position and payloads", { timeout }, async () => {
  await using platform = await openPlatform();
  const { queue } = platform;
  const id = await platform.enqueue();
  const second = await platform.enqueue();
  const waiting = await platform.call(`/v1/sluice/requests/${second}`);
  assert.deepEqual([waiting.json.state, waiting.json.queue_position], ["queued", 1]);
  assert.deepEqual(waiting.json.waiting, {
    reason: "behind_others",
    message: "1 request is before it; 0 requests run now.",
    requests_before: 1,
    requests_running: 0,
    until: null,
  });
  const lease = await queue.lease({ runnerId: "r", endpointIds: ["test/echo"], leaseMs: 15_000 });
  assert.equal(lease?.requestId, id);
  await queue.appendEvents(lease, [
    { kind: "log", at: Date.now(), data: { message: "half way", level: "INFO" } },
    { kind: "loaded", at: Date.now(), data: { seconds: 1 } },
  ]);
  const { json } = await platform.call(`/v1/sluice/requests/${id}?expand=payloads`);
  assert.equal(json.state, "running");
  assert.equal(json.queue_position, null);
  assert.deepEqual(json.json_input, { prompt: "a fox" });
  assert.deepEqual(
    json.logs.map((log: { message: string; level: string }) => [log.message, log.level]),
    [["half way", "INFO"]],
  );
  const { sequence } = json.logs[0];
  const later = await platform.call(`/v1/sluice/requests/${id}?logs_after=${sequence}`);
  assert.deepEqual([later.json.logs, later.json.waiting], [[], null]);
  assert.equal((await platform.call(`/v1/sluice/requests/${id}?logs_after=last`)).status, 400);
  const found = await platform.call(`/v1/sluice/requests?${new URLSearchParams({ q: "A FOX" })}`);
  assert.deepEqual(
    found.json.requests.map((each: { request_id: string }) => each.request_id),
    [second, id],
  );
  assert.equal(found.json.searched_to, null);
  const excerpts = await platform.call("/v1/sluice/requests?expand=excerpt");
  assert.deepEqual(
    excerpts.json.requests.map((each: { input_excerpt: string }) => each.input_excerpt),
    ["a fox", "a fox"],
  );
  assert.deepEqual((await platform.call("/v1/sluice/requests?q=a%20wolf")).json.requests, []);
  assert.equal((await platform.call(`/v1/sluice/requests?q=${"x".repeat(201)}`)).status, 400);
  const kinds = json.timeline.map((entry: { kind: string }) => entry.kind);
  assert.ok(kinds.includes("loaded") && !kinds.includes("log"), JSON.stringify(kinds));
});

test("the document of the platform API is valid OpenAPI and names exactly the routes there are", {
  timeout,
}, async () => {
  await using platform = await openPlatform();
  const { status, json } = await platform.call("/v1/openapi.json", { authorization: null });
  assert.equal(status, 200);
  const result = await new Validator().validate(structuredClone(json));
  assert.ok(result.valid, JSON.stringify(result.errors));
  const ids = Object.values(json.paths as Record<string, Record<string, { operationId: string }>>).flatMap(
    (path) => Object.values(path).map(({ operationId }) => operationId),
  );
  assert.equal(new Set(ids).size, ids.length);
  const documented = Object.entries(json.paths as Record<string, object>).flatMap(([path, methods]) =>
    Object.keys(methods).map((method) => `${method.toUpperCase()} ${path}`),
  );
  const routes = createPlatformRoutes(platform.gateway.context)
    .routes.filter(({ method }) => method !== "ALL")
    .flatMap(({ method, path }) => {
      const named = `${method} ${path.replaceAll(/:(\w+)/g, (_, name: string) => `{${toSnakeCase(name)}}`)}`;
      if (named.endsWith("/prices/*")) return [named.replace("*", "{endpoint_id}")];
      return named.endsWith("/queues/*")
        ? ["pause", "resume", "flush"].map((action) => named.replace("*", `{endpoint_id}/${action}`))
        : [named];
    });
  assert.deepEqual([...new Set(documented)].sort(), [...new Set(routes)].sort());
});

test("no parameter, however odd, makes a route fail", { timeout }, async () => {
  await using platform = await openPlatform();
  await platform.record();
  const odd = [
    "",
    "%00",
    "%FF",
    "'",
    "-1",
    "1e9",
    "9".repeat(30),
    "null",
    "[]",
    "%F0%9F%A6%8A",
    "..%2F..",
    "0001-01-01",
    "9999-12-31",
    "Mg==",
  ];
  const { paths } = createPlatformDocument("http://x", "0") as {
    readonly paths: Readonly<
      Record<string, { readonly get?: { readonly parameters: readonly { name: string; in: string }[] } }>
    >;
  };
  for (const [path, { get }] of Object.entries(paths)) {
    // A stream has no end to wait for; its own tests send odd things.
    if (path === "/sluice/events") continue;
    for (const { name, in: place } of get?.parameters ?? []) {
      for (const value of odd) {
        const query = new URLSearchParams({ endpoint_id: "test/echo", expand: "summary" });
        query.delete(name);
        const filled = path.replaceAll(/\{(\w+)\}/g, (_, each: string) => (each === name ? value : "x"));
        const text = `/v1${filled}?${place === "query" ? `${name}=${value}&` : ""}${query}`;
        const { status } = await platform.call(text, { authorization: platform.admin });
        assert.ok(status < 500 || status === 501, `${status} ${text}`);
      }
    }
  }
});

function toSnakeCase(name: string): string {
  return name.replaceAll(/[A-Z]/g, (letter) => `_${letter.toLowerCase()}`);
}

/** Every documented route of this access, with something in its parameters. */
function protectedRoutes(access?: "ADMIN"): readonly (readonly [path: string, method: string])[] {
  const document = createPlatformDocument("http://x", "0") as {
    readonly paths: Readonly<Record<string, Readonly<Record<string, { readonly description: string }>>>>;
  };
  return Object.entries(document.paths).flatMap(([path, methods]) =>
    Object.entries(methods)
      .filter(([, { description }]) => description.endsWith(access === undefined ? "." : "scope ADMIN."))
      .filter(([, { description }]) => !description.startsWith("Needs no key"))
      .map(([method]) => [`/v1${path.replaceAll(/\{\w+\}/g, "x")}`, method.toUpperCase()] as const),
  );
}

test("excerpts of a list need no more memory than one input", { timeout: 30_000 }, async (t) => {
  await using own = await openPlatform();
  for (let n = 0; n < 4; n++) await own.record();
  const { readInput } = own.queue;
  let active = 0;
  let most = 0;
  t.mock.method(own.queue, "readInput", async (id: RequestId) => {
    most = Math.max(most, ++active);
    const input = await readInput(id);
    active--;
    return input;
  });
  const { json } = await own.call("/v1/sluice/requests?expand=excerpt");
  assert.equal(json.requests.length, 4);
  assert.equal(most, 1);
});
