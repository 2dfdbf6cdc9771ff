import assert from "node:assert/strict";
import { randomBytes } from "node:crypto";
import { once } from "node:events";
import { request as httpRequest, type IncomingMessage } from "node:http";
import { test } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import type { AclDecision, FileAcl, StoredFile } from "../../files/file-store.ts";
import type { AccountId } from "../../ids.ts";
import { type FileGateway, openFileGateway } from "./testing/open-file-gateway.ts";

interface Given {
  readonly contentType?: string;
  readonly fileName?: string;
  readonly expiresAt?: number;
  readonly acl?: FileAcl;
}

async function store(
  gateway: FileGateway,
  bytes: Uint8Array,
  given: Given = {},
): Promise<[string, StoredFile]> {
  const { contentType = "image/png", fileName = "cat.png", expiresAt = null, acl } = given;
  const file = await gateway.storage.files.create(
    {
      accountId: "owner" as AccountId,
      requestId: null,
      fileName,
      contentType,
      expiresAt,
      ...(acl === undefined ? {} : { acl }),
    },
    bytes,
  );
  return [`${gateway.origin}/cdn/${file.path}`, file];
}

test("a file is served with its type, size, tag, date, caching and security headers", async () => {
  await using gateway = await openFileGateway();
  const bytes = randomBytes(70_000);
  const [url, file] = await store(gateway, bytes);
  for (const method of ["GET", "HEAD"]) {
    const response = await fetch(url, { method });
    assert.equal(response.status, 200);
    const expected = {
      "content-type": "image/png",
      "content-length": "70000",
      etag: `"${file.sha256}"`,
      "last-modified": new Date(file.createdAt).toUTCString(),
      "accept-ranges": "bytes",
      "cache-control": "public, max-age=5184000, immutable",
      "x-content-type-options": "nosniff",
      "content-security-policy": "sandbox",
    };
    for (const [name, value] of Object.entries(expected))
      assert.equal(response.headers.get(name), value, name);
    assert.equal(response.headers.get("content-disposition"), null);
    const body = Buffer.from(await response.arrayBuffer());
    assert.ok(method === "HEAD" ? body.length === 0 : body.equals(bytes));
  }
});

test("content that a browser would run is an attachment", async () => {
  await using gateway = await openFileGateway();
  for (const [contentType, fileName] of [
    ["text/html", "a.html"],
    ["TEXT/HTML; charset=utf-8", "a.html"],
    ["image/svg+xml", "a.svg"],
    ["application/xml", "a.xml"],
    ["text/xml", "a.xml"],
    ["application/xhtml+xml", "a.xhtml"],
    ["application/rss+xml", "a.rss"],
  ] as const) {
    const [url] = await store(gateway, Buffer.from("<x/>"), { contentType, fileName });
    const response = await fetch(url);
    assert.match(
      response.headers.get("content-disposition") ?? "",
      /^attachment; filename="[\w.-]+"$/,
      contentType,
    );
    assert.equal(response.headers.get("content-security-policy"), "sandbox");
  }
  const [plain] = await store(gateway, Buffer.from("<script>"), {
    contentType: "text/plain",
    fileName: "a.txt",
  });
  assert.equal((await fetch(plain)).headers.get("content-disposition"), null);
});

test("an unchanged file is not sent again", async () => {
  await using gateway = await openFileGateway();
  const [url, file] = await store(gateway, Buffer.from("hello"));
  const get = async (headers: Record<string, string>): Promise<Response> => await fetch(url, { headers });
  const tag = `"${file.sha256}"`;
  for (const value of [tag, `W/${tag}`, `"other", ${tag}`, "*"]) {
    const response = await get({ "if-none-match": value });
    assert.equal(response.status, 304, value);
    assert.equal(response.headers.get("etag"), tag);
    assert.equal(await response.text(), "");
  }
  assert.equal((await get({ "if-none-match": '"other"' })).status, 200);
  const later = new Date(file.createdAt + 5_000).toUTCString();
  const earlier = new Date(file.createdAt - 5_000).toUTCString();
  assert.equal((await get({ "if-modified-since": later })).status, 304);
  assert.equal((await get({ "if-modified-since": earlier })).status, 200);
  assert.equal((await get({ "if-modified-since": "yesterday" })).status, 200);
  assert.equal((await get({ "if-modified-since": later, "if-none-match": '"other"' })).status, 200);
});

test("ranges give exactly the bytes asked for, whatever the header looks like", {
  timeout: 60_000,
}, async () => {
  await using gateway = await openFileGateway();
  const bytes = randomBytes(1_000);
  const [url, file] = await store(gateway, bytes);
  const get = async (
    range: string,
    more: Record<string, string> = {},
  ): Promise<[number, Buffer, Headers]> => {
    const response = await fetch(url, { headers: { range, ...more } });
    return [response.status, Buffer.from(await response.arrayBuffer()), response.headers];
  };
  const [status, part, headers] = await get("bytes=10-19");
  assert.deepEqual([status, part], [206, bytes.subarray(10, 20)]);
  assert.equal(headers.get("content-range"), "bytes 10-19/1000");
  assert.equal(headers.get("content-length"), "10");
  const [outside, , outsideHeaders] = await get("bytes=1000-");
  assert.equal(outside, 416);
  assert.equal(outsideHeaders.get("content-range"), "bytes */1000");
  assert.equal((await get("bytes=0-1", { "if-range": `"${file.sha256}"` }))[0], 206);
  assert.equal((await get("bytes=0-1", { "if-range": '"older"' }))[0], 200);
  assert.equal((await get("bytes=0-1", { "if-range": new Date(file.createdAt).toUTCString() }))[0], 206);

  const pick = (): number => Math.floor(Math.random() * 1_200) - 50;
  for (let round = 0; round < 150; round += 1) {
    const [a, b] = [pick(), pick()];
    const header = [
      "bytes=",
      `bytes=${a}-${b}`,
      `bytes=${a}-`,
      `bytes=-${b}`,
      `${a}-${b}`,
      `bytes=${a}-${b},1-2`,
    ][round % 6];
    const [code, body, given] = await get(header ?? "");
    if (code === 206) {
      const [, start, end] = /^bytes (\d+)-(\d+)\/1000$/.exec(given.get("content-range") ?? "") ?? [];
      assert.deepEqual(body, bytes.subarray(Number(start), Number(end) + 1), header);
    } else if (code === 200) assert.deepEqual(body, bytes, header);
    else assert.equal(code, 416, header);
  }
});

test("an empty file is served", async () => {
  await using gateway = await openFileGateway();
  const [url] = await store(gateway, new Uint8Array());
  const response = await fetch(url);
  assert.deepEqual([response.status, await response.text()], [200, ""]);
  assert.equal((await fetch(url, { headers: { range: "bytes=0-" } })).status, 416);
});

test("what is not there is a 404, and other methods a 405", async () => {
  await using gateway = await openFileGateway();
  const [url] = await store(gateway, Buffer.from("x"));
  const base = `${gateway.origin}/cdn`;
  for (const path of [
    "/files/b/00000000/none",
    "/files/b/00000000/aaaaaaaaaaaaaaaaaaaaa_x.png",
    "/files/../../etc/passwd",
    "/files/b/%2e%2e/%2e%2e",
    "/files/b/00000000/%00",
    "/files/b/00000000/%ff%fe",
    "/files/b/00000000/%",
    "/",
    "",
    "/files",
    "/files/upload",
  ]) {
    const response = await fetch(base + path);
    assert.equal(response.status, 404, path);
    assert.equal(((await response.json()) as { detail: string }).detail, "Not Found");
  }
  for (const method of ["PUT", "DELETE", "POST", "PATCH"]) {
    const response = await fetch(url, { method });
    assert.equal(response.status, 405, method);
    assert.equal(response.headers.get("allow"), "GET, HEAD, OPTIONS");
  }
});

test("a file is gone when its time is over, and caches are told no longer than that", async () => {
  await using gateway = await openFileGateway();
  const { clock } = gateway.storage;
  const [url] = await store(gateway, Buffer.from("x"), { expiresAt: clock.now() + 100_500 });
  assert.equal((await fetch(url)).headers.get("cache-control"), "public, max-age=100, immutable");
  clock.advance(101_000);
  assert.equal((await fetch(url)).status, 404);
});

test("the lifecycle header of an upload decides about expiry and access", async () => {
  await using gateway = await openFileGateway({ settings: { fileRetentionMs: 7_000_000 } });
  const { clock } = gateway.storage;
  const key = await gateway.createKey("owner");
  const upload = async (headers: Record<string, string>): Promise<string> => {
    const response = await fetch(`${gateway.origin}/cdn/files/upload`, {
      method: "POST",
      headers: { authorization: key, ...headers },
      body: "x",
    });
    return response.status === 200
      ? ((await response.json()) as { access_url: string }).access_url
      : String(response.status);
  };
  const hour = await upload({ "x-fal-object-lifecycle": '{"expiration_duration_seconds":3600}' });
  const other = await upload({ "x-fal-object-lifecycle-preference": '{"expiration_duration_seconds":3600}' });
  const never = await upload({ "x-fal-object-lifecycle": '{"expiration_duration_seconds":null}' });
  const zero = await upload({ "x-fal-object-lifecycle": '{"expiration_duration_seconds":0}' });
  const usual = await upload({});
  const hidden = await upload({ "x-fal-object-lifecycle": '{"initial_acl":{"default":"hide"}}' });
  assert.equal((await fetch(hidden)).status, 404);
  assert.equal((await fetch(hidden, { headers: { authorization: key } })).status, 200);
  for (const bad of [
    "{",
    "[]",
    "1",
    '{"expiration_duration_seconds":"1h"}',
    '{"expiration_duration_seconds":-1}',
    '{"expiration_duration_seconds":1e300}',
    '{"initial_acl":[]}',
    '{"initial_acl":{"default":"maybe"}}',
    '{"initial_acl":{"rules":[{}]}}',
    '{"initial_acl":{"rules":"x"}}',
  ])
    assert.equal(await upload({ "x-fal-object-lifecycle": bad }), "400", bad);
  clock.advance(3_601_000);
  const statuses = await Promise.all(
    [hour, other, never, zero, usual].map(async (url) => (await fetch(url)).status),
  );
  assert.deepEqual(statuses, [404, 404, 200, 200, 200]);
  clock.advance(4_000_000);
  assert.equal((await fetch(usual)).status, 404);
});

test("who may read: every decision for owner, account with a rule, other account, nobody and signed URL", async () => {
  await using gateway = await openFileGateway();
  const owner = await gateway.createKey("owner");
  const named = await gateway.createKey("named");
  const other = await gateway.createKey("other");
  const status = async (url: string, authorization?: string): Promise<number> =>
    (await fetch(url, authorization === undefined ? {} : { headers: { authorization } })).status;
  const codes: Readonly<Record<AclDecision, number>> = { allow: 200, forbid: 403, hide: 404 };
  const decisions = ["allow", "forbid", "hide"] as const;
  for (const fallback of decisions)
    for (const rule of [undefined, ...decisions]) {
      const rules = rule === undefined ? [] : [{ user: "named", decision: rule }];
      const [url] = await store(gateway, Buffer.from("x"), { acl: { default: fallback, rules } });
      const name = `${fallback}/${rule}`;
      assert.equal(await status(url), codes[fallback], `anonymous, ${name}`);
      assert.equal(await status(url, other), codes[fallback], `other, ${name}`);
      assert.equal(await status(url, "Key wrong:wrong"), codes[fallback], `wrong key, ${name}`);
      assert.equal(await status(url, named), codes[rule ?? fallback], `named, ${name}`);
      assert.equal(await status(url, owner), 200, `owner, ${name}`);
      const signed = await fetch(`${url}/sign`, {
        method: "POST",
        headers: { authorization: owner },
        body: JSON.stringify({ duration: 60, scope: ["read"] }),
      });
      assert.equal(signed.status, 200);
      assert.match(signed.headers.get("content-type") ?? "", /^text\/plain/);
      const signedUrl = await signed.text();
      assert.ok(signedUrl.startsWith(`${url}?identity=`));
      assert.equal(await status(signedUrl), 200, `signed, ${name}`);
      assert.equal(await status(signedUrl, other), 200, `signed and other, ${name}`);
    }
});

test("restricted files are not kept by shared caches", async () => {
  await using gateway = await openFileGateway();
  const owner = await gateway.createKey("owner");
  const [url] = await store(gateway, Buffer.from("x"), { acl: { default: "hide", rules: [] } });
  const response = await fetch(url, { headers: { authorization: owner } });
  assert.equal(response.headers.get("cache-control"), "private, no-cache");
});

test("a CDN token reads what its account may read", async () => {
  await using gateway = await openFileGateway();
  const owner = await gateway.createKey("owner");
  const [url] = await store(gateway, Buffer.from("x"), { acl: { default: "forbid", rules: [] } });
  const answer = await fetch(`${gateway.origin}/rest/storage/auth/token`, {
    method: "POST",
    headers: { authorization: owner },
  });
  const { token } = (await answer.json()) as { token: string };
  const read = async (text: string): Promise<number> =>
    (await fetch(url, { headers: { authorization: `Bearer ${text}` } })).status;
  assert.equal(await read(token), 200);
  assert.equal(await read(`${token}x`), 403);
});

test("a signed URL ends when it says, signs one file only, and is for the owner to make", async () => {
  await using gateway = await openFileGateway();
  const owner = await gateway.createKey("owner");
  const other = await gateway.createKey("other");
  const acl = { default: "hide", rules: [] } as const;
  const [url] = await store(gateway, Buffer.from("x"), { acl });
  const [second] = await store(gateway, Buffer.from("y"), { acl });
  const sign = async (body: string | undefined, authorization = owner): Promise<Response> =>
    await fetch(`${url}/sign`, { method: "POST", headers: { authorization }, body: body ?? null });
  const signed = await (await sign('{"duration":100}')).text();
  assert.equal((await fetch(signed)).status, 200);
  assert.equal((await fetch(signed.replace(url, second))).status, 404);
  assert.equal((await fetch(`${signed}x`)).status, 404);
  assert.equal((await sign(undefined)).status, 200);
  assert.equal((await sign('{"duration":604800}')).status, 200);
  for (const bad of ['{"duration":604801}', '{"duration":0}', '{"duration":"1"}', "{", '{"duration":-5}'])
    assert.equal((await sign(bad)).status, 400, bad);
  assert.equal((await sign(undefined, other)).status, 404);
  assert.equal((await fetch(`${url}/sign`, { method: "POST" })).status, 401);
  gateway.storage.clock.advance(101_000);
  assert.equal((await fetch(signed)).status, 404);
});

test("a reader that goes away ends the read", { timeout: 30_000 }, async () => {
  let opened = 0;
  let closed = 0;
  await using gateway = await openFileGateway({
    change: (context) => ({
      ...context,
      files: {
        ...context.files,
        async open(file, range) {
          const stream = await context.files.open(file, range);
          opened += 1;
          stream?.once("close", () => {
            closed += 1;
          });
          return stream;
        },
      },
    }),
  });
  const [url] = await store(gateway, Buffer.alloc(30_000_000));
  for (let n = 0; n < 3; n += 1) {
    const request = httpRequest(url);
    request.on("error", () => {});
    request.end();
    const [response] = (await once(request, "response")) as [IncomingMessage];
    await once(response, "data");
    response.destroy();
  }
  for (let wait = 0; wait < 100 && closed < 3; wait += 1) await sleep(20);
  assert.deepEqual([opened, closed], [3, 3]);
});
