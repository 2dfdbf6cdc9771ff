import { createErrorDetail, type ErrorDetail } from "@sluice/protocol";

/** Deepest nesting of a body; the rest of the server may recurse over it safely. */
export const MAX_DEPTH = 100;
/** Most values in one body: bounds the memory that a small body can unfold to. */
export const MAX_VALUES = 1_000_000;
/** Most members of objects in one body: reading one takes a hundred times as long as reading a number of a list. */
export const MAX_MEMBERS = 100_000;

export type ParsedBody =
  | { readonly ok: true; readonly value: unknown }
  | { readonly ok: false; readonly detail: readonly ErrorDetail[] };

/**
 * Reads a request body as JSON in UTF-8. A refusal is one `json_invalid` item whose `loc` ends in the offset, in
 * characters, of the first thing wrong (fal model API, "Errors").
 */
export function parseBody(body: Uint8Array): ParsedBody {
  const bytes = Buffer.from(body.buffer, body.byteOffset, body.byteLength);
  const limit = findLimit(bytes);
  if (limit !== undefined) return refuse(limit.offset, limit.error);
  let text: string;
  try {
    text = new TextDecoder("utf-8", { fatal: true }).decode(bytes);
  } catch {
    return refuse(findBadUtf8(bytes), "The body is not valid UTF-8");
  }
  try {
    return { ok: true, value: JSON.parse(text) };
  } catch {
    const { offset, error } = findSyntaxError(text);
    return refuse(offset, error);
  }
}

function refuse(offset: number, error: string): ParsedBody {
  return {
    ok: false,
    detail: [createErrorDetail("json_invalid", ["body", offset], { ctx: { error }, input: {} })],
  };
}

const QUOTE = 0x22;
const COMMA = 0x2c;
const COLON = 0x3a;
const OPEN_LIST = 0x5b;
const BACKSLASH = 0x5c;
const CLOSE_LIST = 0x5d;
const OPEN_OBJECT = 0x7b;
const CLOSE_OBJECT = 0x7d;

/** Where the body passes a limit. Strings are skipped by a native search: long data URIs cost nothing. */
function findLimit(bytes: Buffer): { readonly offset: number; readonly error: string } | undefined {
  let depth = 0;
  let values = 1;
  let members = 0;
  for (let i = 0; i < bytes.length; i++) {
    const byte = bytes[i];
    if (byte === QUOTE) {
      i = findStringEnd(bytes, i);
      if (i === -1) return undefined;
    } else if (byte === OPEN_LIST || byte === OPEN_OBJECT) {
      values++;
      if (++depth > MAX_DEPTH)
        return { offset: i, error: `The body is nested deeper than ${MAX_DEPTH} levels` };
    } else if (byte === CLOSE_LIST || byte === CLOSE_OBJECT) depth--;
    else if (byte === COMMA) values++;
    else if (byte === COLON) members++;
    if (members > MAX_MEMBERS) return { offset: i, error: `The body holds more than ${MAX_MEMBERS} members` };
    if (values > MAX_VALUES) return { offset: i, error: `The body holds more than ${MAX_VALUES} values` };
  }
  return undefined;
}

/** Bytes looked at one by one before a native search: a string full of escaped quotes would start one for each. */
const NEAR = 64;

/** The closing quote of the string that begins at `start`, or -1. */
function findStringEnd(bytes: Buffer, start: number): number {
  let i = start + 1;
  for (;;) {
    for (const near = Math.min(i + NEAR, bytes.length); i < near; i++) {
      if (bytes[i] === BACKSLASH) i++;
      else if (bytes[i] === QUOTE) return i;
    }
    if (i >= bytes.length) return -1;
    const quote = bytes.indexOf(QUOTE, i);
    if (quote === -1) return -1;
    // Backslashes right before the quote decide; at most back to `i`, which no backslash escapes.
    let backslashes = 0;
    while (quote - 1 - backslashes >= i && bytes[quote - 1 - backslashes] === BACKSLASH) backslashes++;
    if (backslashes % 2 === 0) return quote;
    i = quote + 1;
  }
}

/** Characters before the first byte that is not UTF-8. */
function findBadUtf8(bytes: Buffer): number {
  const text = new TextDecoder("utf-8", { ignoreBOM: true }).decode(bytes);
  let at = text.indexOf("\ufffd");
  // A replacement character may also be what the caller wrote: then its three bytes are there.
  while (at !== -1) {
    const offset = Buffer.byteLength(text.slice(0, at));
    if (!(bytes[offset] === 0xef && bytes[offset + 1] === 0xbf && bytes[offset + 2] === 0xbd)) return at;
    at = text.indexOf("\ufffd", at + 1);
  }
  return text.length;
}

/** V8 names the position of an error only sometimes; this finds it always. Called for texts that do not parse. */
function findSyntaxError(text: string): { readonly offset: number; readonly error: string } {
  const token =
    /[\t\n\r ]*(?:([[\]{},:])|(true|false|null)|(-?(?:0|[1-9]\d*)(?:\.\d+)?(?:[eE][+-]?\d+)?)|(?="))/y;
  /** What is open: `[` or `{`. */
  const open: string[] = [];
  let expected: "value" | "value or ]" | "name or }" | "name" | ":" | ", or end" = "value";
  let at = 0;
  for (;;) {
    token.lastIndex = at;
    const match = token.exec(text);
    if (match === null) {
      const offset = at + (/[^\t\n\r ]/.exec(text.slice(at))?.index ?? text.length - at);
      const isDone = expected === ", or end" && open.length === 0;
      return { offset, error: isDone ? "Extra data" : `Expecting ${describe(expected)}` };
    }
    const [whole, mark, word, number] = match;
    const start = at + whole.length - (mark ?? word ?? number ?? "").length;
    const fail = { offset: start, error: `Expecting ${describe(expected)}` };
    at += whole.length;
    const isString = mark === undefined && word === undefined && number === undefined;
    if (isString) {
      const problem = findStringError(text, at);
      if (typeof problem !== "number") return problem;
      at = problem;
    }
    if (expected === "name" || expected === "name or }") {
      if (isString) expected = ":";
      else if (mark === "}" && expected === "name or }") close();
      else return fail;
    } else if (expected === ":") {
      if (mark !== ":") return fail;
      expected = "value";
    } else if (expected === ", or end") {
      if (open.length === 0) return { offset: start, error: "Extra data" };
      const top = open[open.length - 1];
      if (mark === ",") expected = top === "{" ? "name" : "value";
      else if (mark === (top === "{" ? "}" : "]")) close();
      else return fail;
    } else if (mark === "[" || mark === "{") {
      open.push(mark);
      expected = mark === "{" ? "name or }" : "value or ]";
    } else if (mark === "]" && expected === "value or ]") close();
    else if (mark !== undefined) return fail;
    else expected = ", or end";
  }

  function close(): void {
    open.pop();
    expected = ", or end";
  }
}

function describe(expected: string): string {
  if (expected.startsWith("name")) return "property name enclosed in double quotes";
  if (expected === ":") return "':' delimiter";
  if (expected === ", or end") return "',' delimiter";
  return "value";
}

/** The offset after the string that begins at `start`, or what is wrong with it. */
function findStringError(
  text: string,
  start: number,
): number | { readonly offset: number; readonly error: string } {
  // biome-ignore lint/suspicious/noControlCharactersInRegex: JSON strings must not hold control characters
  const part = /[^"\\\u0000-\u001f]+|\\(?:["\\/bfnrt]|u[0-9a-fA-F]{4})/y;
  let at = start + 1;
  for (;;) {
    part.lastIndex = at;
    const match = part.exec(text);
    if (match !== null) at += match[0].length;
    else if (text[at] === '"') return at + 1;
    else if (at >= text.length) return { offset: start, error: "Unterminated string" };
    else if (text[at] === "\\") return { offset: at, error: "Invalid \\escape" };
    else return { offset: at, error: "Invalid control character" };
  }
}
