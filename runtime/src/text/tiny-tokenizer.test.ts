import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { describe, test } from "node:test";
import { createTinyTokenizer } from "./tiny-tokenizer.ts";

const folder = new URL("../../../models/tiny/", import.meta.url);
const config = JSON.parse(readFileSync(new URL("config.json", folder), "utf8"));
const vocabulary = JSON.parse(readFileSync(new URL("vocab.json", folder), "utf8"));
const tokenizer = createTinyTokenizer(vocabulary, config.tokenizer);

describe("the embedded model's tokenizer", () => {
  for (const { prompt, ids } of config.golden.tokens as { prompt: string; ids: number[] }[])
    test(`encodes as the model card says: ${prompt.slice(0, 40)}`, () =>
      assert.deepEqual(tokenizer.encode(prompt).ids, ids));

  test("words that it does not know are left out and named", () => {
    const tokens = tokenizer.encode("a zzqx apple zzqx");
    assert.deepEqual(tokens.unknown, ["zzqx"]);
    assert.deepEqual(tokens.ids, tokenizer.encode("a apple").ids);
  });

  test("words of other languages and scripts, and emoji, are named as they were written", () => {
    const words = (prompt: string) => tokenizer.encode(prompt).unknown;
    assert.deepEqual(words("ein roter Apfel"), ["ein", "roter", "apfel"]);
    assert.deepEqual(words("猫, яблоко 🍎"), ["猫", "яблоко", "🍎"]);
    assert.deepEqual(words("a straße"), ["straße"]);
    assert.deepEqual(words("赤いりんご"), ["赤いりんご"]);
    assert.deepEqual(words("grüne Äpfel, gru\u0308ne"), ["grüne", "äpfel"]);
    assert.deepEqual(words("ｚｚｑｘ ﬁne"), ["ｚｚｑｘ", "ﬁne"]);
    assert.equal(tokenizer.encode("猫").known, 0);
    assert.equal(tokenizer.encode("a red apple").known, 2);
  });

  test("an end of a word after an apostrophe is no word that it lacks", () => {
    const tokens = tokenizer.encode("It's a dog’s house, and they're red");
    assert.deepEqual(tokens.unknown, []);
    assert.deepEqual(tokens.ids, tokenizer.encode("It a dog house and they red").ids);
  });

  test("long prompts are cut at the window and say by how much", () => {
    const { window } = config.tokenizer;
    const tokens = tokenizer.encode("apple ".repeat(window + 5));
    assert.equal(tokens.ids.length, window);
    assert.equal(tokens.cut, 5);
  });

  test("other scripts, emoji, control characters and lone surrogates give the null caption, not an error", () => {
    for (const prompt of [
      "",
      "木の家",
      "😀🎉",
      "\u0000\u0007\r\n",
      "\ud800",
      '"""',
      "ﷺ",
      "__proto__ constructor",
    ])
      assert.deepEqual(tokenizer.encode(prompt).ids, [config.tokenizer.nullId], JSON.stringify(prompt));
  });

  test("padding gives all prompts one length that is a multiple of the model's", () => {
    const [a = [], b = []] = tokenizer.pad([[5, 6, 7], [1]]);
    assert.equal(a.length, config.tokenizer.padTo);
    assert.deepEqual(b, [1, ...Array(b.length - 1).fill(config.tokenizer.padId)]);
  });

  test("a very long prompt takes time in proportion to its length", () => {
    const started = performance.now();
    for (const unit of ["a", '"', " ", "word A", "Text "]) tokenizer.encode(unit.repeat(100_000));
    assert.ok(performance.now() - started < 5000);
  });
});
