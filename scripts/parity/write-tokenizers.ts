/**
 * `node scripts/parity/write-tokenizers.ts FOLDER`: made-up vocabularies in FOLDER, and `tokens.json` with what our
 * tokenizers make of the prompts. The reference gets these ids, so that the networks are compared and nothing else;
 * tokenizers have their own tests.
 */
import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import {
  openClipTokenizer,
  openQwenTokenizer,
  openT5Tokenizer,
  type PromptTokenizer,
  writeClipTokenizer,
  writeQwenTokenizer,
  writeT5Tokenizer,
} from "@sluice/runtime/testing/parity";

const PROMPTS = ["a cat beside a dog", "dog", ""];

const folder = process.argv[2];
if (folder === undefined) throw new Error("Give the folder to write to.");
await writeClipTokenizer(join(folder, "clip"));
await writeClipTokenizer(join(folder, "clip-2"), "!");
await writeT5Tokenizer(join(folder, "t5"));
await writeQwenTokenizer(join(folder, "qwen"));
const tokenizers: Readonly<Record<string, PromptTokenizer>> = {
  clip: await openClipTokenizer(join(folder, "clip")),
  "clip-2": await openClipTokenizer(join(folder, "clip-2")),
  "t5-256": await openT5Tokenizer(join(folder, "t5"), 256),
  "t5-512": await openT5Tokenizer(join(folder, "t5"), 512),
  klein: await openQwenTokenizer(join(folder, "qwen"), "flux2-klein"),
  "z-image": await openQwenTokenizer(join(folder, "qwen"), "z-image"),
};
const tokens = Object.fromEntries(
  Object.entries(tokenizers).map(([name, tokenizer]) => [
    name,
    Object.fromEntries(PROMPTS.map((prompt) => [prompt, tokenizer.encode(prompt)])),
  ]),
);
await writeFile(join(folder, "tokens.json"), JSON.stringify(tokens));
