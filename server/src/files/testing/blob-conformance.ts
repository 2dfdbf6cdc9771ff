import assert from "node:assert/strict";
import { createHash, randomBytes } from "node:crypto";
import { buffer } from "node:stream/consumers";
import { test } from "node:test";
import { type BlobInfo, BlobMissingError, type BlobStore, BlobTooLargeError } from "../blob-store.ts";

/** A store under test, empty, and how to give it back. */
export interface BlobFixture extends AsyncDisposable {
  readonly blobs: BlobStore;
}

/** What every {@link BlobStore} does, whatever it keeps its bytes in. */
export function testBlobStore(name: string, openFixture: () => Promise<BlobFixture>): void {
  const check = (title: string, body: (blobs: BlobStore) => Promise<void>): void => {
    test(`${name}: ${title}`, { timeout: 60_000 }, async () => {
      await using fixture = await openFixture();
      await body(fixture.blobs);
    });
  };

  check("a blob is read back as it was written", async (blobs) => {
    const bytes = randomBytes(100_000);
    const info = await blobs.put("a/b/one", bytes);
    assert.equal(info.size, bytes.length);
    assert.equal(info.sha256, createHash("sha256").update(bytes).digest("hex"));
    assert.deepEqual(Buffer.from((await blobs.read("a/b/one")) ?? []), bytes);
    assert.equal((await blobs.find("a/b/one"))?.size, bytes.length);
    assert.ok(Math.abs(info.modifiedAt - Date.now()) < 60_000);
  });

  check("a stream of many chunks arrives whole and in order", async (blobs) => {
    const chunks = Array.from({ length: 500 }, () => randomBytes(1 + Math.floor(Math.random() * 20_000)));
    await blobs.put("streamed", toStream(chunks));
    const stored = await blobs.open("streamed");
    assert.ok(stored !== undefined);
    assert.ok((await buffer(stored)).equals(Buffer.concat(chunks)));
  });

  check("a blob of no bytes is a blob", async (blobs) => {
    await blobs.put("empty", new Uint8Array());
    assert.equal((await blobs.read("empty"))?.length, 0);
    assert.equal((await blobs.find("empty"))?.size, 0);
  });

  check("a range is inclusive on both ends", async (blobs) => {
    await blobs.put("digits", Buffer.from("0123456789"));
    for (const [start, end, expected] of [
      [0, 0, "0"],
      [2, 5, "2345"],
      [9, 9, "9"],
      [0, 9, "0123456789"],
    ] as const) {
      const part = await blobs.open("digits", { start, end });
      assert.ok(part !== undefined);
      assert.equal((await buffer(part)).toString(), expected);
    }
  });

  check("what is absent is undefined", async (blobs) => {
    assert.equal(await blobs.open("none"), undefined);
    assert.equal(await blobs.read("none"), undefined);
    assert.equal(await blobs.find("none"), undefined);
    assert.equal(await blobs.remove("none"), false);
  });

  check("writing an existing key replaces it", async (blobs) => {
    await blobs.put("k", Buffer.from("old and long"));
    await blobs.put("k", Buffer.from("new"));
    assert.equal(Buffer.from((await blobs.read("k")) ?? []).toString(), "new");
  });

  check("a removed blob is gone", async (blobs) => {
    await blobs.put("k", Buffer.from("x"));
    assert.equal(await blobs.remove("k"), true);
    assert.equal(await blobs.read("k"), undefined);
    assert.equal(await blobs.remove("k"), false);
  });

  check("a key may be the prefix of another", async (blobs) => {
    await blobs.put("a", Buffer.from("1"));
    await blobs.put("a/b", Buffer.from("2"));
    await blobs.put("a/b/c", Buffer.from("3"));
    for (const [key, text] of [
      ["a", "1"],
      ["a/b", "2"],
      ["a/b/c", "3"],
    ] as const)
      assert.equal(Buffer.from((await blobs.read(key)) ?? []).toString(), text);
  });

  check("list gives exactly the keys with the prefix", async (blobs) => {
    const keys = ["files/x1", "files/x2", "files/deep/y", "filesystem/z", "parts/p", "top"];
    for (const key of keys) await blobs.put(key, Buffer.from(key));
    const listed = async (prefix: string): Promise<string[]> => {
      const found: BlobInfo[] = [];
      for await (const info of blobs.list(prefix)) found.push(info);
      for (const info of found) assert.equal(info.size, info.key.length);
      return found.map((info) => info.key).sort();
    };
    assert.deepEqual(await listed(""), [...keys].sort());
    assert.deepEqual(await listed("files/"), ["files/deep/y", "files/x1", "files/x2"]);
    assert.deepEqual(await listed("files/x"), ["files/x1", "files/x2"]);
    assert.deepEqual(await listed("files"), ["files/deep/y", "files/x1", "files/x2", "filesystem/z"]);
    assert.deepEqual(await listed("nothing/"), []);
  });

  check("content over the limit is refused and leaves nothing", async (blobs) => {
    const endless = async function* (): AsyncGenerator<Uint8Array> {
      while (true) yield randomBytes(10_000);
    };
    await assert.rejects(
      blobs.put("big", endless(), { maxBytes: 1_000_000 }),
      (error) => error instanceof BlobTooLargeError && error.maxBytes === 1_000_000,
    );
    await assert.rejects(blobs.put("big", randomBytes(11), { maxBytes: 10 }), BlobTooLargeError);
    assert.equal(await blobs.find("big"), undefined);
    await blobs.put("fits", randomBytes(10), { maxBytes: 10 });
  });

  check("a source that fails leaves nothing, and keeps what was there", async (blobs) => {
    await blobs.put("k", Buffer.from("before"));
    const failing = async function* (): AsyncGenerator<Uint8Array> {
      yield randomBytes(500_000);
      throw new Error("the line went dead");
    };
    await assert.rejects(blobs.put("k", failing()), /the line went dead/);
    await assert.rejects(blobs.put("fresh", failing()), /the line went dead/);
    assert.equal(Buffer.from((await blobs.read("k")) ?? []).toString(), "before");
    assert.equal(await blobs.find("fresh"), undefined);
  });

  check(
    "an aborted write ends at once, even when its source is silent, and leaves nothing",
    async (blobs) => {
      const controller = new AbortController();
      const silent = async function* (): AsyncGenerator<Uint8Array> {
        yield randomBytes(100);
        await new Promise((resolve) => setTimeout(resolve, 5_000).unref());
      };
      setTimeout(() => controller.abort(new Error("enough")), 50);
      const startedAt = performance.now();
      await assert.rejects(blobs.put("k", silent(), { signal: controller.signal }), /enough/);
      assert.ok(performance.now() - startedAt < 3_000);
      assert.equal(await blobs.find("k"), undefined);
    },
  );

  check("many writers at once do not disturb each other", async (blobs) => {
    const contents = Array.from({ length: 40 }, (_, index) => ({
      key: `many/blob-${index}`,
      bytes: randomBytes(index * 997),
    }));
    await Promise.all(contents.map(({ key, bytes }) => blobs.put(key, bytes)));
    await Promise.all(
      contents.map(async ({ key, bytes }) =>
        assert.ok(bytes.equals((await blobs.read(key)) ?? Buffer.of(1))),
      ),
    );
  });

  check("a joined blob is its pieces in order, of any size, and no longer needs them", async (blobs) => {
    const pieces = [6_000_000, 0, 1, 70_000, 5_300_000, 0, 12].map((size, index) => ({
      key: `parts/piece-${index}`,
      bytes: randomBytes(size),
    }));
    for (const { key, bytes } of pieces) await blobs.put(key, bytes);
    const sources = pieces.map(({ key, bytes }) => ({ key, size: bytes.length }));
    const whole = Buffer.concat(pieces.map(({ bytes }) => bytes));
    const info = await blobs.join("files/joined", sources);
    assert.equal(info.size, whole.length);
    for (const { key } of pieces) assert.equal(await blobs.remove(key), true);
    assert.equal((await blobs.find("files/joined"))?.size, whole.length);
    assert.ok(whole.equals((await blobs.read("files/joined")) ?? Buffer.of()));
    for (const [start, end] of [
      [0, 0],
      [5_999_999, 6_000_001],
      [6_000_000, 6_000_000],
      [6_000_002, 6_070_500],
      [100, whole.length - 2],
      [whole.length - 13, whole.length - 1],
    ] as const) {
      const part = await blobs.open("files/joined", { start, end });
      assert.ok(part !== undefined);
      assert.ok((await buffer(part)).equals(whole.subarray(start, end + 1)), `${start}-${end}`);
    }
    const keys: string[] = [];
    for await (const { key, size } of blobs.list("")) keys.push(`${key} ${size}`);
    assert.deepEqual(keys, [`files/joined ${whole.length}`]);
    assert.equal(await blobs.remove("files/joined"), true);
    assert.equal(await blobs.find("files/joined"), undefined);
    assert.equal(await blobs.open("files/joined"), undefined);
    assert.equal(await blobs.remove("files/joined"), false);
  });

  check("a blob may be joined of nothing, of joined blobs, and in place of another", async (blobs) => {
    await blobs.put("a", Buffer.from("one "));
    await blobs.put("b", Buffer.from("two "));
    const read = async (key: string): Promise<string> =>
      Buffer.from((await blobs.read(key)) ?? []).toString();
    const [a, b] = [
      { key: "a", size: 4 },
      { key: "b", size: 4 },
    ];
    await blobs.join("none", []);
    assert.equal((await blobs.find("none"))?.size, 0);
    await blobs.join("ab", [a, b]);
    await blobs.join("aba", [{ key: "ab", size: 8 }, a]);
    assert.equal(await read("aba"), "one two one ");
    await blobs.join("aba", [b, b]);
    assert.equal(await read("aba"), "two two ");
    await blobs.put("aba", Buffer.from("plain"));
    assert.equal(await read("aba"), "plain");
    await blobs.join("aba", [a]);
    assert.equal(await read("aba"), "one ");
  });

  check("a join of a piece that is gone, or that is aborted, leaves nothing", async (blobs) => {
    await blobs.put("there", randomBytes(6_000_000));
    const sources = [
      { key: "there", size: 6_000_000 },
      { key: "gone", size: 6_000_000 },
    ];
    await assert.rejects(
      blobs.join("joined", sources),
      (error) => error instanceof BlobMissingError && error.key === "gone",
    );
    await assert.rejects(blobs.join("joined", [{ key: "gone", size: 3 }, ...sources]), BlobMissingError);
    await assert.rejects(
      blobs.join("joined", sources, { signal: AbortSignal.abort(new Error("enough")) }),
      /enough/,
    );
    assert.equal(await blobs.find("joined"), undefined);
    const keys: string[] = [];
    for await (const { key } of blobs.list("")) keys.push(key);
    assert.deepEqual(keys, ["there"]);
  });

  check("racing writers of one key leave one of their contents, whole", async (blobs) => {
    const contents = Array.from({ length: 8 }, (_, index) => Buffer.alloc(300_000, index));
    await Promise.all(contents.map((bytes) => blobs.put("raced", bytes)));
    const stored = Buffer.from((await blobs.read("raced")) ?? []);
    assert.ok(contents.some((bytes) => bytes.equals(stored)));
  });

  check("keys that leave the store are refused", async (blobs) => {
    for (const key of ["", "../x", "a//b", "/a", "a/", "A", "a.b", "a\\b", "=ab", "a\0"])
      await assert.rejects(async () => blobs.put(key, Buffer.of(1)), TypeError, JSON.stringify(key));
  });

  check("free space is a number or unlimited", async (blobs) => {
    const free = await blobs.getFreeBytes();
    assert.ok(free === undefined || free > 0);
  });
}

async function* toStream(chunks: readonly Uint8Array[]): AsyncGenerator<Uint8Array> {
  for (const chunk of chunks) {
    await Promise.resolve();
    yield chunk;
  }
}
