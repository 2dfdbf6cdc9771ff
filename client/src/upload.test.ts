import assert from "node:assert/strict";
import { randomBytes } from "node:crypto";
import { getEventListeners } from "node:events";
import { openAsBlob } from "node:fs";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { Readable } from "node:stream";
import test, { type TestContext } from "node:test";
import { ApiError } from "./api-error.ts";
import { createFalClient, type FalClient } from "./client.ts";
import { FAST } from "./testing/set-up-queue.ts";
import { createStorageApp, type StorageApp } from "./testing/storage-app.ts";
import { startTestServer, type TestServer } from "./testing/test-server.ts";
import { until } from "./testing/until.ts";
import type { UploadProgress, UploadSession } from "./upload.ts";

const MIB = 1024 * 1024;

interface Setup {
  readonly app: StorageApp;
  readonly server: TestServer;
  readonly client: FalClient;
}

async function setUp(t: TestContext): Promise<Setup> {
  const app = createStorageApp();
  const server = await startTestServer(app.handler);
  t.after(() => server.stop());
  return { app, server, client: createFalClient({ url: server.url, credentials: "id:secret", retry: FAST }) };
}

test("a small file goes in one piece, with its name, type and lifecycle, and without the key", async (t) => {
  const { app, server, client } = await setUp(t);
  const file = new File(["hello"], "cat.png", { type: "image/png" });
  const url = await client.storage.upload(file, {
    lifecycle: { expiresIn: "1d", initialAcl: { default: "forbid" } },
  });
  assert.equal(url, `${server.url}/files/0/cat.png`);
  assert.deepEqual(
    { ...app.files[0], parts: undefined },
    {
      name: "cat.png",
      type: "image/png",
      lifecycle: '{"expiration_duration_seconds":86400,"initial_acl":{"default":"forbid"}}',
      content: Buffer.from("hello"),
      parts: undefined,
    },
  );
  const [initiate, put] = server.calls;
  assert.equal(initiate!.headers.authorization, "Key id:secret");
  assert.equal(initiate!.query.get("storage_type"), "fal-cdn-v3");
  assert.equal(put!.method, "PUT");
  assert.equal(put!.headers["content-type"], "image/png");
  assert.equal(put!.headers.authorization, undefined);
});

test("a file that is to be kept for ever says so: the account may have another rule", async (t) => {
  const { app, client } = await setUp(t);
  await client.storage.upload(new Blob(["x"]), { lifecycle: { expiresIn: "never" } });
  await client.storage.upload(new Blob(["x"]), { lifecycle: {} });
  assert.deepEqual(
    app.files.map(({ lifecycle }) => lifecycle),
    ['{"expiration_duration_seconds":0}', undefined],
  );
});

test("bytes in memory are told by their first bytes, and named so that the ending fits", async (t) => {
  const { app, client } = await setUp(t);
  const png = Buffer.from("89504e470d0a1a0a0000", "hex");
  const outer = Buffer.concat([Buffer.from("--"), png, Buffer.from("--")]);
  for (const value of [
    png,
    new Uint8Array(png),
    outer.subarray(2, 12),
    new DataView(png.buffer, png.byteOffset, png.length),
    png.buffer.slice(png.byteOffset, png.byteOffset + png.length),
    Readable.from([png.subarray(0, 3), png.subarray(3)]),
    new Blob([png]).stream(),
  ] as never[]) {
    await client.storage.upload(value);
    const file = app.files.at(-1)!;
    assert.equal(file.type, "image/png");
    assert.match(file.name, /^\d+\.png$/);
    assert.deepEqual(file.content, png);
  }
  await client.storage.upload(Buffer.from("???"));
  assert.equal(app.files.at(-1)!.type, "application/octet-stream");
  assert.match(app.files.at(-1)!.name, /\.bin$/);
});

test("something that is no file is refused before anything is sent", async (t) => {
  const { server, client } = await setUp(t);
  await assert.rejects(client.storage.upload("path/to/cat.png" as never), /Only a Blob, a File, bytes/);
  assert.equal(server.calls.length, 0);
});

test("a large file goes in parts, four at a time, with progress", async (t) => {
  const { app, client } = await setUp(t);
  const bytes = randomBytes(55 * MIB);
  // The first four wait for each other, and a little longer for one too many.
  let arrived = 0;
  const four = Promise.withResolvers<void>();
  app.intercept = async () => {
    arrived++;
    if (arrived === 4) setTimeout(four.resolve, 200);
    await four.promise;
    return 200;
  };
  const progress: UploadProgress[] = [];
  await client.storage.upload(new Blob([bytes]), { onProgress: (p) => progress.push(p) });
  assert.ok(app.files[0]!.content!.equals(bytes));
  assert.equal(app.files[0]!.parts.size, 6);
  assert.equal(app.peak, 4);
  assert.deepEqual(progress[0], { uploadedBytes: 0, totalBytes: 55 * MIB });
  assert.deepEqual(progress.at(-1), { uploadedBytes: 55 * MIB, totalBytes: 55 * MIB });
  assert.equal(progress.length, 7);
});

test("a file on disk is read part by part", async (t) => {
  const { app, client } = await setUp(t);
  const folder = await mkdtemp(join(tmpdir(), "sluice-client-"));
  t.after(() => rm(folder, { recursive: true }));
  const bytes = randomBytes(21 * MIB);
  await writeFile(join(folder, "film.mp4"), bytes);
  await client.storage.upload(await openAsBlob(join(folder, "film.mp4"), { type: "video/mp4" }));
  assert.ok(app.files[0]!.content!.equals(bytes));
  assert.equal(app.files[0]!.parts.size, 3);
});

test("a stream of unknown length goes in parts while it is read, and not faster than it can be sent", async (t) => {
  const { app, client } = await setUp(t);
  let read = 0;
  let ahead = 0;
  const total = 90;
  async function* produce(): AsyncGenerator<Uint8Array> {
    for (; read < total; read++) {
      const sent = app.files[0]?.parts.size ?? 0;
      ahead = Math.max(ahead, read - sent * 10);
      yield new Uint8Array(MIB).fill(read);
    }
  }
  await client.storage.upload(produce(), { fileName: "log.txt", contentType: "text/plain" });
  const [file] = app.files;
  assert.equal(file!.content!.length, total * MIB);
  assert.equal(file!.content![77 * MIB], 77);
  assert.equal(file!.name, "log.txt");
  assert.ok(ahead <= 60, `${ahead} MiB were read before they could be sent`);
});

test("a part that fails is sent again, alone", async (t) => {
  const { app, server, client } = await setUp(t);
  const failures = new Map([
    [1, 503],
    [3, 500],
  ]);
  app.intercept = (_call, number) => {
    const status = failures.get(number) ?? 200;
    failures.delete(number);
    return status;
  };
  const bytes = randomBytes(31 * MIB);
  await client.storage.upload(bytes);
  assert.ok(app.files[0]!.content!.equals(bytes));
  assert.equal(server.calls.filter((call) => call.method === "PUT").length, 6);
});

test("an upload survives a restart of the server", async (t) => {
  const { app, server, client } = await setUp(t);
  let isRestarted = false;
  app.intercept = async (_call, number) => {
    if (number === 2 && !isRestarted) {
      isRestarted = true;
      await server.stop();
      await new Promise((resolve) => setTimeout(resolve, 30));
      await server.start();
    }
    return 200;
  };
  const bytes = randomBytes(35 * MIB);
  await client.storage.upload(bytes);
  assert.ok(isRestarted);
  assert.ok(app.files[0]!.content!.equals(bytes));
});

test("an upload that failed is resumed where it stopped, from plain data", async (t) => {
  const { app, server, client } = await setUp(t);
  const bytes = randomBytes(45 * MIB);
  let saved = "";
  app.intercept = (_call, number) => (number === 4 ? 403 : 200);
  await assert.rejects(
    client.storage.upload(bytes, {
      onSession: (session) => {
        saved = JSON.stringify(session);
      },
    }),
    { status: 403 },
  );
  const session: UploadSession = JSON.parse(saved);
  assert.ok(session.parts.length >= 1 && session.parts.length <= 4);
  app.intercept = () => 200;
  server.calls.length = 0;
  const url = await client.storage.upload(bytes, { resume: session });
  assert.equal(url, session.fileUrl);
  assert.ok(app.files[0]!.content!.equals(bytes));
  assert.equal(server.calls.filter((call) => call.method === "PUT").length, 5 - session.parts.length);
  await assert.rejects(client.storage.upload(bytes.subarray(1), { resume: session }), /has 47185920 bytes/);
});

test("where parts are not offered, a large file goes in one piece", async (t) => {
  const { app, client } = await setUp(t);
  app.hasMultipart = false;
  const bytes = randomBytes(11 * MIB);
  await client.storage.upload(new Blob([bytes]));
  assert.ok(app.files[0]!.content!.equals(bytes));
});

test("abort and timeout end an upload, its parts and its connections", async (t) => {
  const { app, server, client } = await setUp(t);
  let taken = 0;
  app.intercept = () => {
    taken++;
    return new Promise(() => undefined);
  };
  const controller = new AbortController();
  const promise = client.storage.upload(randomBytes(65 * MIB), { abortSignal: controller.signal });
  await until(() => taken === 4);
  controller.abort(new Error("enough"));
  await assert.rejects(promise, /enough/);
  await until(() => server.pending.size === 0, "the end of the calls");
  assert.equal(getEventListeners(controller.signal, "abort").length, 0);
  assert.equal(taken, 4);
  await assert.rejects(client.storage.upload(randomBytes(10), { timeout: 50 }), { name: "TimeoutError" });
});

test("abort ends an upload whose stream says nothing more", async (t) => {
  const { server, client } = await setUp(t);
  const silent = new ReadableStream<Uint8Array>();
  await assert.rejects(client.storage.upload(silent, { timeout: 30 }), { name: "TimeoutError" });
  assert.equal(server.calls.length, 0);
});

test("when one part fails for good, the others are ended", async (t) => {
  const { app, server, client } = await setUp(t);
  app.intercept = (_call, number) => (number === 2 ? 403 : new Promise(() => undefined));
  const error = await client.storage.upload(randomBytes(45 * MIB)).catch((e: unknown) => e);
  assert.ok(error instanceof ApiError);
  assert.equal(error.status, 403);
  await until(() => server.pending.size === 0, "the end of the calls");
});

test("files anywhere in an input are uploaded and replaced, the same one once, and the input is left alone", async (t) => {
  const { app, server, client } = await setUp(t);
  const cat = new Blob(["cat"], { type: "image/png" });
  const when = new Date(0);
  class Custom {
    file = cat;
    toJSON() {
      return "custom";
    }
  }
  const custom = new Custom();
  const input = {
    image: cat,
    list: [{ deep: { buffer: Buffer.from("b"), again: cat } }, Readable.from([Buffer.from("s")])],
    floats: new Float32Array([1]),
    when,
    custom,
    nothing: null,
    bare: Object.assign(Object.create(null), { file: cat }),
  };
  const output = await client.storage.transformInput(input);
  const urls = JSON.stringify(output).match(/http:[^"]+/g)!;
  assert.equal(urls.length, 6);
  assert.equal(new Set(urls).size, 4);
  assert.equal(app.files.length, 4);
  assert.ok(urls.every((url) => url.startsWith(`${server.url}/files/`)));
  assert.equal(output["image"], output["list"][0].deep.again);
  assert.equal(output["when"], when);
  assert.equal(output["custom"], custom);
  assert.equal(output["nothing"], null);
  assert.equal(input.image, cat);
});

test("an input without files is passed on as it is", async (t) => {
  const { client } = await setUp(t);
  const input = { a: [1, { b: "c" }] };
  assert.equal(await client.storage.transformInput(input), input);
});
