import { mkdir, writeFile } from "node:fs/promises";
import { join } from "node:path";

/** Ids that the tokenizers of {@link writeClipTokenizer} and its siblings can give, rounded up. */
export const VOCABULARY_SIZE = 640;

/** A tokenizer of CLIP that spells every text letter by letter, but for "cat" and "dog". */
export async function writeClipTokenizer(folder: string, padToken?: string): Promise<void> {
  const letters = createByteLetters();
  const merges = ["a t</w>", "c at</w>", "d o", "do g</w>"];
  const vocab = createIds([
    ...letters,
    ...letters.map((letter) => `${letter}</w>`),
    ...merges.map((merge) => merge.replace(" ", "")),
    "<|startoftext|>",
    "<|endoftext|>",
  ]);
  await writeFiles(folder, {
    "vocab.json": JSON.stringify(vocab),
    "merges.txt": `#version: 0.2\n${merges.join("\n")}\n`,
    ...(padToken === undefined ? {} : { "tokenizer_config.json": JSON.stringify({ pad_token: padToken }) }),
  });
}

/** A tokenizer of T5 with a few pieces. */
export async function writeT5Tokenizer(folder: string): Promise<void> {
  const marks = ["<pad>", "</s>", "<unk>"];
  const vocab = [
    ...marks.map((mark) => [mark, 0]),
    ["▁cat", -1],
    ["▁", -3],
    ...[..."abcdefghijklmnopqrstuvwxyz"].map((letter) => [letter, -9]),
  ];
  await writeFiles(folder, {
    "tokenizer.json": JSON.stringify({
      added_tokens: marks.map(createAdded),
      normalizer: null,
      pre_tokenizer: {
        type: "Metaspace",
        replacement: "▁",
        add_prefix_space: true,
        prepend_scheme: "always",
      },
      post_processor: null,
      decoder: null,
      model: { type: "Unigram", unk_id: 2, vocab },
    }),
  });
}

/** A tokenizer of Qwen that knows bytes and marks. */
export async function writeQwenTokenizer(folder: string): Promise<void> {
  const letters = createByteLetters();
  const marks = ["<|endoftext|>", "<|im_start|>", "<|im_end|>", "<think>", "</think>"];
  const vocab = createIds(letters);
  await writeFiles(folder, {
    "tokenizer.json": JSON.stringify({
      added_tokens: marks.map((mark, i) => createAdded(mark, letters.length + i)),
      normalizer: { type: "NFC" },
      pre_tokenizer: { type: "ByteLevel", add_prefix_space: false, trim_offsets: false, use_regex: true },
      post_processor: null,
      decoder: null,
      model: { type: "BPE", vocab, merges: [] },
    }),
  });
}

async function writeFiles(folder: string, files: Readonly<Record<string, string>>): Promise<void> {
  await mkdir(folder, { recursive: true });
  for (const [name, text] of Object.entries(files)) await writeFile(join(folder, name), text);
}

/** The printable stand-ins of byte-level BPE for the 256 bytes. */
export function createByteLetters(): string[] {
  const isPlain = (byte: number) => (byte >= 33 && byte <= 126) || (byte >= 161 && byte !== 173);
  let next = 256;
  return Array.from({ length: 256 }, (_, byte) => String.fromCharCode(isPlain(byte) ? byte : next++));
}

/** Numbers in the order of the tokens. */
export function createIds(tokens: readonly string[]): Readonly<Record<string, number>> {
  return Object.fromEntries(tokens.map((token, i) => [token, i]));
}

/** A token with a meaning of its own, as `tokenizer.json` lists it. */
export function createAdded(content: string, id: number): Readonly<Record<string, unknown>> {
  return { id, content, special: true, single_word: false, lstrip: false, rstrip: false, normalized: false };
}
