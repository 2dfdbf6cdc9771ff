/** Turns a prompt into the fixed number of ids that a text encoder reads. */
export interface PromptTokenizer {
  encode(prompt: string): PromptTokens;
}

export interface PromptTokens {
  /** Exactly as many as the encoder reads, padded at the end. */
  readonly ids: readonly number[];
  /** 1 for ids of the prompt and its marks, 0 for padding. */
  readonly mask: readonly number[];
  /** How many ids of a long prompt were cut off. */
  readonly cut: number;
}

/** No encoder reads further than this many characters, and very long words cost more than their length. */
const MOST_CHARACTERS = 20_000;

/**
 * The prompt as it may reach a tokenizer: within bounds, and without strings that the vocabulary gives a meaning
 * of their own, so that a caller cannot end a chat turn or a sequence from inside the prompt.
 */
export function cleanPrompt(prompt: string, specialTokens: readonly string[]): string {
  const start = prompt.slice(0, MOST_CHARACTERS).toWellFormed();
  // A space in its place, so that removing one cannot join the halves of another.
  return specialTokens.reduce((text, token) => text.replaceAll(token, " "), start);
}

/** Pads ids to a length, with the mask that goes with them. */
export function padTokens(ids: readonly number[], length: number, padId: number, cut: number): PromptTokens {
  const padding = length - ids.length;
  return {
    ids: [...ids, ...Array<number>(padding).fill(padId)],
    mask: [...Array<number>(ids.length).fill(1), ...Array<number>(padding).fill(0)],
    cut,
  };
}
