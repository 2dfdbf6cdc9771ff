import assert from "node:assert/strict";
import { randomBytes } from "node:crypto";
import { test } from "node:test";
import { inspectImage } from "./inspect-image.ts";

const png = (width: number, height: number): Buffer => {
  const bytes = Buffer.alloc(40);
  bytes.write("\x89PNG\r\n\x1a\n\0\0\0\x0dIHDR", "latin1");
  bytes.writeUInt32BE(width, 16);
  bytes.writeUInt32BE(height, 20);
  return bytes;
};
const gif = Buffer.from("GIF89a\x02\x01\x03\0\0\0\0", "latin1");
const jpeg = Buffer.from(
  "ffd8" +
    "ffe00010" +
    "4a464946000101000001000100000000".slice(0, 28) +
    "ffff" +
    "c0000b0800100020010111003fd9",
  "hex",
);
const webp = (chunk: string, fields: string): Buffer =>
  Buffer.concat([
    Buffer.from(`RIFF\0\0\0\0WEBP${chunk}\0\0\0\0`, "latin1"),
    Buffer.from(fields, "hex"),
    Buffer.alloc(20),
  ]);
const bmp = (width: number, height: number): Buffer => {
  const bytes = Buffer.alloc(54);
  bytes.write("BM");
  bytes.writeUInt32LE(40, 14);
  bytes.writeInt32LE(width, 18);
  bytes.writeInt32LE(height, 22);
  return bytes;
};

test("width and height are read from the header", () => {
  const cases: readonly (readonly [Buffer, string, number, number])[] = [
    [png(640, 480), "image/png", 640, 480],
    [png(100_000, 100_000), "image/png", 100_000, 100_000],
    [png(2 ** 32 - 1, 2 ** 32 - 1), "image/png", 2 ** 32 - 1, 2 ** 32 - 1],
    [gif, "image/gif", 258, 3],
    [jpeg, "image/jpeg", 32, 16],
    [webp("VP8 ", `000000${"9d012a"}20001000`), "image/webp", 32, 16],
    [webp("VP8L", `2f${"1fc00300"}`), "image/webp", 32, 16],
    [webp("VP8X", `00000000${"1f0000"}${"0f0000"}`), "image/webp", 32, 16],
    [bmp(32, 16), "image/bmp", 32, 16],
    [bmp(32, -16), "image/bmp", 32, 16],
  ];
  for (const [bytes, contentType, width, height] of cases)
    assert.deepEqual(inspectImage(bytes), { kind: "image", contentType, width, height });
});

test("a picture whose header is cut off or impossible is broken, anything else unknown", () => {
  for (const bytes of [
    png(1, 1).subarray(0, 20),
    png(0, 5),
    gif.subarray(0, 8),
    jpeg.subarray(0, 20),
    bmp(-1, 1),
  ])
    assert.equal(inspectImage(bytes).kind, "broken");
  for (const bytes of [Buffer.from("<svg/>"), Buffer.from("hello"), Buffer.alloc(0), Buffer.from("%PDF-1.7")])
    assert.deepEqual(inspectImage(bytes), { kind: "unknown" });
});

test("no bytes make it fail or loop", () => {
  const seeds = [png(3, 4), gif, jpeg, webp("VP8X", "00"), bmp(1, 1)];
  for (let round = 0; round < 20_000; round += 1) {
    const seed = seeds[round % seeds.length]!;
    const bytes = Buffer.concat([
      seed.subarray(0, Math.floor(Math.random() * seed.length)),
      randomBytes(round % 50),
    ]);
    if (round % 3 === 0 && bytes.length > 0) bytes[Math.floor(Math.random() * bytes.length)] = round & 0xff;
    inspectImage(bytes);
  }
  const endless = Buffer.concat([Buffer.of(0xff, 0xd8), Buffer.alloc(5_000_000, 0xff)]);
  assert.equal(inspectImage(endless).kind, "broken");
});
