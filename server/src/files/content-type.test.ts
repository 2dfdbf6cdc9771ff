import assert from "node:assert/strict";
import { randomBytes } from "node:crypto";
import { test } from "node:test";
import {
  createSafeFileName,
  findContentType,
  normalizeContentType,
  sniffContentType,
} from "./content-type.ts";

test("a stored name keeps what is safe and gets the extension of its content type", () => {
  const cases: readonly (readonly [name: string, type: string, expected: string])[] = [
    ["cat.png", "image/png", "cat.png"],
    ["cat.JPG", "image/jpeg", "cat.jpg"],
    ["cat.jpeg", "image/png", "cat.png"],
    ["cat", "image/png", "cat.png"],
    ["1700000000000.plain", "text/plain", "1700000000000.plain"],
    ["1700000000000.svg+xml", "image/svg+xml", "1700000000000.svg_xml"],
    ["1700000000000.x", "audio/x-wav", "1700000000000.x.wav"],
    ["upload.bin", "application/octet-stream", "upload.bin"],
    ["notes.v2", "text/plain; charset=utf-8", "notes.v2.txt"],
    ["weights.safetensors", "application/octet-stream", "weights.safetensors"],
    ["../../etc/passwd", "application/octet-stream", "passwd"],
    ["C:\\Users\\me\\cat.png", "image/png", "cat.png"],
    ["käse brot.png", "image/png", "k_se_brot.png"],
    [".htaccess", "application/octet-stream", "file.htaccess"],
    ["", "image/webp", "file.webp"],
    ["日本.png", "image/png", "file.png"],
    ["a\0b\n.png", "image/png", "a_b_.png"],
  ];
  for (const [name, type, expected] of cases) assert.equal(createSafeFileName(name, type), expected, name);
});

test("a stored name is never longer than 100 characters, never empty and never anything but safe", () => {
  for (let round = 0; round < 2_000; round += 1) {
    const name = randomBytes(round % 300).toString(round % 2 === 0 ? "latin1" : "base64");
    const type = ["image/png", "application/octet-stream", "text/html", "x/y"][round % 4] ?? "";
    const safe = createSafeFileName(name, type);
    assert.match(safe, /^[A-Za-z0-9._-]{1,100}$/);
    if (type === "image/png") assert.match(safe, /\.png$/);
  }
  assert.equal(createSafeFileName("x".repeat(500), "image/png").length, 100);
});

test("the content type of a name is known by its extension", () => {
  assert.equal(findContentType("a.PNG"), "image/png");
  assert.equal(findContentType("a.wav"), "audio/wav");
  assert.equal(findContentType("a.mp4"), "video/mp4");
  assert.equal(findContentType("a"), undefined);
  assert.equal(findContentType("a.unheard"), undefined);
});

test("a declared content type that cannot stand in a header is not kept", () => {
  assert.equal(normalizeContentType("image/png"), "image/png");
  assert.equal(normalizeContentType(" text/html; charset=utf-8 "), "text/html; charset=utf-8");
  for (const text of [
    null,
    undefined,
    "",
    "png",
    "image/png\r\nx: y",
    "a/b; <script>",
    `a/${"b".repeat(300)}`,
  ])
    assert.equal(normalizeContentType(text), "application/octet-stream");
});

test("content is recognised by its first bytes", () => {
  const ftyp = (brand: string): Buffer => Buffer.from(`\0\0\0\x18ftyp${brand}\0\0\0\0`, "latin1");
  const cases: readonly (readonly [Uint8Array, string | undefined])[] = [
    [Buffer.from("\x89PNG\r\n\x1a\n\0\0", "latin1"), "image/png"],
    [Buffer.of(0xff, 0xd8, 0xff, 0xe0), "image/jpeg"],
    [Buffer.from("GIF89a"), "image/gif"],
    [Buffer.from("RIFF\0\0\0\0WEBPVP8 "), "image/webp"],
    [Buffer.from("RIFF\0\0\0\0WAVEfmt "), "audio/wav"],
    [ftyp("avif"), "image/avif"],
    [ftyp("heic"), "image/heic"],
    [ftyp("isom"), "video/mp4"],
    [ftyp("qt  "), "video/quicktime"],
    [Buffer.of(0xff, 0xfb, 0x90, 0x44), "audio/mpeg"],
    [Buffer.from("ID3\x04"), "audio/mpeg"],
    [
      Buffer.from('<?xml version="1.0"?>\n<!-- x --><svg xmlns="http://www.w3.org/2000/svg">'),
      "image/svg+xml",
    ],
    [Buffer.from("  <SVG>"), "image/svg+xml"],
    [Buffer.from("<!DOCTYPE html><html>"), "text/html"],
    [Buffer.from("%PDF-1.7"), "application/pdf"],
    [Buffer.from("PK\x03\x04"), "application/zip"],
    [Buffer.from("hello"), undefined],
    [new Uint8Array(), undefined],
  ];
  for (const [bytes, expected] of cases) assert.equal(sniffContentType(bytes), expected);
});

test("recognising content takes no time on any bytes", () => {
  const startedAt = performance.now();
  for (let round = 0; round < 2_000; round += 1) sniffContentType(randomBytes(600));
  sniffContentType(Buffer.from("<!--".repeat(10_000)));
  sniffContentType(Buffer.from(`<?xml ${" ".repeat(100_000)}`));
  assert.ok(performance.now() - startedAt < 2_000);
});
