import assert from "node:assert/strict";
import { randomBytes } from "node:crypto";
import { test } from "node:test";
import { parseDataUri } from "./data-uri.ts";

test("data URIs are decoded as the many writers of them write them", () => {
  const cases: readonly (readonly [uri: string, type: string, content: string])[] = [
    ["data:,hello", "text/plain", "hello"],
    ["data:text/html,<b>%20x", "text/html", "<b> x"],
    ["DATA:Text/Plain;Base64,aGVsbG8=", "Text/Plain", "hello"],
    ["data:image/png;base64,aGVsbG8", "image/png", "hello"],
    ["data:image/png;base64,aGVs\nbG8=\n", "image/png", "hello"],
    ["data:image/png;base64,aGVsbG8%3D", "image/png", "hello"],
    ["data:text/plain;charset=utf-8;base64,aGVsbG8=", "text/plain;charset=utf-8", "hello"],
    ["data:text/plain;charset=utf-8,h%C3%A9", "text/plain;charset=utf-8", "hé"],
    ["data:,hé", "text/plain", "hé"],
    ["data:,100%", "text/plain", "100%"],
    ["data:;base64,", "text/plain", ""],
    ["data:x/y;base64,-_-_", "x/y", "\xfb\xff\xbf"],
  ];
  for (const [uri, type, content] of cases) {
    const parsed = parseDataUri(uri, 1_000);
    assert.ok(typeof parsed === "object", uri);
    assert.equal(parsed.contentType, type);
    const encoding = uri.startsWith("data:x/y") ? "latin1" : "utf8";
    assert.equal(Buffer.from(parsed.bytes).toString(encoding), content, uri);
  }
});

test("what is no data URI is malformed", () => {
  for (const uri of [
    "",
    "data:",
    "data:image/png;base64",
    "data",
    "http://x,y",
    "data:;base64,a",
    "data:;base64,a===",
    "data:;base64,a=b=",
    "data:;base64,äöü",
    "data:;base64,<svg>",
    "data:;base64,aGVsbG8=aGVsbG8=",
    "data:;base64,aGVsbG8==",
    `data:${"x".repeat(2_000)},y`,
  ])
    assert.equal(parseDataUri(uri, 1_000), "malformed", uri.slice(0, 50));
});

test("the limit is on the decoded bytes and exact", () => {
  const uri = (size: number): string => `data:;base64,${Buffer.alloc(size).toString("base64")}`;
  assert.equal(typeof parseDataUri(uri(1_000), 1_000), "object");
  assert.equal(parseDataUri(uri(1_001), 1_000), "too_large");
  assert.equal(parseDataUri(`data:,${"%41".repeat(1_001)}`, 1_000), "too_large");
  assert.equal(typeof parseDataUri(`data:,${"%41".repeat(1_000)}`, 1_000), "object");
  assert.equal(parseDataUri(`data:;base64,${"A".repeat(40_000_000)}`, 1_000), "too_large");
});

test("any text gives an answer, quickly", () => {
  const startedAt = performance.now();
  const pieces = [
    "data:",
    ";base64",
    ",",
    "=",
    "%",
    "%4",
    "%ff",
    "image/png",
    ";",
    "\0",
    "é",
    "\ud800",
    " ",
    "aGVs",
  ];
  for (let round = 0; round < 20_000; round += 1) {
    const pick = (): string => pieces[Math.floor(Math.random() * pieces.length)] ?? "";
    const text = `data:${Array.from({ length: round % 9 }, pick).join("")}`;
    const parsed = parseDataUri(text, 100);
    assert.ok(parsed === "malformed" || parsed === "too_large" || parsed.bytes.byteLength <= 100);
  }
  parseDataUri(`data:;base64,${"= ".repeat(500_000)}`, 1_000_000);
  parseDataUri(`data:,${"%".repeat(1_000_000)}`, 1_000_000);
  assert.ok(performance.now() - startedAt < 5_000);
  for (let round = 0; round < 500; round += 1) {
    const bytes = randomBytes(round);
    const parsed = parseDataUri(`data:;base64,${bytes.toString(round % 2 ? "base64" : "base64url")}`, 1_000);
    assert.deepEqual(typeof parsed === "object" && Buffer.from(parsed.bytes), bytes);
  }
});
