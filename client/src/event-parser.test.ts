import assert from "node:assert/strict";
import test from "node:test";
import { createEventParser } from "./event-parser.ts";

const TEXT =
  ': hello\ndata: {"a":1}\n\ndata:two\r\ndata: lines\r\n\r\nevent: x\rid: 7\rdata\rdata:  indented\r\rretry: 5\n\ndatabase: no\n\ndata: é\u{1F600}\n\ndata: cut off';
const EVENTS = ['{"a":1}', "two\nlines", "\n indented", "é\u{1F600}"];

test("events are read by the rules of the standard, and one that is cut off is dropped", () => {
  assert.deepEqual(createEventParser()(TEXT), EVENTS);
});

test("where the text is cut does not matter", () => {
  for (let size = 1; size < TEXT.length; size++) {
    const parse = createEventParser();
    const events: string[] = [];
    for (let at = 0; at < TEXT.length; at += size)
      events.push(...parse(TEXT.slice(at, at + size)), ...parse(""));
    assert.deepEqual(events, EVENTS, `cut every ${size} characters`);
  }
});

test("an event of 8 MB in pieces of 1 kB is read in well under a second", () => {
  const parse = createEventParser();
  const piece = "x".repeat(1024);
  const began = performance.now();
  assert.deepEqual(parse("data: "), []);
  for (let i = 0; i < 8192; i++) parse(piece);
  const [event] = parse("\n\n");
  assert.equal(event?.length, 8192 * 1024);
  assert.ok(performance.now() - began < 1000);
});
