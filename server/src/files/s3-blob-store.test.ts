import assert from "node:assert/strict";
import { randomBytes } from "node:crypto";
import { buffer } from "node:stream/consumers";
import { test } from "node:test";
import { openS3BlobStore, StorageUrlError } from "./s3-blob-store.ts";
import { testBlobStore } from "./testing/blob-conformance.ts";
import { type S3Server, startS3Server } from "./testing/s3-server.ts";

const client = { credentials: { accessKeyId: "test", secretAccessKey: "test" } };
const MIB = 1024 * 1024;

async function open(): Promise<
  { server: S3Server; blobs: Awaited<ReturnType<typeof openS3BlobStore>> } & AsyncDisposable
> {
  const server = await startS3Server();
  const blobs = await openS3BlobStore({ url: server.url, client });
  return {
    server,
    blobs,
    async [Symbol.asyncDispose]() {
      await blobs[Symbol.asyncDispose]();
      await server[Symbol.asyncDispose]();
    },
  };
}

async function* inChunks(bytes: Uint8Array): AsyncGenerator<Uint8Array> {
  for (let at = 0; at < bytes.length; at += 70_001) yield bytes.subarray(at, at + 70_001);
}

testBlobStore("s3", open);

test("a large blob goes in parts and is whole under its prefix", async () => {
  await using fixture = await open();
  const { blobs, server } = fixture;
  const bytes = randomBytes(20 * MIB + 5);
  const info = await blobs.put("files/large", inChunks(bytes));
  assert.equal(info.size, bytes.length);
  assert.deepEqual([...server.objects.keys()], ["some/prefix/files/large"]);
  const part = await blobs.open("files/large", { start: 15 * MIB, end: 15 * MIB + 9 });
  assert.deepEqual(part && (await buffer(part)), bytes.subarray(15 * MIB, 15 * MIB + 10));
  assert.ok(bytes.equals((await blobs.read("files/large")) ?? Buffer.of()));
  assert.equal(server.unfinished.size, 0);
});

test("a large write that fails in the middle leaves no parts behind", async () => {
  await using fixture = await open();
  const { blobs, server } = fixture;
  const failing = async function* (): AsyncGenerator<Uint8Array> {
    yield* inChunks(randomBytes(10 * MIB));
    throw new Error("the line went dead");
  };
  await assert.rejects(blobs.put("large", failing()), /the line went dead/);
  await assert.rejects(blobs.put("large", inChunks(randomBytes(12 * MIB)), { maxBytes: 11 * MIB }));
  const controller = new AbortController();
  const aborting = async function* (): AsyncGenerator<Uint8Array> {
    yield* inChunks(randomBytes(10 * MIB));
    controller.abort(new Error("enough"));
    yield* inChunks(randomBytes(10 * MIB));
  };
  await assert.rejects(blobs.put("large", aborting(), { signal: controller.signal }), /enough/);
  assert.deepEqual([server.unfinished.size, server.objects.size], [0, 0]);
});

test("a join copies inside the storage; only what is too small for that is read and sent", async () => {
  await using fixture = await open();
  const { blobs, server } = fixture;
  const sizes = [10 * MIB, 10 * MIB, 3 * MIB];
  for (const [index, size] of sizes.entries()) await blobs.put(`parts/${index}`, randomBytes(size));
  const sources = sizes.map((size, index) => ({ key: `parts/${index}`, size }));
  await blobs.join("files/equal", sources);
  assert.deepEqual([...server.copied].sort(), [10 * MIB, 10 * MIB, 3 * MIB].sort());
  await blobs.join("files/uneven", [sources[2]!, sources[0]!, sources[1]!]);
  const copiedNow = server.copied.slice(3).reduce((sum, size) => sum + size, 0);
  assert.equal(copiedNow, 18 * MIB, "the small first piece is filled up to 5 MiB");
  const expected = await Promise.all(
    [2, 0, 1].map(async (n) => (await blobs.read(`parts/${n}`)) ?? Buffer.of()),
  );
  assert.ok(Buffer.concat(expected).equals((await blobs.read("files/uneven")) ?? Buffer.of()));
  assert.equal(server.unfinished.size, 0);
});

test("a join that fails in the middle leaves no parts behind", async () => {
  await using fixture = await open();
  const { blobs, server } = fixture;
  await blobs.put("a", randomBytes(6 * MIB));
  server.failures.push(200);
  await assert.rejects(
    blobs.join("joined", [
      { key: "a", size: 6 * MIB },
      { key: "b", size: 6 * MIB },
    ]),
  );
  assert.deepEqual([server.unfinished.size, [...server.objects.keys()]], [0, ["some/prefix/a"]]);
});

test("a storage that stumbles is asked again, one that refuses says so", { timeout: 60_000 }, async () => {
  await using fixture = await open();
  const { blobs, server } = fixture;
  server.failures.push(503, 500);
  await blobs.put("k", Buffer.from("x"));
  server.failures.push(503);
  assert.equal(Buffer.from((await blobs.read("k")) ?? []).toString(), "x");
  server.failures.push(403);
  await assert.rejects(blobs.read("k"));
  server.failures.push(403);
  await assert.rejects(blobs.find("k"));
});

test("a storage URL that cannot be used says what it should look like", async () => {
  for (const url of ["", "bucket", "http://x", "s3:", "s3:///x", "s3://bucket?endpoint=nowhere"])
    await assert.rejects(openS3BlobStore({ url, client }), StorageUrlError, url);
});

test("a bucket that is not there or may not be read is said at open", async () => {
  await using server = await startS3Server();
  const url = server.url.replace("//bucket", "//other");
  await assert.rejects(openS3BlobStore({ url, client }), /cannot be read \(NoSuchBucket/);
  server.failures.push(403);
  await assert.rejects(openS3BlobStore({ url: server.url, client }), StorageUrlError);
});
