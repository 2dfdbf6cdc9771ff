import assert from "node:assert/strict";
import { randomBytes } from "node:crypto";
import { readdir, utimes } from "node:fs/promises";
import { join } from "node:path";
import type { Readable } from "node:stream";
import { buffer } from "node:stream/consumers";
import { test } from "node:test";
import { crc32 } from "node:zlib";
import type { AccountId, RequestId } from "../../ids.ts";
import { silentLogger } from "../../logger.ts";
import { createArchiveStore, measureZip, zipFiles } from "../archives.ts";
import { createFileStore } from "../create-file-store.ts";
import { FILE_PATH } from "../file-path.ts";
import type { FileStore, NewFile } from "../file-store.ts";
import { insertAccount, listBlobKeys, type TestStorage } from "./open-test-storage.ts";

const alice = "alice" as AccountId;
const bob = "bob" as AccountId;

function picture(fields: Partial<NewFile> = {}): NewFile {
  return {
    accountId: alice,
    requestId: null,
    fileName: "cat.png",
    contentType: "image/png",
    expiresAt: null,
    ...fields,
  };
}

/** What the file store does on every database. */
export function testFileStore(name: string, open: () => Promise<TestStorage>): void {
  const check = (title: string, body: () => Promise<void>): void => {
    test(`${name}: ${title}`, { timeout: 60_000 }, body);
  };

  check("a file is found, read in full and in part, and counted", async () => {
    await using storage = await open();
    const { files } = storage;
    const bytes = randomBytes(50_000);
    const file = await files.create(picture({ width: 20, height: 10 }), bytes);
    assert.match(file.path, FILE_PATH);
    assert.match(file.path, /_cat\.png$/);
    assert.equal(file.size, 50_000);
    assert.deepEqual(await files.find(file.path), file);
    assert.deepEqual(Buffer.from((await files.read(file)) ?? []), bytes);
    const part = await files.open(file, { start: 10, end: 19 });
    assert.deepEqual(part && (await buffer(part)), bytes.subarray(10, 20));
    assert.equal(await files.getStoredBytes(alice), 50_000);
    assert.equal(await files.getStoredBytes(bob), 0);
  });

  check("files survive a restart", async () => {
    const first = await open();
    const file = await first.files.create(picture(), Buffer.from("kept"));
    await using second = await first.reopen();
    const found = await second.files.find(file.path);
    assert.deepEqual(found, file);
    assert.equal(Buffer.from((await second.files.read(file)) ?? []).toString(), "kept");
  });

  check("what an account wants for its new files is kept, replaced as a whole, and its own", async () => {
    const first = await open();
    assert.deepEqual(await first.files.getDefaults(alice), {});
    const acl = { default: "hide", rules: [{ user: "nobody", decision: "allow" }] } as const;
    await first.files.setDefaults(alice, { expiresAfterMs: 90_000, acl });
    await using second = await first.reopen();
    const { files } = second;
    const known = { default: "hide", rules: [] };
    assert.deepEqual(await files.getDefaults(alice), { expiresAfterMs: 90_000, acl: known });
    assert.deepEqual(await files.getDefaults(bob), {});
    await files.setDefaults(alice, { expiresAfterMs: null });
    assert.deepEqual(await files.getDefaults(alice), { expiresAfterMs: null });
    await files.setDefaults(alice, {});
    assert.deepEqual(await files.getDefaults(alice), {});
  });

  check("a removed file is gone with its bytes and no longer counted", async () => {
    await using storage = await open();
    const { files, blobs } = storage;
    const file = await files.create(picture(), Buffer.alloc(100));
    assert.equal(await files.remove(file.path), true);
    assert.equal(await files.remove(file.path), false);
    assert.equal(await files.find(file.path), undefined);
    assert.equal(await files.getStoredBytes(alice), 0);
    assert.deepEqual(await listBlobKeys(blobs), []);
  });

  check("an expired file is not found at once, and collected later", async () => {
    await using storage = await open();
    const { files, clock, blobs } = storage;
    const short = await files.create(picture({ expiresAt: clock.now() + 60_000 }), Buffer.alloc(10));
    const long = await files.create(picture(), Buffer.alloc(7));
    clock.advance(59_000);
    assert.ok(await files.find(short.path));
    clock.advance(2_000);
    assert.equal(await files.find(short.path), undefined);
    assert.deepEqual((await files.list({ limit: 10 })).files, [long]);
    assert.equal(await files.collect(), 1);
    assert.equal(await files.getStoredBytes(alice), 7);
    assert.deepEqual(await listBlobKeys(blobs), [long.blobKey]);
  });

  check("more expired files than one batch are all collected", async () => {
    await using storage = await open();
    const { files, clock, blobs } = storage;
    const expiresAt = clock.now() + 1_000;
    await Promise.all(Array.from({ length: 450 }, () => files.create(picture({ expiresAt }), Buffer.of(1))));
    clock.advance(2_000);
    assert.equal(await files.collect(), 450);
    assert.deepEqual(await listBlobKeys(blobs), []);
  });

  check("listing pages newest first, by account, request, kind and name", async () => {
    await using storage = await open();
    const { files, clock } = storage;
    const request = "0190a5f0-0000-7000-8000-000000000001" as RequestId;
    for (let n = 0; n < 7; n += 1) {
      await files.create(picture({ fileName: `Upload_${n}.png` }), Buffer.of(n));
      if (n % 2 === 0) clock.advance(5);
    }
    await files.create(picture({ requestId: request, fileName: "out 100%.png" }), Buffer.of(1));
    await files.create(picture({ accountId: bob, fileName: "b.png" }), Buffer.of(1));

    const seen: string[] = [];
    let cursor: string | undefined;
    do {
      const page = await files.list({
        accountId: alice,
        limit: 3,
        ...(cursor === undefined ? {} : { cursor }),
      });
      assert.ok(page.files.length <= 3);
      seen.push(...page.files.map((file) => file.path));
      cursor = page.nextCursor ?? undefined;
    } while (cursor !== undefined);
    assert.equal(seen.length, 8);
    assert.equal(new Set(seen).size, 8);

    const names = async (filter: object): Promise<string[]> =>
      (await files.list({ limit: 50, ...filter })).files.map((file) => file.fileName).sort();
    assert.deepEqual(await names({ requestId: request }), ["out 100%.png"]);
    assert.deepEqual(await names({ kind: "output" }), ["out 100%.png"]);
    assert.equal((await names({ kind: "upload" })).length, 8);
    assert.deepEqual(await names({ search: "UPLOAD_3" }), ["Upload_3.png"]);
    assert.deepEqual(await names({ search: "100%" }), ["out 100%.png"]);
    assert.deepEqual(await names({ search: "%" }), ["out 100%.png"]);
    await assert.rejects(files.list({ cursor: "nonsense", limit: 5 }), { name: "CursorError" });
  });

  check("files are filtered by what they are, what made them, their age and their expiry", async () => {
    await using storage = await open();
    const { files, clock } = storage;
    const request = "0190a5f0-0000-7000-8000-000000000001" as RequestId;
    const startAt = clock.now();
    await files.create(picture({ fileName: "a.png" }), Buffer.of(1));
    clock.advance(10_000);
    const made = { requestId: request, endpointId: "test/echo" };
    const output = await files.create(
      picture({ ...made, fileName: "b.mp4", contentType: "video/mp4", expiresAt: clock.now() + 60_000 }),
      Buffer.of(1),
    );
    assert.equal(output.endpointId, "test/echo");
    assert.equal((await files.find(output.path))?.endpointId, "test/echo");
    clock.advance(10_000);
    await files.create(picture({ fileName: "c.json", contentType: "application/json" }), Buffer.of(1));
    const names = async (filter: object): Promise<string> =>
      (await files.list({ limit: 50, ...filter })).files.map((file) => file.fileName).join(" ");
    assert.equal(await names({ media: "image" }), "a.png");
    assert.equal(await names({ media: "video" }), "b.mp4");
    assert.equal(await names({ media: "audio" }), "");
    assert.equal(await names({ media: "other" }), "c.json");
    assert.equal(await names({ endpointIds: ["test/other", "test/echo"] }), "b.mp4");
    assert.equal(await names({ endpointIds: [] }), "");
    assert.equal(await names({ startAt: startAt + 5_000 }), "c.json b.mp4");
    assert.equal(await names({ endAt: startAt + 5_000 }), "a.png");
    assert.equal(await names({ isKept: true }), "c.json a.png");
    assert.equal(await names({ isKept: false }), "b.mp4");
    assert.equal(await names({ expiresBefore: clock.now() + 30_000 }), "");
    assert.equal(await names({ expiresBefore: clock.now() + 90_000 }), "b.mp4");
  });

  check("a file's expiry is set, moved and taken away, but not of one that has expired", async () => {
    await using storage = await open();
    const { files, clock } = storage;
    const { path } = await files.create(picture(), Buffer.of(1));
    assert.equal(await files.setExpiry(path, clock.now() + 60_000.4), true);
    assert.equal(await files.setExpiry(path, null), true);
    clock.advance(120_000);
    assert.ok(await files.find(path));
    assert.equal(await files.setExpiry(path, clock.now() + 60_000), true);
    clock.advance(120_000);
    assert.equal(await files.find(path), undefined);
    assert.equal(await files.setExpiry(path, null), false);
    assert.equal(await files.setExpiry("files/b/00000000/none", null), false);
  });

  check(
    "a choice of files is kept for an hour, over a restart, and packed as a ZIP of known length",
    async () => {
      const first = await open();
      const one = await first.files.create(picture({ fileName: "../a/fox.png" }), Buffer.from("one"));
      const two = await first.files.create(picture({ fileName: "fox.png" }), Buffer.from("two"));
      const again = await first.files.create(picture({ fileName: "fox.png" }), Buffer.alloc(0));
      const { id } = await createArchiveStore(first).create(
        alice,
        [one, two, again].map(({ path }) => path),
      );
      await using storage = await first.reopen();
      const archives = createArchiveStore(storage);
      const found = await archives.find(id);
      assert.deepEqual(found?.paths, [one.path, two.path, again.path]);
      assert.equal(found?.accountId, alice);
      const zip = new Response(zipFiles(storage.files, [one, two, again]));
      const bytes = Buffer.from(await zip.arrayBuffer());
      assert.equal(BigInt(bytes.length), measureZip([one, two, again]));
      assert.deepEqual(unzipStored(bytes), { "fox.png": "one", "fox-2.png": "two", "fox-3.png": "" });
      await storage.files.remove(two.path);
      await assert.rejects(new Response(zipFiles(storage.files, [one, two])).arrayBuffer());
      for (const wrong of ["nothing", "\0", `${id}\0`]) assert.equal(await archives.find(wrong), undefined);
      storage.clock.advance(2 * 3_600_000);
      assert.equal(await archives.find(id), undefined);
    },
  );

  check("a ZIP that nobody reads to its end leaves no file open", async () => {
    const opened: Readable[] = [];
    const closed: Promise<unknown>[] = [];
    await using storage = await open();
    const store: Pick<FileStore, "open"> = {
      async open(file) {
        const content = await storage.files.open(file);
        if (content !== undefined) {
          opened.push(content);
          closed.push(new Promise((resolve) => content.once("close", resolve)));
        }
        return content;
      },
    };
    const bytes = Buffer.alloc(4 * 1024 * 1024, 1);
    const big = await storage.files.create(picture({ fileName: "big.png" }), bytes);
    const reader = zipFiles(store, [big, big]).getReader();
    for (let got = 0; got < 100_000; ) got += (await reader.read()).value?.byteLength ?? 0;
    await reader.cancel(new Error("The caller left."));
    assert.equal(opened.length, 1);
    await Promise.all(closed);
    assert.ok(opened[0]?.destroyed);
  });

  check(
    "rules that name nobody are dropped, those that name an account by nickname or id are kept",
    async () => {
      await using storage = await open();
      const { files, database } = storage;
      const carol = await insertAccount(database, "carol");
      const rules = [
        { user: "carol", decision: "allow" },
        { user: carol, decision: "forbid" },
        { user: "nobody", decision: "allow" },
      ] as const;
      const file = await files.create(picture({ acl: { default: "hide", rules } }), Buffer.of(1));
      assert.deepEqual(file.acl, { default: "hide", rules: rules.slice(0, 2) });
      assert.deepEqual((await files.find(file.path))?.acl, file.acl);
      assert.equal(await files.setAcl(file.path, { default: "forbid", rules: [rules[2]] }), true);
      assert.deepEqual((await files.find(file.path))?.acl, { default: "forbid", rules: [] });
      assert.equal(await files.setAcl("files/b/00000000/none", { default: "allow", rules: [] }), false);
    },
  );

  check("a write that fails leaves no row and no blob", async () => {
    await using storage = await open();
    const { files, blobs } = storage;
    await assert.rejects(files.create(picture(), Buffer.alloc(100), { maxBytes: 10 }));
    const failing = async function* (): AsyncGenerator<Uint8Array> {
      yield Buffer.alloc(10);
      throw new Error("gone");
    };
    await assert.rejects(files.create(picture(), failing()), /gone/);
    assert.deepEqual((await files.list({ limit: 10 })).files, []);
    assert.deepEqual(await listBlobKeys(blobs), []);
  });

  check("a blob whose row could not be written is removed again", async () => {
    await using storage = await open();
    const { blobs, database, clock } = storage;
    const broken = createFileStore({
      blobs,
      clock,
      logger: silentLogger,
      database: {
        ...database,
        dialect: "sqlite",
        read: database.read.bind(database),
        transaction: fail,
      } as never,
    });
    await assert.rejects(broken.create(picture(), Buffer.of(1)), /disk full/);
    assert.deepEqual(await listBlobKeys(blobs), []);
  });

  check("blobs without a row and rows without a blob are collected once they are old", async () => {
    await using storage = await open();
    const { files, blobs, clock } = storage;
    const kept = await files.create(picture(), Buffer.from("kept"));
    const broken = await files.create(picture(), Buffer.alloc(9));
    await blobs.remove(broken.blobKey);
    await blobs.put("files/0123456789abcdef0123456789abcdef", Buffer.from("orphan"));
    await blobs.put("parts/0123456789abcdef0123456789abcdef", Buffer.from("orphan"));
    await blobs.put("payloads/not-ours", Buffer.from("someone else's"));
    assert.equal(await files.collect(), 0);
    clock.advance(2 * 3_600_000);
    await blobs.put("files/fresh", Buffer.from("waits for its row"));
    await makeRecent(storage, "files/fresh");
    assert.equal(await files.collect(), 3);
    assert.deepEqual(await listBlobKeys(blobs), ["files/fresh", kept.blobKey, "payloads/not-ours"].sort());
    assert.equal(await files.find(broken.path), undefined);
    assert.equal(await files.getStoredBytes(alice), 4);
    assert.equal(await files.collect(), 0);
  });

  check(
    "nothing is collected when most of it seems lost: a folder that is not mounted must not cost the records",
    async () => {
      await using storage = await open();
      const { files, blobs, clock } = storage;
      for (let n = 0; n < 12; n += 1) {
        const file = await files.create(picture(), Buffer.of(n));
        await blobs.remove(file.blobKey);
        await blobs.put(`files/${n}`, Buffer.of(n));
      }
      clock.advance(2 * 3_600_000);
      assert.equal(await files.collect(), 0);
      assert.equal((await files.list({ limit: 50 })).files.length, 12);
      assert.equal((await listBlobKeys(blobs)).length, 12);
    },
  );
}

/** Names and contents by the directory at the end, as an unpacking program reads them. */
function unzipStored(zip: Buffer): Readonly<Record<string, string>> {
  const end = zip.lastIndexOf(Buffer.from("PK\x05\x06", "latin1"));
  const contents: Record<string, string> = {};
  let at = zip.readUInt32LE(end + 16);
  for (let count = zip.readUInt16LE(end + 10); count > 0; count--) {
    const [nameLength, extraLength] = [zip.readUInt16LE(at + 28), zip.readUInt16LE(at + 30)];
    const name = zip.toString("utf8", at + 46, at + 46 + nameLength);
    const size = zip.readUInt32LE(at + 24);
    const local = zip.readUInt32LE(at + 42);
    const start = local + 30 + zip.readUInt16LE(local + 26) + zip.readUInt16LE(local + 28);
    contents[name] = zip.toString("utf8", start, start + size);
    assert.equal(zip.readUInt32LE(at + 16), crc32(zip.subarray(start, start + size)));
    at += 46 + nameLength + extraLength + zip.readUInt16LE(at + 32);
  }
  return contents;
}

function fail(): Promise<never> {
  return Promise.reject(new Error("disk full"));
}

/** Gives the blob the test clock's time, which runs ahead of the disk's. */
async function makeRecent({ dir, blobs, clock }: TestStorage, key: string): Promise<void> {
  assert.ok(await blobs.find(key));
  const name = key.slice("files/".length);
  for (const shard of await readdir(join(dir, "blobs", "files"))) {
    const names = await readdir(join(dir, "blobs", "files", shard));
    const time = clock.now() / 1000;
    if (names.includes(name)) await utimes(join(dir, "blobs", "files", shard, name), time, time);
  }
}
