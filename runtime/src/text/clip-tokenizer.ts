import { Tokenizer } from "@huggingface/tokenizers";
import { cleanPrompt, type PromptTokenizer, padTokens } from "./prompt-tokenizer.ts";
import { findTokenizerJson, readTokenizerJson, readTokenizerText } from "./tokenizer-files.ts";

/** Ids that CLIP's text encoders read. */
const WINDOW = 77;
const START = "<|startoftext|>";
const END = "<|endoftext|>";
/** How CLIP cuts text into words before the byte pairs are merged. */
const WORDS = "'s|'t|'re|'ve|'m|'ll|'d|[\\p{L}]+|[\\p{N}]|[^\\s\\p{L}\\p{N}]+";

/**
 * The tokenizer of CLIP's text encoders, from a `tokenizer` folder as Stable Diffusion and FLUX.1 have it:
 * `tokenizer.json`, or `vocab.json` with `merges.txt`. Keeps 75 ids between the start and end marks and pads to
 * 77 with the folder's padding token, which differs between families.
 * @throws EngineError naming a file that is missing or damaged
 */
export async function openClipTokenizer(folder: string): Promise<PromptTokenizer> {
  const description = (await findTokenizerJson(folder, "tokenizer.json")) ?? (await describe(folder));
  const config = (await findTokenizerJson(folder, "tokenizer_config.json")) ?? {};
  const special = (await findTokenizerJson(folder, "special_tokens_map.json")) ?? {};
  const tokenizer = new Tokenizer(description, config);
  // Older folders correct the first file by the second: that of Stable Diffusion 2.1 pads with "!" by the latter alone.
  const places = config["added_tokens_decoder"] === undefined ? [special, config] : [config, special];
  const padToken = places.map((place) => getContent(place["pad_token"])).find((token) => token !== undefined);
  const [start = 0, end = 0] = [START, END].map((token) => tokenizer.token_to_id(token));
  const padId = tokenizer.token_to_id(padToken ?? END) ?? end;
  return {
    encode(prompt) {
      const text = cleanPrompt(prompt, [START, END]);
      const { ids } = tokenizer.encode(text, { add_special_tokens: false });
      const kept = ids.slice(0, WINDOW - 2);
      return padTokens([start, ...kept, end], WINDOW, padId, ids.length - kept.length);
    },
  };
}

/** What `tokenizer.json` would say, from the two older files. */
async function describe(folder: string): Promise<Record<string, unknown>> {
  const vocab = await readTokenizerJson(folder, "vocab.json");
  const lines = (await readTokenizerText(folder, "merges.txt")).split(/\r?\n/);
  const merges = lines.filter((line) => line.trim() !== "" && !line.startsWith("#version"));
  const added_tokens = [START, END].map((content) => ({
    id: vocab[content],
    content,
    special: true,
    single_word: false,
    lstrip: false,
    rstrip: false,
    normalized: false,
  }));
  return {
    added_tokens,
    normalizer: {
      type: "Sequence",
      normalizers: [
        { type: "NFC" },
        { type: "Replace", pattern: { Regex: "\\s+" }, content: " " },
        { type: "Lowercase" },
      ],
    },
    pre_tokenizer: {
      type: "Sequence",
      pretokenizers: [
        { type: "Split", pattern: { Regex: WORDS }, behavior: "Removed", invert: true },
        { type: "ByteLevel", add_prefix_space: false, trim_offsets: true },
      ],
    },
    post_processor: null,
    decoder: null,
    model: {
      type: "BPE",
      unk_token: END,
      continuing_subword_prefix: "",
      end_of_word_suffix: "</w>",
      fuse_unk: false,
      vocab,
      merges,
    },
  };
}

/** A token is written as a string or as an object with its content. */
function getContent(token: unknown): string | undefined {
  if (typeof token === "string") return token;
  const content = (token as { readonly content?: unknown } | undefined)?.content;
  return typeof content === "string" ? content : undefined;
}
