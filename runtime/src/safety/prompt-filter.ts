import {
  ALWAYS_BLOCKED,
  BLOCKED_WORDS,
  HARMLESS_PHRASES,
  MINOR_WORDS,
  SEXUAL_WORDS,
} from "./blocked-words.ts";
import { getWordList, type SafetyTolerance } from "./safety-tolerance.ts";

/**
 * `allowed`; `refused` by the list of the tolerance, which the operator's policy may treat as it likes; or
 * `forbidden`, which is an error at every tolerance and under every policy.
 */
export type PromptVerdict = "allowed" | "refused" | "forbidden";

/**
 * Judges a prompt by its words, before any model sees it. Spelling tricks are undone first: compatibility
 * forms, accents, look-alike letters, digits for letters, letters set apart, drawn-out letters.
 * Time is linear in the length of the prompt.
 */
export function judgePrompt(prompt: string, tolerance: SafetyTolerance): PromptVerdict {
  const readings = getReadings(prompt);
  if (isForbidden(readings)) return "forbidden";
  const pattern = TIERS[getWordList(tolerance)];
  return readings.some((reading) => pattern?.test(reading)) ? "refused" : "allowed";
}

const HARMLESS = createPattern(HARMLESS_PHRASES, "g");
const ALWAYS = createPattern(ALWAYS_BLOCKED);
const MINOR = createPattern(MINOR_WORDS);
const SEXUAL = createPattern(SEXUAL_WORDS);
/** "a 15 year old": everything below eighteen, in digits. */
const MINOR_AGE = /\b(?:[0-9]|1[0-7]) ?(?:year|yr|yo)s?(?: old)?\b/;

const TIERS = {
  strict: createPattern([...BLOCKED_WORDS.strict, ...BLOCKED_WORDS.default, ...BLOCKED_WORDS.minimal]),
  default: createPattern([...BLOCKED_WORDS.default, ...BLOCKED_WORDS.minimal]),
  minimal: createPattern(BLOCKED_WORDS.minimal),
  always: undefined,
} as const;

function isForbidden(readings: readonly string[]): boolean {
  const has = (pattern: RegExp) => readings.some((reading) => pattern.test(reading));
  return has(ALWAYS) || (has(SEXUAL) && (has(MINOR) || has(MINOR_AGE)));
}

/** The ways in which a reader could take the prompt, each as lower-case words with single spaces. */
function getReadings(prompt: string): readonly string[] {
  const folded = prompt
    .normalize("NFKD")
    .replace(/[\p{M}\p{Cf}]/gu, "")
    .toLowerCase();
  const plain = toWords(folded);
  const latin = replaceAll(folded, LOOKALIKES);
  const forms = [latin, replaceAll(latin, DIGITS), replaceAll(latin, { ...DIGITS, "1": "l", "!": "l" })].map(
    toWords,
  );
  const joined = forms.flatMap((form) => [joinLetters(form, 0), joinLetters(form, 1)]);
  const squeezed = forms.map((form) => form.replace(/([a-z])\1{2,}/g, "$1"));
  return [...new Set([plain, ...forms, ...joined, ...squeezed])];
}

function toWords(text: string): string {
  return text
    .replace(/[^a-z0-9]+/g, " ")
    .replace(HARMLESS, " ")
    .trim();
}

/** "p o r n" as one word; the first letters may be a word of their own, as in "a p o r n". */
function joinLetters(words: string, apart: number): string {
  return words.replace(/\b[a-z](?: [a-z]\b){2,}/g, (run) => {
    const letters = run.split(" ");
    return [...letters.slice(0, apart), letters.slice(apart).join("")].join(" ");
  });
}

const DIGITS: Readonly<Record<string, string>> = {
  "0": "o",
  "1": "i",
  "3": "e",
  "4": "a",
  "5": "s",
  "7": "t",
  "8": "b",
  "@": "a",
  $: "s",
  "!": "i",
  "+": "t",
};

/** Cyrillic and Greek letters that look Latin. */
const LOOKALIKES: Readonly<Record<string, string>> = {
  а: "a",
  е: "e",
  о: "o",
  р: "p",
  с: "c",
  у: "y",
  х: "x",
  і: "i",
  ѕ: "s",
  ј: "j",
  к: "k",
  ο: "o",
  α: "a",
  ε: "e",
  ρ: "p",
  ν: "v",
  ι: "i",
};

function replaceAll(text: string, map: Readonly<Record<string, string>>): string {
  return text.replace(/[^a-z\s]/gu, (character) => map[character] ?? character);
}

function createPattern(phrases: readonly string[], flags = ""): RegExp {
  const parts = phrases.map((phrase) =>
    phrase.endsWith("*") ? `${phrase.slice(0, -1)}[a-z]*` : `${phrase}(?:e?s)?`,
  );
  return new RegExp(`\\b(?:${parts.join("|")})\\b`, flags);
}
