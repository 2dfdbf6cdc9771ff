import { Tokenizer } from "@huggingface/tokenizers";
import { cleanPrompt, type PromptTokenizer, padTokens } from "./prompt-tokenizer.ts";
import { findTokenizerJson, readTokenizerJson } from "./tokenizer-files.ts";

const END = "</s>";
const PAD = "<pad>";

/**
 * The tokenizer of T5's encoders (FLUX.1, SD3, PixArt), from a folder with `tokenizer.json`. Ends with `</s>` and
 * pads to `length`: 512 for FLUX.1-dev, 256 for schnell and SD3.
 * @throws EngineError naming a file that is missing or damaged
 */
export async function openT5Tokenizer(folder: string, length: number): Promise<PromptTokenizer> {
  const description = await readTokenizerJson(folder, "tokenizer.json");
  const tokenizer = new Tokenizer(
    description,
    (await findTokenizerJson(folder, "tokenizer_config.json")) ?? {},
  );
  const endId = tokenizer.token_to_id(END) ?? 1;
  const padId = tokenizer.token_to_id(PAD) ?? 0;
  return {
    encode(prompt) {
      const text = cleanPrompt(prompt, [END, PAD]);
      const { ids } = tokenizer.encode(text, { add_special_tokens: false });
      const kept = ids.slice(0, length - 1);
      return padTokens([...kept, endId], length, padId, ids.length - kept.length);
    },
  };
}
