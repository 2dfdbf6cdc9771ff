/** How `config.json` describes the vocabulary of the embedded model. */
export interface TinyTokenizerConfig {
  /** Ids kept at most. */
  readonly window: number;
  /** Lengths are padded to a multiple of this. */
  readonly padTo: number;
  readonly padId: number;
  /** The caption that says nothing: used without a prompt and for classifier-free guidance. */
  readonly nullId: number;
  /** Longest quoted word that is spelled out. */
  readonly maxLetters: number;
}

export interface TinyTokenizer {
  encode(prompt: string): TinyTokens;
  /** Padded ids of all prompts, of one common length. */
  pad(sequences: readonly (readonly number[])[]): readonly number[][];
  readonly nullIds: readonly number[];
}

export interface TinyTokens {
  /** One to `window` ids, not padded. */
  readonly ids: readonly number[];
  /** How many ids the prompt has, those that were cut off included; the caption that says nothing counts as none. */
  readonly known: number;
  /** Words that the vocabulary lacks, each once, in order; of any script, emoji too. */
  readonly unknown: readonly string[];
  /** How many ids were cut off at the end of a long prompt. */
  readonly cut: number;
}

/**
 * The word tokenizer of the embedded model: English words, with synonyms folded by the vocabulary, and quoted
 * words spelled letter by letter. The rules are those of the model card (`models/tiny/README.md`, Tokens).
 * Time is linear in the length of the prompt.
 */
export function createTinyTokenizer(
  vocabulary: Readonly<Record<string, number>>,
  config: TinyTokenizerConfig,
): TinyTokenizer {
  const idOf = new Map(Object.entries(vocabulary));
  return {
    nullIds: [config.nullId],
    encode(prompt) {
      const unknown = new Set<string>();
      const ids: number[] = [];
      for (const { word, parts } of splitWords(prompt, config.maxLetters)) {
        const found = parts.map((part) => findWord(idOf, part)).filter((id) => id !== undefined);
        if (found.length < parts.length || parts.length === 0) unknown.add(word);
        ids.push(...found.filter((id) => id !== config.padId));
      }
      const kept = ids.slice(0, config.window);
      return {
        ids: kept.length > 0 ? kept : [config.nullId],
        known: ids.length,
        unknown: unknown.size === 0 ? [] : nameAsWritten(prompt, unknown),
        cut: ids.length - kept.length,
      };
    },
    pad(sequences) {
      const longest = Math.max(...sequences.map((ids) => ids.length));
      const length = Math.ceil(longest / config.padTo) * config.padTo;
      return sequences.map((ids) => [...ids, ...Array<number>(length - ids.length).fill(config.padId)]);
    },
  };
}

const ANNOUNCED =
  /\b([Ww]ords?|[Tt]ext|[Ll]etters|[Ss]ays|[Ss]aying|[Rr]eads|[Rr]eading)\s+([A-Z0-9]{2,12})\b/g;

/** Ends of words that English cuts off; no vocabulary has them. */
const CLIPPED = /'(?:s|re|ve|ll|d|m)\b/gi;

const WORD = /[\p{L}\p{N}\p{Extended_Pictographic}]+/gu;

const MARKED_WORD = /[\p{L}\p{N}\p{M}\p{Extended_Pictographic}]+/gu;

/** A word without marks, and what of it is looked up: its runs of ASCII letters and digits. */
interface PromptWord {
  readonly word: string;
  readonly parts: readonly string[];
}

function splitWords(prompt: string, maxLetters: number): PromptWord[] {
  const plain = removeMarks(prompt.replace(/[“”„‟«»″]/g, '"').replace(/[‘’]/g, "'")).replace(
    ANNOUNCED,
    '$1 "$2"',
  );
  const words: PromptWord[] = [];
  // Splitting on a pattern with one group alternates: outside, inside, outside, …
  plain.split(/"([^"]*)"/).forEach((part, index) => {
    const letters = index % 2 === 1 ? part.toUpperCase().replace(/[^A-Z0-9]/g, "") : "";
    if (letters.length >= 1 && letters.length <= maxLetters)
      words.push({
        word: `"${letters}"`,
        parts: ["<q>", ...[...letters].map((letter) => `<c:${letter}>`), "</q>"],
      });
    else
      for (const word of part.replace(CLIPPED, "").toLowerCase().match(WORD) ?? [])
        words.push({ word, parts: word.match(/[a-z0-9]+/g) ?? [] });
  });
  return words;
}

function removeMarks(text: string): string {
  return text.normalize("NFKD").replace(/\p{M}/gu, "");
}

/** Words with the marks that they have in the prompt: without them they read as misspelled, りんご as りんこ. */
function nameAsWritten(prompt: string, words: ReadonlySet<string>): string[] {
  const written = new Map<string, string>();
  for (const word of prompt.normalize("NFC").toLowerCase().match(MARKED_WORD) ?? []) {
    const bare = removeMarks(word);
    if (words.has(bare) && !written.has(bare)) written.set(bare, word);
  }
  return [...words].map((word) => written.get(word) ?? word);
}

function findWord(idOf: ReadonlyMap<string, number>, word: string): number | undefined {
  const forms = [word, cutEnd(word, "s"), cutEnd(word, "es"), cutEnd(word, "ies", "y")];
  for (const form of forms) {
    const id = form === undefined ? undefined : idOf.get(form);
    if (id !== undefined) return id;
  }
  return undefined;
}

function cutEnd(word: string, end: string, replacement = ""): string | undefined {
  return word.endsWith(end) ? word.slice(0, -end.length) + replacement : undefined;
}
