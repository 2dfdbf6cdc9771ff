import assert from "node:assert/strict";
import { test } from "node:test";
import { MAX_DEPTH, parseBody } from "./parse-body.ts";

const malformed: readonly [text: string, offset: number, error: string][] = [
  ["{", 1, "Expecting property name enclosed in double quotes"],
  ["", 0, "Expecting value"],
  ["   ", 3, "Expecting value"],
  ["hello", 0, "Expecting value"],
  ["NaN", 0, "Expecting value"],
  ["[1, Infinity]", 4, "Expecting value"],
  ['{"a":1', 6, "Expecting ',' delimiter"],
  ['{"a":1,}', 7, "Expecting property name enclosed in double quotes"],
  ['{"a" 1}', 5, "Expecting ':' delimiter"],
  ['{"a":}', 5, "Expecting value"],
  ["{a:1}", 1, "Expecting property name enclosed in double quotes"],
  ["[1,]", 3, "Expecting value"],
  ["[1 2]", 3, "Expecting ',' delimiter"],
  ["[1}", 2, "Expecting ',' delimiter"],
  ["01", 1, "Extra data"],
  ["{} {}", 3, "Extra data"],
  ["1 x", 2, "Extra data"],
  ["]", 0, "Expecting value"],
  ['"abc', 0, "Unterminated string"],
  ['{"a":"x\ny"}', 7, "Invalid control character"],
  ['["\\x"]', 2, "Invalid \\escape"],
  ["'a'", 0, "Expecting value"],
];

for (const [text, offset, error] of malformed) {
  test(`${JSON.stringify(text)} is refused at ${offset}`, () => {
    const parsed = parseBody(Buffer.from(text));
    assert.equal(parsed.ok, false);
    if (parsed.ok) return;
    assert.deepEqual(parsed.detail, [
      {
        loc: ["body", offset],
        msg: "JSON decode error",
        type: "json_invalid",
        url: "https://docs.fal.ai/errors/#json_invalid",
        ctx: { error },
        input: {},
      },
    ]);
  });
}

test("a byte order mark is skipped", () => {
  assert.deepEqual(parseBody(Buffer.from('\ufeff{"a":1}')), { ok: true, value: { a: 1 } });
});

test("bytes that are not UTF-8 are refused where they stand, also after a replacement character", () => {
  const body = Buffer.concat([Buffer.from('{"a":"é\ufffd'), Buffer.from([0xff]), Buffer.from('"}')]);
  const parsed = parseBody(body);
  assert.deepEqual(parsed.ok ? [] : parsed.detail[0]?.loc, ["body", 8]);
  assert.deepEqual(parsed.ok ? [] : parsed.detail[0]?.ctx, { error: "The body is not valid UTF-8" });
  assert.equal(parseBody(Buffer.from([0xc3])).ok, false);
});

test("nesting is bounded", () => {
  assert.equal(parseBody(Buffer.from("[".repeat(MAX_DEPTH) + "]".repeat(MAX_DEPTH))).ok, true);
  const parsed = parseBody(Buffer.from("[".repeat(5_000_000) + "]".repeat(5_000_000)));
  assert.deepEqual(parsed.ok ? [] : parsed.detail[0]?.ctx, {
    error: `The body is nested deeper than ${MAX_DEPTH} levels`,
  });
});

test("the number of values is bounded", () => {
  const parsed = parseBody(Buffer.from(`[${"{},".repeat(2_000_000)}{}]`));
  assert.match(String(parsed.ok ? "" : parsed.detail[0]?.ctx?.["error"]), /more than 1000000 values/);
});

test("the number of members of objects is bounded", () => {
  const members = Array.from({ length: 100_001 }, (_, index) => `"k${index}":1`);
  const parsed = parseBody(Buffer.from(`{${members.join(",")}}`));
  assert.match(String(parsed.ok ? "" : parsed.detail[0]?.ctx?.["error"]), /more than 100000 members/);
  assert.equal(parseBody(Buffer.from(`{${members.slice(1).join(",")}}`)).ok, true);
});

test("brackets, commas and escaped quotes inside of strings count for nothing", () => {
  const text = `${'\\"[{,'.repeat(1_000_000)}\\\\`;
  assert.equal(parseBody(Buffer.from(`{"a":"${text}"}`)).ok, true);
  for (let length = 55; length < 75; length++) {
    for (const tail of ["", "\\\\", '\\"', '\\\\\\"', "\\\\\\\\"]) {
      const value = { a: `${"x".repeat(length)}${tail}`, b: "[".repeat(200) };
      assert.deepEqual(parseBody(Buffer.from(JSON.stringify(value))), { ok: true, value });
    }
  }
});

test("a random cut of a valid body is refused at or before its end", () => {
  const text = '{"a":[1,2.5e3,-0,{"b":"\\u00e9\\n"}],"c":null,"d":true}';
  for (let end = 1; end < text.length; end++) {
    const parsed = parseBody(Buffer.from(text.slice(0, end)));
    assert.equal(parsed.ok, false, text.slice(0, end));
    const offset = parsed.ok ? -1 : Number(parsed.detail[0]?.loc[1]);
    assert.ok(offset >= 0 && offset <= end, `${offset} in ${text.slice(0, end)}`);
  }
});
