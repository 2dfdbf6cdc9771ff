import assert from "node:assert/strict";
import { test } from "node:test";
import type { BlobSource } from "./blob-store.ts";
import { planPieces, type Slice } from "./plan-pieces.ts";

const MIB = 1024 ** 2;
const GIB = 1024 ** 3;

function describePieces(sizes: readonly number[]): string[] {
  const sources: BlobSource[] = sizes.map((size, index) => ({ key: String(index), size }));
  return planPieces(sources).map((piece) =>
    piece.kind === "copy" ? `copy ${describe(piece.slice)}` : `send ${piece.slices.map(describe).join(" ")}`,
  );
}

function describe({ key, start, end }: Slice): string {
  return `${key}:${start / MIB}+${(end + 1 - start) / MIB}`;
}

test("what is large enough, and the last, is copied as it is", () => {
  assert.deepEqual(describePieces([10 * MIB, 5 * MIB, 0, 1 * MIB]), [
    "copy 0:0+10",
    "copy 1:0+5",
    "copy 3:0+1",
  ]);
  assert.deepEqual(describePieces([1 * MIB]), ["copy 0:0+1"]);
  assert.deepEqual(describePieces([]), []);
  assert.deepEqual(describePieces([0, 0]), []);
});

test("what is too small is sent together with as much of the next as fills a part", () => {
  assert.deepEqual(describePieces([1 * MIB, 10 * MIB]), ["send 0:0+1 1:0+4", "copy 1:4+6"]);
  assert.deepEqual(describePieces([2 * MIB, 2 * MIB, 7 * MIB, 1 * MIB]), [
    "send 0:0+2 1:0+2 2:0+1",
    "copy 2:1+6",
    "copy 3:0+1",
  ]);
  assert.deepEqual(describePieces([1 * MIB, 1 * MIB]), ["send 0:0+1 1:0+1"]);
});

test("what is too large for one copy is copied in several, none of them too small", () => {
  assert.deepEqual(describePieces([12 * GIB]), ["copy 0:0+5120", "copy 0:5120+5120", "copy 0:10240+2048"]);
  assert.deepEqual(describePieces([5 * GIB + 1 * MIB, MIB]), [
    "copy 0:0+5116",
    "copy 0:5116+5",
    "copy 1:0+1",
  ]);
});

test("whatever the sizes, the pieces are all bytes in order, and only the last is small", () => {
  let seed = 7;
  const next = (limit: number): number => {
    seed = (seed * 1_103_515_245 + 12_345) % 2 ** 31;
    return seed % limit;
  };
  for (let round = 0; round < 500; round += 1) {
    const sizes = Array.from({ length: next(9) }, () => (next(3) === 0 ? next(20 * MIB) : next(3 * MIB)));
    const pieces = planPieces(sizes.map((size, index) => ({ key: String(index), size })));
    const slices = pieces.flatMap((piece) => (piece.kind === "copy" ? [piece.slice] : piece.slices));
    const read = sizes.map(() => 0);
    let last = -1;
    for (const { key, start, end } of slices) {
      assert.ok(Number(key) >= last);
      last = Number(key);
      assert.equal(start, read[last]);
      read[last] = end + 1;
    }
    assert.deepEqual(read, sizes);
    for (const piece of pieces.slice(0, -1)) {
      const all = piece.kind === "copy" ? [piece.slice] : piece.slices;
      assert.ok(all.reduce((sum, { start, end }) => sum + end + 1 - start, 0) >= 5 * MIB);
    }
  }
});
