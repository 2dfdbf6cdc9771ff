import assert from "node:assert/strict";
import { test } from "node:test";
import { resolveFileLinks, stringifyWithFileLinks } from "./file-links.ts";

const PATH = "files/b/0a1b2c3d/Zx3k9QmT7vB2nW5pLr8sY_image.jpeg";

function resolve(text: string, base = "http://127.0.0.1:7777/cdn"): unknown {
  return JSON.parse(Buffer.from(resolveFileLinks(Buffer.from(text), base)).toString("utf8"));
}

test("a link becomes a URL under the origin that is asked for, each time anew", () => {
  const stored = stringifyWithFileLinks((link) => ({ images: [{ url: link(PATH) }], seed: 7 }));
  assert.deepEqual(resolve(stored), { images: [{ url: `http://127.0.0.1:7777/cdn/${PATH}` }], seed: 7 });
  assert.deepEqual(resolve(stored, "https://m.example/cdn"), {
    images: [{ url: `https://m.example/cdn/${PATH}` }],
    seed: 7,
  });
});

test("no text of a caller can be taken for a link", () => {
  const texts = [
    '"\\u002Ffile\\u002F',
    "\\u002Ffile\\u002Fx",
    '\\"\\u002Ffile\\u002F',
    "/file/x",
    "sluice-file:0:x",
    "\u2028\\",
    '"',
  ];
  for (const text of texts) {
    const stored = stringifyWithFileLinks((link) => ({ prompt: text, [text]: text, url: link(PATH) }));
    assert.deepEqual(resolve(stored), {
      prompt: text,
      [text]: text,
      url: `http://127.0.0.1:7777/cdn/${PATH}`,
    });
  }
});

test("a body without links comes back as it is", () => {
  const body = Buffer.from('{"text":"plain"}');
  assert.equal(resolveFileLinks(body, "http://x/cdn"), body);
});

test("a base with characters that mean something to a replacement is taken literally", () => {
  const stored = stringifyWithFileLinks((link) => link(PATH));
  assert.equal(resolve(stored, "http://h/$&$1/cdn"), `http://h/$&$1/cdn/${PATH}`);
});
