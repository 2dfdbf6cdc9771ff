import assert from "node:assert/strict";
import { createHash, randomBytes } from "node:crypto";
import { test } from "node:test";
import type { AccountId } from "../../ids.ts";
import { BlobTooLargeError } from "../blob-store.ts";
import { PUBLIC_ACL } from "../file-acl.ts";
import { MULTIPART_LIFETIME_MS, type NewUpload, UPLOAD_LIFETIME_MS } from "../upload-store.ts";
import { listBlobKeys, type TestStorage } from "./open-test-storage.ts";

const alice = "alice" as AccountId;

function upload(kind: NewUpload["kind"], fields: Partial<NewUpload> = {}): NewUpload {
  return {
    accountId: alice,
    fileName: "cat.png",
    contentType: "image/png",
    kind,
    expiresAfterMs: null,
    acl: PUBLIC_ACL,
    maxBytes: null,
    ...fields,
  };
}

const sha256 = (bytes: Uint8Array): string => createHash("sha256").update(bytes).digest("hex");

/** What the upload store does on every database. */
export function testUploadStore(name: string, open: () => Promise<TestStorage>): void {
  const check = (title: string, body: () => Promise<void>): void => {
    test(`${name}: ${title}`, { timeout: 60_000 }, body);
  };

  check("a promised path is empty until the bytes are there, and is written once", async () => {
    await using storage = await open();
    const { uploads, files, blobs } = storage;
    const begun = await uploads.begin(upload("single"));
    assert.equal(await files.find(begun.path), undefined);
    const file = await uploads.write(begun, Buffer.from("picture"));
    assert.ok(file !== "closed");
    assert.equal(file.path, begun.path);
    assert.deepEqual(await files.find(begun.path), file);
    assert.equal(await uploads.write(begun, Buffer.from("another")), "closed");
    const found = await uploads.find(begun.id);
    assert.equal(found?.isComplete, true);
    assert.equal(await uploads.write(found ?? begun, Buffer.from("another")), "closed");
    assert.equal(Buffer.from((await files.read(file)) ?? []).toString(), "picture");
    assert.deepEqual(await listBlobKeys(blobs), [file.blobKey]);
  });

  check("of two writers at once one wins and the other leaves nothing", async () => {
    await using storage = await open();
    const { uploads, files, blobs } = storage;
    const begun = await uploads.begin(upload("single"));
    const outcomes = await Promise.all(
      [1, 2, 3, 4].map((n) => uploads.write(begun, Buffer.alloc(50_000, n))),
    );
    const stored = outcomes.filter((outcome) => outcome !== "closed");
    assert.equal(stored.length, 1);
    assert.equal((await listBlobKeys(blobs)).length, 1);
    assert.equal(await files.getStoredBytes(alice), 50_000);
  });

  check("an upload expires, and is told apart from an unknown one until it is collected", async () => {
    await using storage = await open();
    const { uploads, files, clock, blobs } = storage;
    const single = await uploads.begin(upload("single"));
    const multi = await uploads.begin(upload("multipart"));
    await uploads.writePart(multi, 1, Buffer.alloc(10));
    clock.advance(UPLOAD_LIFETIME_MS + 1);
    assert.equal(await uploads.write(single, Buffer.of(1)), "closed");
    assert.ok((await uploads.writePart(multi, 2, Buffer.of(1))) !== "closed");
    clock.advance(MULTIPART_LIFETIME_MS);
    assert.equal(await uploads.writePart(multi, 3, Buffer.of(1)), "closed");
    assert.ok(await uploads.find(multi.id));
    clock.advance(2 * 3_600_000);
    assert.equal(await files.getStoredBytes(alice), 11);
    assert.ok((await files.collect()) >= 2);
    assert.equal(await uploads.find(multi.id), undefined);
    assert.equal(await files.getStoredBytes(alice), 0);
    assert.deepEqual(await listBlobKeys(blobs), []);
  });

  check("parts in any order and over a restart make one whole file", async () => {
    let storage = await open();
    const chunks = [randomBytes(700_000), randomBytes(1), randomBytes(300_000), new Uint8Array()];
    const begun = await storage.uploads.begin(
      upload("multipart", { expiresAfterMs: 60_000, acl: { default: "hide", rules: [] } }),
    );
    for (const n of [3, 1]) await storage.uploads.writePart(begun, n, chunks[n - 1] ?? Buffer.of());
    storage = await storage.reopen();
    await using last = storage;
    const again = await last.uploads.find(begun.id);
    assert.deepEqual(again, begun);
    assert.ok(again !== undefined);
    for (const n of [4, 2]) await last.uploads.writePart(again, n, chunks[n - 1] ?? Buffer.of());
    const given = [2, 4, 1, 3].map((partNumber) => ({ partNumber, sha256: sha256(chunks[partNumber - 1]!) }));
    assert.deepEqual(await last.uploads.complete(again, given), { kind: "complete", path: begun.path });
    const file = await last.files.find(begun.path);
    assert.ok(file !== undefined);
    assert.deepEqual(Buffer.from((await last.files.read(file)) ?? []), Buffer.concat(chunks));
    const hashes = chunks.map((bytes) => sha256(bytes)).join("");
    assert.equal(file.sha256, `${sha256(Buffer.from(hashes, "hex"))}-4`);
    assert.deepEqual(file.acl, { default: "hide", rules: [] });
    assert.ok(Math.abs((file.expiresAt ?? 0) - last.clock.now() - 60_000) < 5_000);
    assert.deepEqual(await listBlobKeys(last.blobs), [file.blobKey]);
    // Again, as a caller does whose connection broke before the answer.
    const found = await last.uploads.find(begun.id);
    assert.deepEqual(found && (await last.uploads.complete(found, given)), {
      kind: "complete",
      path: begun.path,
    });
  });

  check(
    "a completion names the part that is missing, listed twice apart, or other than was said",
    async () => {
      await using storage = await open();
      const { uploads, files } = storage;
      const begun = await uploads.begin(upload("multipart"));
      await uploads.writePart(begun, 1, Buffer.of(1));
      await uploads.writePart(begun, 3, Buffer.of(3));
      const complete = (numbers: number[]): Promise<unknown> =>
        uploads.complete(
          begun,
          numbers.map((partNumber) => ({ partNumber })),
        );
      assert.deepEqual(await complete([]), { kind: "missing_part", partNumber: 1 });
      assert.deepEqual(await complete([1, 2, 3]), { kind: "missing_part", partNumber: 2 });
      assert.deepEqual(await complete([1, 3]), { kind: "missing_part", partNumber: 2 });
      assert.deepEqual(await complete([3]), { kind: "missing_part", partNumber: 1 });
      assert.deepEqual(await uploads.complete(begun, [{ partNumber: 1, sha256: "0".repeat(64) }]), {
        kind: "changed_part",
        partNumber: 1,
      });
      assert.equal(await files.find(begun.path), undefined);
      assert.deepEqual(await complete([1]), { kind: "complete", path: begun.path });
    },
  );

  check("a part written again replaces the earlier one", async () => {
    await using storage = await open();
    const { uploads, files, blobs } = storage;
    const begun = await uploads.begin(upload("multipart"));
    await uploads.writePart(begun, 1, Buffer.from("first"));
    await uploads.writePart(begun, 1, Buffer.from("second"));
    assert.equal((await listBlobKeys(blobs)).length, 1);
    await uploads.complete(begun, [{ partNumber: 1 }]);
    const file = await files.find(begun.path);
    assert.equal(file && Buffer.from((await files.read(file)) ?? []).toString(), "second");
  });

  check("completions at once and parts beside them end in one whole file", async () => {
    await using storage = await open();
    const { uploads, files, blobs } = storage;
    for (let round = 0; round < 5; round += 1) {
      const begun = await uploads.begin(upload("multipart"));
      const chunks = Array.from({ length: 6 }, (_, n) => Buffer.alloc(100_000, n + 1));
      await Promise.all(chunks.map((bytes, index) => uploads.writePart(begun, index + 1, bytes)));
      const given = chunks.map((_, index) => ({ partNumber: index + 1 }));
      const [, ...outcomes] = await Promise.all([
        uploads.writePart(begun, 6, Buffer.alloc(100_000, 6)),
        ...Array.from({ length: 4 }, () => uploads.complete(begun, given)),
      ]);
      const settled = outcomes.some((outcome) => typeof outcome === "object" && "kind" in outcome);
      assert.ok(settled);
      const found = await uploads.find(begun.id);
      if (found?.isComplete !== true) await uploads.complete(begun, given);
      const file = await files.find(begun.path);
      assert.ok(file !== undefined);
      assert.deepEqual(Buffer.from((await files.read(file)) ?? []), Buffer.concat(chunks));
    }
    assert.equal((await listBlobKeys(blobs)).length, 5);
    assert.equal(await files.getStoredBytes(alice), 5 * 600_000);
  });

  check("parts together may not be larger than the limit", async () => {
    await using storage = await open();
    const { uploads } = storage;
    const begun = await uploads.begin(upload("multipart"));
    const limit = { maxBytes: 1_000 };
    await uploads.writePart(begun, 1, Buffer.alloc(600), limit);
    await assert.rejects(uploads.writePart(begun, 2, Buffer.alloc(600), limit), BlobTooLargeError);
    await uploads.writePart(begun, 2, Buffer.alloc(400), limit);
    assert.deepEqual(await uploads.complete(begun, [{ partNumber: 1 }, { partNumber: 2 }], limit), {
      kind: "complete",
      path: begun.path,
    });
  });
}
