import assert from "node:assert/strict";
import { test } from "node:test";
import { parseByteRange } from "./byte-range.ts";

test("a single range is inclusive on both ends and cut at the size", () => {
  assert.deepEqual(parseByteRange("bytes=0-0", 10), { start: 0, end: 0 });
  assert.deepEqual(parseByteRange("bytes=2-5", 10), { start: 2, end: 5 });
  assert.deepEqual(parseByteRange("bytes=2-", 10), { start: 2, end: 9 });
  assert.deepEqual(parseByteRange("bytes=2-500", 10), { start: 2, end: 9 });
  assert.deepEqual(parseByteRange("bytes=-3", 10), { start: 7, end: 9 });
  assert.deepEqual(parseByteRange("bytes=-300", 10), { start: 0, end: 9 });
  assert.deepEqual(parseByteRange("BYTES = 1-2 ", 10), { start: 1, end: 2 });
});

test("a range outside the content is unsatisfiable", () => {
  for (const header of ["bytes=10-", "bytes=10-20", "bytes=-0", `bytes=${"9".repeat(400)}-`])
    assert.equal(parseByteRange(header, 10), "unsatisfiable", header);
  for (const header of ["bytes=0-", "bytes=0-0", "bytes=-1"])
    assert.equal(parseByteRange(header, 0), "unsatisfiable", header);
});

test("what is not one range of bytes is ignored", () => {
  for (const header of [
    null,
    "",
    "bytes",
    "bytes=",
    "bytes=-",
    "bytes=5-2",
    "bytes=0-1,3-4",
    "items=0-1",
    "bytes=a-b",
  ])
    assert.equal(parseByteRange(header, 10), undefined, String(header));
});

test("no header makes a range that leaves the content", () => {
  const alphabet = [
    "0",
    "1",
    "9",
    "99999999999999999999",
    "-",
    "=",
    ",",
    " ",
    "bytes",
    "bytes=",
    "\t",
    "e5",
    "+",
  ];
  for (let round = 0; round < 20_000; round += 1) {
    const pick = (): string => alphabet[Math.floor(Math.random() * alphabet.length)] ?? "";
    const header = `${round % 3 === 0 ? "" : "bytes="}${Array.from({ length: round % 6 }, pick).join("")}`;
    const size = [0, 1, 10, 2 ** 40][round % 4] ?? 0;
    const range = parseByteRange(header, size);
    if (range === undefined || range === "unsatisfiable") continue;
    assert.ok(
      Number.isInteger(range.start) && range.start >= 0 && range.start <= range.end && range.end < size,
      header,
    );
  }
});
