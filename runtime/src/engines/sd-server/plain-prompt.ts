import { cleanPrompt } from "../../text/prompt-tokenizer.ts";

/**
 * Characters of a prompt that are handed on. No text encoder reads more than 512 ids, and a very long prompt ends the
 * program: 100,000 characters did (SIGSEGV in release 827), 20,000 did not.
 */
export const MOST_PROMPT_CHARACTERS = 4_000;

/**
 * The prompt as text that sd-server takes literally, as the other engines do. Its own language inside of prompts is
 * `(more)`, `[less]`, `(word:1.3)`, `BREAK`, `<lora:file:1>` and the special tokens of its vocabularies; weights that are
 * no numbers end the whole program (`(a:.)` aborts release 827). An escaped `(` is a plain one there, but the other escapes keep their backslash,
 * so square brackets become round.
 */
export function toPlainPrompt(prompt: string): { readonly text: string; readonly isCut: boolean } {
  const kept = cutAtCharacter(prompt.toWellFormed(), MOST_PROMPT_CHARACTERS);
  const text = cleanPrompt(removeMarks(kept), [])
    // A text ends at NUL there, and other control characters mean nothing.
    .replace(/[\p{Cc}]+/gu, " ")
    .replace(/\bBREAK\b/g, "break")
    .replaceAll("\\", "/")
    .replace(/[([]/g, "\\(")
    .replaceAll("]", ")")
    // `:1.3)` is taken for a weight, bracket or not.
    .replace(/:(?=[+-]?[.\d]+\))/g, ": ");
  return { text, isCut: kept.length < prompt.length };
}

/** Special tokens, in the spellings of the vocabularies that text encoders come with, and references to files. */
const MARKS =
  /<\|[^<>|]*\|>|<\/?(?:think|tool_call|s|pad|unk|bos|eos|start_of_turn|end_of_turn|image|mask|extra_id_\d+)>|\[\/?INST\]|<(?:lora|lyco|hypernet|embedding|sd_cpp_extra_args)\b[^<>]*>|<\/sd_cpp_extra_args>/gi;

/** A space in the place of each, and again until none is left, so that removing one cannot make another. */
function removeMarks(text: string): string {
  const without = text.replace(MARKS, " ");
  return without === text ? text : removeMarks(without);
}

/** Never between the two halves of a character. */
function cutAtCharacter(text: string, most: number): string {
  if (text.length <= most) return text;
  const isHalf = /[\ud800-\udbff]/.test(text[most - 1] ?? "");
  return text.slice(0, isHalf ? most - 1 : most);
}
