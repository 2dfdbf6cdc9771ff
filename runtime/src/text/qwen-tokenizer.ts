import { Tokenizer } from "@huggingface/tokenizers";
import { cleanPrompt, type PromptTokenizer, padTokens } from "./prompt-tokenizer.ts";
import { findTokenizerJson, readTokenizerJson } from "./tokenizer-files.ts";

/** Which chat turn the prompt is put into. */
export type QwenTemplate = "flux2-klein" | "z-image";

/** FLUX.2-klein was trained with thinking switched off, Z-Image with it on. */
const TEMPLATES: Readonly<Record<QwenTemplate, readonly [before: string, after: string]>> = {
  "flux2-klein": ["<|im_start|>user\n", "<|im_end|>\n<|im_start|>assistant\n<think>\n\n</think>\n\n"],
  "z-image": ["<|im_start|>user\n", "<|im_end|>\n<|im_start|>assistant\n"],
};

const PAD = "<|endoftext|>";
const MARKS = ["<think>", "</think>", "<tool_call>", "</tool_call>"];
/** Ids that the text encoders read. */
const WINDOW = 512;

/**
 * The tokenizer of Qwen's language models as text encoders, from a folder with `tokenizer.json`. A long prompt is
 * cut at the end of the whole turn, as the reference does it; pads at the right to 512.
 * @throws EngineError naming a file that is missing or damaged
 */
export async function openQwenTokenizer(folder: string, template: QwenTemplate): Promise<PromptTokenizer> {
  const description = await readTokenizerJson(folder, "tokenizer.json");
  const tokenizer = new Tokenizer(
    description,
    (await findTokenizerJson(folder, "tokenizer_config.json")) ?? {},
  );
  const special = [...getAddedTokens(description), ...MARKS];
  const padId = tokenizer.token_to_id(PAD) ?? 151643;
  const [before, after] = TEMPLATES[template];
  return {
    encode(prompt) {
      const turn = `${before}${cleanPrompt(prompt, special)}${after}`;
      const { ids } = tokenizer.encode(turn, { add_special_tokens: false });
      const kept = ids.slice(0, WINDOW);
      return padTokens(kept, WINDOW, padId, ids.length - kept.length);
    },
  };
}

function getAddedTokens(description: Readonly<Record<string, unknown>>): string[] {
  const added = description["added_tokens"];
  if (!Array.isArray(added)) return [];
  return added.map((token: { readonly content?: unknown }) => String(token?.content ?? "")).filter(Boolean);
}
