import assert from "node:assert/strict";
import { randomBytes } from "node:crypto";
import { readdir, utimes } from "node:fs/promises";
import { join } from "node:path";
import { buffer } from "node:stream/consumers";
import { test } from "node:test";
import type { AccountId, RequestId } from "../../ids.ts";
import { silentLogger } from "../../logger.ts";
import { createFileStore } from "../create-file-store.ts";
import { FILE_PATH } from "../file-path.ts";
import type { NewFile } from "../file-store.ts";
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
    assert.deepEqual(await names({ cursor: "nonsense", accountId: bob }), ["b.png"]);
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
