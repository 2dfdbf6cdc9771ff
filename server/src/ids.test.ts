import assert from "node:assert/strict";
import { test } from "node:test";
import { createRequestId, parseRequestId } from "./ids.ts";

test("request ids are version 7 UUIDs, unlike each other, and sort in the order they were made", () => {
  const now = Date.now();
  const ids = Array.from({ length: 50_000 }, (_, index) => createRequestId(now + Math.floor(index / 10_000)));
  assert.match(ids[0]!, /^[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/);
  assert.equal(new Set(ids).size, ids.length);
  assert.deepEqual(ids.toSorted(), ids);
  assert.ok(ids.every((id) => parseRequestId(id) === id));
});

test("an id tells when it was made", () => {
  const later = Date.now() + 100_000;
  const id = createRequestId(later);
  assert.equal(Number.parseInt(id.replaceAll("-", "").slice(0, 12), 16), later);
});

test("ids never go back, even when the clock does", () => {
  const first = createRequestId(Date.now() + 200_000);
  assert.ok(createRequestId(Date.now()) > first);
});

test("only lower-case UUIDs with hyphens are request ids", () => {
  for (const text of ["", "x", "01890000-0000-7000-8000-00000000000", "01890000-0000-7000-8000-00000000000A"])
    assert.equal(parseRequestId(text), undefined, text);
});
