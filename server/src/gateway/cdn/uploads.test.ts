import assert from "node:assert/strict";
import { createHash, randomBytes } from "node:crypto";
import { request as httpRequest } from "node:http";
import { test } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import { setFlagsFromString } from "node:v8";
import { runInNewContext } from "node:vm";
import { listBlobKeys } from "../../files/testing/open-test-storage.ts";
import { silentMetrics } from "../../metrics/metrics.ts";
import { type FileGateway, openFileGateway } from "./testing/open-file-gateway.ts";

const MIB = 1024 * 1024;

interface Initiated {
  readonly upload_url: string;
  readonly file_url: string;
}

async function initiate(
  { origin }: FileGateway,
  key: string,
  fields: object,
  { path = "initiate?storage_type=fal-cdn-v3", headers = {} }: { path?: string; headers?: object } = {},
): Promise<Initiated> {
  const response = await fetch(`${origin}/rest/storage/upload/${path}`, {
    method: "POST",
    headers: { authorization: key, "content-type": "application/json", ...headers },
    body: JSON.stringify(fields),
  });
  assert.equal(response.status, 200);
  return (await response.json()) as Initiated;
}

async function download(url: string): Promise<Buffer> {
  const response = await fetch(url);
  assert.equal(response.status, 200, url);
  return Buffer.from(await response.arrayBuffer());
}

async function bodyOf(response: Response): Promise<unknown> {
  const body = (await response.json()) as Record<string, unknown>;
  delete body["message"];
  return body;
}

test("initiate and PUT: every storage type gives a URL that takes the bytes once", async () => {
  await using gateway = await openFileGateway();
  const key = await gateway.createKey();
  for (const path of ["initiate", "initiate?storage_type=fal-cdn-v3", "initiate?storage_type=gcs"]) {
    const bytes = randomBytes(200_000);
    const { upload_url, file_url } = await initiate(
      gateway,
      key,
      { content_type: "image/png", file_name: "cat.png" },
      { path },
    );
    assert.match(
      file_url,
      /^http:\/\/127\.0\.0\.1:\d+\/cdn\/files\/b\/[0-9a-f]{8}\/[A-Za-z0-9_-]{21}_cat\.png$/,
    );
    assert.equal((await fetch(file_url)).status, 404);
    // No credential, and one that means nothing here: the URL alone decides.
    const put = await fetch(upload_url, {
      method: "PUT",
      body: bytes,
      headers: { "content-type": "image/png", authorization: "Bearer something else" },
    });
    assert.equal(put.status, 200);
    assert.deepEqual(await put.json(), {});
    assert.deepEqual(await download(file_url), bytes);
    const again = await fetch(upload_url, { method: "PUT", body: "other" });
    assert.equal(again.status, 403);
    assert.deepEqual(await bodyOf(again), { detail: "Upload URL expired" });
    assert.deepEqual(await download(file_url), bytes);
  }
});

test("what is not said about an upload is guessed", async () => {
  await using gateway = await openFileGateway();
  const key = await gateway.createKey();
  const cases: readonly (readonly [object, RegExp, string])[] = [
    [{}, /_upload\.bin$/, "application/octet-stream"],
    [{ file_name: "a.webp", content_type: null }, /_a\.webp$/, "image/webp"],
    [{ content_type: "image/jpeg" }, /_upload\.jpeg$/, "image/jpeg"],
    [
      { file_name: "1700000000000.plain", content_type: "text/plain" },
      /_1700000000000\.plain$/,
      "text/plain",
    ],
    [{ file_name: "../x y.exe", content_type: "nonsense\r\n" }, /_x_y\.exe$/, "application/octet-stream"],
  ];
  for (const [fields, name, type] of cases) {
    const { upload_url, file_url } = await initiate(gateway, key, fields);
    assert.match(file_url, name);
    assert.equal((await fetch(upload_url, { method: "PUT", body: "x" })).status, 200);
    const served = await fetch(file_url);
    assert.equal(served.headers.get("content-type"), type);
    assert.equal(await served.text(), "x");
  }
});

test("an upload URL works for an hour, and no other text does", async () => {
  await using gateway = await openFileGateway();
  const key = await gateway.createKey();
  const { upload_url } = await initiate(gateway, key, {});
  const put = async (url: string): Promise<number> => (await fetch(url, { method: "PUT", body: "x" })).status;
  const last = upload_url.at(-1) === "A" ? "B" : "A";
  const [grant = ""] = upload_url.split("/").slice(-1);
  for (const bad of [
    upload_url.slice(0, -1),
    `${upload_url.slice(0, -4)}${last}${last}${last}${last}`,
    upload_url.replace(grant, "x"),
    upload_url.replace(grant, grant.slice(0, 21)),
    upload_url.replace(grant, `${grant.slice(0, 22)}zzzzzzzzz${grant.slice(30)}`),
  ])
    assert.equal(await put(bad), 403, bad);
  gateway.storage.clock.advance(3_601_000);
  assert.equal(await put(upload_url), 403);
});

test("multipart, one flavour: parts beside the query, numbers and tags in the answers, listed out of order", async () => {
  await using gateway = await openFileGateway();
  const key = await gateway.createKey();
  const { upload_url, file_url } = await initiate(
    gateway,
    key,
    { content_type: "video/mp4", file_name: "big.mp4" },
    { path: "initiate-multipart?storage_type=fal-cdn-v3" },
  );
  const parts = [randomBytes(5 * MIB), randomBytes(5 * MIB), randomBytes(2 * MIB + 17)];
  const url = new URL(upload_url);
  const at = (action: string | number): string => `${url.origin}${url.pathname}/${action}${url.search}`;
  const done: unknown[] = [];
  for (const n of [3, 1, 2]) {
    const response = await fetch(at(n), { method: "PUT", body: parts[n - 1] ?? null });
    assert.equal(response.status, 200);
    assert.match(response.headers.get("content-type") ?? "", /application\/json/);
    const answer = (await response.json()) as { partNumber: number; etag: string };
    assert.equal(answer.partNumber, n);
    assert.equal(answer.etag, response.headers.get("etag"));
    assert.match(answer.etag, /^".+"$/);
    done.push(answer);
  }
  assert.equal((await fetch(file_url)).status, 404);
  const complete = async (list: unknown): Promise<Response> =>
    await fetch(at("complete"), { method: "POST", body: JSON.stringify({ parts: list }) });
  assert.equal((await complete([...done, { partNumber: 4, etag: "x" }])).status, 400);
  assert.equal((await complete(done)).status, 200);
  assert.equal((await complete(done)).status, 200);
  assert.deepEqual(await download(file_url), Buffer.concat(parts));
  assert.equal((await fetch(at(1), { method: "PUT", body: "late" })).status, 403);
  assert.equal((await listBlobKeys(gateway.storage.blobs)).length, 1);
});

test("multipart, the other flavour: a URL is asked for each part, tags without quotes, snake case", async () => {
  await using gateway = await openFileGateway();
  const key = await gateway.createKey();
  const { upload_url, file_url } = await initiate(
    gateway,
    key,
    { content_type: "application/zip", file_name: "w.zip" },
    { path: "initiate-multipart?storage_type=gcs" },
  );
  const parts = [randomBytes(300_000), randomBytes(10)];
  const listed: object[] = [];
  for (const [index, bytes] of parts.entries()) {
    const asked = await fetch(`${upload_url}/${index + 1}`, {
      method: "POST",
      headers: { authorization: key },
    });
    assert.equal(asked.status, 200);
    const part = (await asked.json()) as { upload_url: string };
    const put = await fetch(part.upload_url, { method: "PUT", body: bytes });
    const etag = (put.headers.get("etag") ?? "").replaceAll('"', "");
    listed.push({ part_number: index + 1, etag });
  }
  const done = await fetch(`${upload_url}/complete`, {
    method: "POST",
    headers: { authorization: key },
    body: JSON.stringify({ parts: listed.reverse() }),
  });
  assert.equal(done.status, 200);
  assert.deepEqual(await download(file_url), Buffer.concat(parts));
  const alias = await initiate(gateway, key, {}, { path: "complete-multipart?storage_type=fal-cdn-v3" });
  assert.equal((await fetch(`${alias.upload_url}/1`, { method: "PUT", body: "x" })).status, 200);
});

test("a CDN token uploads directly, whole and in parallel parts", async () => {
  await using gateway = await openFileGateway();
  const key = await gateway.createKey();
  const answer = await fetch(`${gateway.origin}/rest/storage/auth/token?storage_type=fal-cdn-v3`, {
    method: "POST",
    headers: { authorization: key },
    body: "{}",
  });
  const cdn = (await answer.json()) as Record<string, string>;
  assert.equal(answer.status, 200);
  assert.deepEqual([cdn["token_type"], cdn["base_url"]], ["Bearer", `${gateway.origin}/cdn`]);
  assert.match(cdn["expires_at"] ?? "", /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\+00:00$/);
  const authorization = `${cdn["token_type"]} ${cdn["token"]}`;

  const whole = await fetch(`${cdn["base_url"]}/files/upload`, {
    method: "POST",
    headers: { authorization, "content-type": "text/plain", "x-fal-file-name": "note.txt" },
    body: "hello",
  });
  assert.equal(whole.status, 200);
  const { access_url } = (await whole.json()) as { access_url: string };
  assert.match(access_url, /_note\.txt$/);
  assert.equal((await download(access_url)).toString(), "hello");

  const begun = await fetch(`${cdn["base_url"]}/files/upload/multipart`, {
    method: "POST",
    headers: { authorization, accept: "application/json", "content-type": "image/png" },
  });
  const multipart = (await begun.json()) as { access_url: string; uploadId: string };
  assert.match(multipart.access_url, /_upload\.png$/);
  const base = `${multipart.access_url}/multipart/${multipart.uploadId}`;
  const chunks = Array.from({ length: 8 }, (_, n) => Buffer.alloc(400_000 + n, n));
  const parts = await Promise.all(
    chunks.map(async (body, index) => {
      await sleep(Math.random() * 20);
      const put = await fetch(`${base}/${index + 1}`, { method: "PUT", headers: { authorization }, body });
      assert.equal(put.status, 200);
      return { partNumber: index + 1, etag: put.headers.get("etag") };
    }),
  );
  const stranger = await gateway.createKey("stranger");
  const foreign = { method: "PUT", headers: { authorization: stranger }, body: "x" };
  assert.equal((await fetch(`${base}/1`, foreign)).status, 403);
  const anonymous = await fetch(`${base}/1`, { method: "PUT", body: "x" });
  assert.equal(anonymous.status, 401);
  assert.deepEqual(await bodyOf(anonymous), { detail: "Authorization header is required" });
  const complete = await fetch(`${base}/complete`, {
    method: "POST",
    headers: { authorization },
    body: JSON.stringify({ parts: parts.sort(() => Math.random() - 0.5) }),
  });
  assert.equal(complete.status, 200);
  assert.deepEqual(await download(multipart.access_url), Buffer.concat(chunks));
});

test("each file that was uploaded is counted once, parts and repeated completions are not", async () => {
  const counted: object[] = [];
  const metrics = { ...silentMetrics, countFile: (file: object) => void counted.push(file) };
  await using gateway = await openFileGateway({ change: (context) => ({ ...context, metrics }) });
  const key = await gateway.createKey();
  const single = await initiate(gateway, key, {});
  for (const status of [200, 403])
    assert.equal((await fetch(single.upload_url, { method: "PUT", body: "1" })).status, status);
  const { upload_url } = await initiate(gateway, key, {}, { path: "initiate-multipart" });
  const part = (await (await fetch(`${upload_url}/1`, { method: "PUT", body: "22" })).json()) as object;
  const parts = JSON.stringify({ parts: [part] });
  for (let i = 0; i < 2; i++)
    assert.equal((await fetch(`${upload_url}/complete`, { method: "POST", body: parts })).status, 200);
  const headers = { authorization: key };
  await fetch(`${gateway.origin}/cdn/files/upload`, { method: "POST", headers, body: "333" });
  assert.deepEqual(
    counted,
    [1, 2, 3].map((bytes) => ({ kind: "upload", bytes })),
  );
});

test("a multipart upload goes on after a restart of the server", async () => {
  const first = await openFileGateway();
  const key = await first.createKey();
  const { upload_url, file_url } = await initiate(first, key, {}, { path: "initiate-multipart" });
  const chunks = [randomBytes(6 * MIB), randomBytes(6 * MIB)];
  const put = async (origin: string, n: number): Promise<unknown> => {
    const url = upload_url.replace(first.origin, origin);
    return await (await fetch(`${url}/${n}`, { method: "PUT", body: chunks[n - 1] ?? null })).json();
  };
  const parts = [await put(first.origin, 2)];
  await using second = await first.restart();
  parts.push(await put(second.origin, 1));
  const done = await fetch(`${upload_url.replace(first.origin, second.origin)}/complete`, {
    method: "POST",
    body: JSON.stringify({ parts }),
  });
  assert.equal(done.status, 200);
  assert.deepEqual(await download(file_url.replace(first.origin, second.origin)), Buffer.concat(chunks));
});

test("malformed parts and completions get a 400 that says what is wrong", async () => {
  await using gateway = await openFileGateway();
  const key = await gateway.createKey();
  const { upload_url } = await initiate(gateway, key, {}, { path: "initiate-multipart" });
  for (const n of ["0", "-1", "10001", "1.5", "1e3", "x", "%00", "999999999999999999999"]) {
    const { status } = await fetch(`${upload_url}/${n}`, { method: "PUT", body: "x" });
    assert.ok(status === 400 || status === 404, `${n}: ${status}`);
  }
  await fetch(`${upload_url}/1`, { method: "PUT", body: "x" });
  const bodies = [
    "",
    "{",
    "null",
    "[]",
    "1",
    '{"parts":1}',
    '{"parts":[]}',
    '{"parts":[null]}',
    '{"parts":[1]}',
    '{"parts":[{}]}',
    '{"parts":[{"partNumber":"1"}]}',
    '{"parts":[{"partNumber":1.5}]}',
    '{"parts":[{"partNumber":2}]}',
    '{"parts":[{"partNumber":1,"etag":"\\"wrong\\""}]}',
    JSON.stringify({ parts: Array.from({ length: 10_001 }, (_, n) => ({ partNumber: n + 1 })) }),
    "[".repeat(100_000),
  ];
  for (const body of bodies) {
    const response = await fetch(`${upload_url}/complete`, { method: "POST", body });
    assert.equal(response.status, 400, body.slice(0, 60));
    assert.equal(typeof ((await response.json()) as { detail: unknown }).detail, "string");
  }
  const huge = await fetch(`${upload_url}/complete`, { method: "POST", body: " ".repeat(3 * MIB) });
  assert.equal(huge.status, 413);
});

test("an upload larger than the server allows is refused, declared or not, and leaves nothing", async () => {
  await using gateway = await openFileGateway({ settings: { maxUploadBytes: 100_000 } });
  const key = await gateway.createKey();
  const endless = (): ReadableStream<Uint8Array> => {
    let sent = 0;
    return new ReadableStream({
      pull(controller) {
        sent += 50_000;
        if (sent > 5 * MIB) controller.close();
        else controller.enqueue(new Uint8Array(50_000));
      },
    });
  };
  const { upload_url } = await initiate(gateway, key, {});
  const headers = { authorization: key };
  for (const [url, method] of [
    [upload_url, "PUT"],
    [`${gateway.origin}/cdn/files/upload`, "POST"],
  ] as const) {
    const declared = await fetch(url, { method, headers, body: Buffer.alloc(100_001) });
    assert.equal(declared.status, 413);
    assert.deepEqual(await bodyOf(declared), { detail: "Request body too large" });
    const streamed = await fetch(url, { method, headers, body: endless(), duplex: "half" } as RequestInit);
    assert.equal(streamed.status, 413);
  }
  assert.deepEqual(await listBlobKeys(gateway.storage.blobs), []);
  assert.equal((await fetch(upload_url, { method: "PUT", body: Buffer.alloc(100_000) })).status, 200);
});

test("a caller that goes away in the middle leaves nothing, and may begin again", {
  timeout: 30_000,
}, async () => {
  await using gateway = await openFileGateway();
  const key = await gateway.createKey();
  const { upload_url, file_url } = await initiate(gateway, key, {});
  const request = httpRequest(upload_url, { method: "PUT", headers: { "content-length": 1_000_000 } });
  request.on("error", () => {});
  request.write(Buffer.alloc(300_000));
  await sleep(200);
  request.destroy();
  await sleep(200);
  assert.deepEqual(await listBlobKeys(gateway.storage.blobs), []);
  assert.equal((await fetch(file_url)).status, 404);
  assert.equal((await fetch(upload_url, { method: "PUT", body: "whole" })).status, 200);
  assert.equal((await download(file_url)).toString(), "whole");
});

test("a slow upload is an upload", { timeout: 30_000 }, async () => {
  await using gateway = await openFileGateway();
  const key = await gateway.createKey();
  const { upload_url, file_url } = await initiate(gateway, key, {});
  const steady = new ReadableStream<Uint8Array>({
    async pull(controller) {
      await sleep(60);
      sent += 1;
      if (sent > 8) controller.close();
      else controller.enqueue(Buffer.from("tick"));
    },
  });
  let sent = 0;
  const put = await fetch(upload_url, { method: "PUT", body: steady, duplex: "half" } as RequestInit);
  assert.equal(put.status, 200);
  assert.equal((await download(file_url)).toString(), "tick".repeat(8));
});

test("uploads are refused while the disk is short, or full in the middle, and nothing is left", async () => {
  let free = 10_000_000;
  let isFull = false;
  await using gateway = await openFileGateway({
    settings: { minFreeBytes: 1_000_000 },
    change: (context) => ({
      ...context,
      blobs: {
        ...context.blobs,
        getFreeBytes: async () => free,
        async put(key, content, options) {
          if (!isFull) return await context.blobs.put(key, content, options);
          const cut = async function* (): AsyncGenerator<Uint8Array> {
            for await (const chunk of content as AsyncIterable<Uint8Array>) {
              yield chunk;
              throw Object.assign(new Error("no space left on device"), { code: "ENOSPC" });
            }
          };
          return await context.blobs.put(key, cut(), options);
        },
      },
    }),
  });
  const key = await gateway.createKey();
  const { upload_url, file_url } = await initiate(gateway, key, {});
  const put = async (bytes: number): Promise<Response> =>
    await fetch(upload_url, { method: "PUT", body: Buffer.alloc(bytes) });
  const tooMuch = await put(9_500_000);
  assert.equal(tooMuch.status, 503);
  assert.ok(tooMuch.headers.has("retry-after"));
  isFull = true;
  assert.equal((await put(100_000)).status, 503);
  assert.deepEqual(await listBlobKeys(gateway.storage.blobs), []);
  isFull = false;
  free = 999_999;
  const refused = await fetch(`${gateway.origin}/rest/storage/upload/initiate`, {
    method: "POST",
    headers: { authorization: key },
    body: "{}",
  });
  assert.equal(refused.status, 503);
  free = 10_000_000;
  assert.equal((await put(100_000)).status, 200);
  assert.equal((await download(file_url)).length, 100_000);
});

test("a key may not store more than its limit, parts of unfinished uploads included", async () => {
  await using gateway = await openFileGateway();
  const key = await gateway.createKey("limited", { storedBytes: 1_000 });
  const headers = { authorization: key };
  const direct = async (bytes: number): Promise<Response> =>
    await fetch(`${gateway.origin}/cdn/files/upload`, { method: "POST", headers, body: Buffer.alloc(bytes) });
  assert.equal((await direct(600)).status, 200);
  const over = await direct(500);
  assert.equal(over.status, 429);
  assert.ok(over.headers.has("retry-after"));
  const { upload_url } = await initiate(gateway, key, {}, { path: "initiate-multipart" });
  assert.equal((await fetch(`${upload_url}/1`, { method: "PUT", body: Buffer.alloc(300) })).status, 200);
  assert.equal((await fetch(`${upload_url}/2`, { method: "PUT", body: Buffer.alloc(300) })).status, 429);
  assert.equal((await direct(200)).status, 429);
  assert.equal((await direct(100)).status, 200);
  const full = await fetch(`${gateway.origin}/rest/storage/upload/initiate`, { method: "POST", headers });
  assert.equal(full.status, 429);
  const other = await gateway.createKey("other");
  assert.equal((await initiate(gateway, other, {})).upload_url.length > 0, true);
});

/** Bytes of buffers that something still refers to: on a busy machine garbage waits long for its collection. */
function measureHeldBytes(): number {
  setFlagsFromString("--expose-gc");
  runInNewContext("gc")();
  return process.memoryUsage().arrayBuffers;
}

test("an upload of 200 MB passes through in bounded memory", {
  timeout: 120_000,
}, async () => {
  await using gateway = await openFileGateway();
  const key = await gateway.createKey();
  const chunk = randomBytes(MIB);
  const hash = createHash("sha256");
  for (let n = 0; n < 200; n += 1) hash.update(chunk);
  let sent = 0;
  let peak = 0;
  const before = measureHeldBytes();
  const body = new ReadableStream<Uint8Array>(
    {
      pull(controller) {
        if (sent % 10 === 0) peak = Math.max(peak, measureHeldBytes() - before);
        if (sent === 200) controller.close();
        else {
          sent += 1;
          controller.enqueue(chunk);
        }
      },
    },
    { highWaterMark: 1 },
  );
  const response = await fetch(`${gateway.origin}/cdn/files/upload`, {
    method: "POST",
    headers: { authorization: key },
    body,
    duplex: "half",
  } as RequestInit);
  assert.equal(response.status, 200);
  const { access_url } = (await response.json()) as { access_url: string };
  const served = await fetch(access_url);
  assert.equal(served.headers.get("etag"), `"${hash.digest("hex")}"`);
  let received = 0;
  for await (const part of served.body ?? []) {
    const tens = Math.floor(received / (10 * MIB));
    received += part.byteLength;
    if (Math.floor(received / (10 * MIB)) > tens) peak = Math.max(peak, measureHeldBytes() - before);
  }
  assert.equal(received, 200 * MIB);
  // Caller and server share this process.
  assert.ok(peak < 130 * MIB, `grew by ${Math.round(peak / MIB)} MiB`);
});
