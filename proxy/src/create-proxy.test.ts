import assert from "node:assert/strict";
import test from "node:test";
import { createProxy } from "./create-proxy.ts";
import { matchesAny } from "./match-pattern.ts";
import type { ProxyOptions } from "./proxy-options.ts";

interface Sent {
  readonly url: string;
  readonly init: RequestInit;
}

/** A proxy whose calls end here. */
function create(options: Partial<ProxyOptions> = {}): {
  readonly sent: Sent[];
  call(target: string, init?: RequestInit): Promise<Response>;
} {
  const sent: Sent[] = [];
  const proxy = createProxy({
    allowedEndpoints: ["acme/model"],
    targetOrigin: "http://api.test/base/",
    credentials: "id:secret",
    fetch: async (input, init = {}) => {
      sent.push({ url: String(input), init });
      return Response.json({ ok: true });
    },
    ...options,
  });
  return {
    sent,
    call: (target, init = {}) =>
      proxy(
        new Request("http://app.test/api/fal/proxy", {
          method: "POST",
          ...init,
          headers: { ...(init.headers as Record<string, string>), "x-fal-target-url": target },
        }),
      ),
  };
}

test("stars stand for parts of a segment or for segments, everything else for itself", () => {
  const cases: [string, string, boolean][] = [
    ["a/b", "a/b", true],
    ["a/b", "a/*", true],
    ["a/b/c", "a/*", false],
    ["a/b/c", "a/**", true],
    ["a", "a/**", true],
    ["ab/c", "a/**", false],
    ["a/x/y/c", "a/**/c", true],
    ["a/flux-pro", "*/flux*", true],
    ["a/b?x=1", "a/b\\?x=1", true],
    ["a/bx=1", "a/b?x=1", false],
    ["a/bXc", "a/b.c", false],
    ["a/b.c", "a/b.c", true],
    ["(a|b)", "(a|b)", true],
    ["a", "(a|b)", false],
    ["anything/at/all", "**", true],
    ["", "*", true],
  ];
  for (const [text, pattern, expected] of cases)
    assert.equal(matchesAny(text, [pattern]), expected, `${text} ${pattern}`);
  assert.equal(matchesAny("a", []), false);
});

test("a long pattern full of stars is decided at once", () => {
  const began = performance.now();
  matchesAny(`${"a".repeat(200)}!`, ["*a*a*a*a*a*b", `${"**a".repeat(50)}b`]);
  assert.ok(performance.now() - began < 2000);
});

test("the list of endpoints has to be given", () => {
  for (const options of [undefined, {}, { allowedEndpoints: "acme/model" }] as never[]) {
    assert.throws(() => createProxy(options), /needs `allowedEndpoints`/);
  }
});

test("hosted names mean the configured API, which may be the hosted service itself", async () => {
  const own = create();
  await own.call("https://queue.fal.run/acme/model?x=1");
  assert.equal(own.sent[0]!.url, "http://api.test/base/queue/acme/model?x=1");
  await own.call("http://api.test/base/run/acme/model");
  assert.equal(own.sent[1]!.url, "http://api.test/base/run/acme/model");
  assert.equal((await own.call("http://api.test/run/acme/model")).status, 400);
  const hosted = create({ targetOrigin: "https://fal.run" });
  await hosted.call("https://queue.fal.run/acme/model");
  await hosted.call("https://rest.alpha.fal.ai/storage/upload/initiate");
  assert.deepEqual(
    hosted.sent.map(({ url }) => url),
    ["https://queue.fal.run/acme/model", "https://rest.fal.ai/storage/upload/initiate"],
  );
});

test("the address and the key come from the environment, at each call", async (t) => {
  const names = ["SLUICE_URL", "FAL_KEY", "FAL_KEY_ID", "FAL_KEY_SECRET"];
  const before = names.map((name) => [name, process.env[name]] as const);
  t.after(() => {
    for (const [name, value] of before) {
      if (value === undefined) delete process.env[name];
      else process.env[name] = value;
    }
  });
  for (const name of names) delete process.env[name];
  const { sent, call } = create({ targetOrigin: undefined, credentials: undefined });
  assert.equal((await call("https://fal.run/acme/model")).status, 401);
  process.env["FAL_KEY_ID"] = "i";
  process.env["FAL_KEY_SECRET"] = "s";
  await call("https://fal.run/acme/model");
  process.env["FAL_KEY"] = " a:b\n";
  process.env["SLUICE_URL"] = "https://models.example.org";
  await call("https://fal.run/acme/model");
  assert.deepEqual(
    sent.map(({ url, init }) => [url, new Headers(init.headers).get("authorization")]),
    [
      ["http://127.0.0.1:7777/run/acme/model", "Key i:s"],
      ["https://models.example.org/run/acme/model", "Key a:b"],
    ],
  );
});

test("with unauthorized requests turned off, an empty header does not count", async () => {
  const { call } = create({ allowUnauthorizedRequests: false });
  assert.equal((await call("https://fal.run/acme/model")).status, 401);
  assert.equal((await call("https://fal.run/acme/model", { headers: { authorization: " " } })).status, 401);
  assert.equal(
    (await call("https://fal.run/acme/model", { headers: { authorization: "Bearer x" } })).status,
    200,
  );
});

test("the rate limit sees the call and may answer itself", async () => {
  const seen: unknown[] = [];
  let verdict: boolean | Response = true;
  const { sent, call } = create({
    rateLimit: ({ target, endpoint }) => {
      seen.push([target.pathname, endpoint]);
      return verdict;
    },
  });
  assert.equal((await call("https://fal.run/acme/model/stream")).status, 200);
  verdict = false;
  assert.equal(
    (await call("https://queue.fal.run/acme/model/requests/r/cancel", { method: "PUT" })).status,
    429,
  );
  verdict = new Response("later", { status: 503 });
  assert.equal((await call("https://fal.run/acme/model")).status, 503);
  assert.equal(sent.length, 1);
  assert.deepEqual(seen, [
    ["/base/run/acme/model/stream", "acme/model/stream"],
    ["/base/queue/acme/model/requests/r/cancel", undefined],
    ["/base/run/acme/model", "acme/model"],
  ]);
});

test("tokens are for the allowed endpoints alone, and only where they are turned on", async () => {
  const body = (...apps: unknown[]) => JSON.stringify({ allowed_apps: apps, token_expiration: 120 });
  const off = create();
  assert.equal((await off.call("https://rest.fal.ai/tokens/", { body: body("model") })).status, 400);
  const { sent, call } = create({ allowTokens: true, allowedEndpoints: ["acme/model", "acme/live/**"] });
  const cases: [string, string, number][] = [
    ["tokens/", body("model"), 200],
    ["tokens/", body("live"), 200],
    ["tokens/realtime", body("acme/model/realtime"), 200],
    ["tokens/realtime", body("acme/live/x/stream"), 200],
    ["tokens/", body("other"), 400],
    ["tokens/", body("model", "other"), 400],
    ["tokens/", body("acme/other"), 400],
    ["tokens/", body(), 400],
    ["tokens/", body(1), 400],
    ["tokens/", "{", 400],
    ["tokens/", "{}", 400],
  ];
  for (const [path, text, status] of cases) {
    assert.equal((await call(`https://rest.fal.ai/${path}`, { body: text })).status, status, text);
  }
  assert.equal(sent.length, 4);
  const all = create({ allowTokens: true, allowedEndpoints: ["**"] });
  assert.equal((await all.call("https://rest.fal.ai/tokens/", { body: body("anything") })).status, 200);
});

test("uploads can be turned off", async () => {
  const { call } = create({ allowUploads: false });
  const target = "https://rest.fal.ai/storage/upload/initiate?storage_type=fal-cdn-v3";
  assert.equal((await call(target, { body: "{}" })).status, 400);
});

test("further targets can be allowed by pattern, over https, and never a model that is not listed", async () => {
  const { sent, call } = create({
    allowedUrlPatterns: ["rest.fal.ai/storage/files/acl*", "extra.test/**", "fal.run/**", "queue.fal.run/**"],
  });
  assert.equal((await call("https://rest.fal.ai/storage/files/acl?url=x", { method: "PUT" })).status, 200);
  assert.equal((await call("https://extra.test/a/b")).status, 200);
  assert.equal((await call("http://extra.test/a/b")).status, 400);
  assert.equal((await call("https://fal.run/acme/other")).status, 400);
  assert.equal((await call("https://queue.fal.run/acme/other")).status, 400);
  assert.deepEqual(
    sent.map(({ url }) => url),
    ["http://api.test/base/rest/storage/files/acl?url=x", "https://extra.test/a/b"],
  );
});

test("any page may call where that is asked for", async () => {
  const { call } = create({ allowedOrigins: "*" });
  const headers = { origin: "https://anywhere.test", "sec-fetch-site": "cross-site" };
  assert.equal((await call("https://fal.run/acme/model", { headers })).status, 200);
});
