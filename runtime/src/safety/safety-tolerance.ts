import { getExplicitProbability, type NsfwScores } from "./nsfw-scores.ts";

/** 1 is the strictest; 6 switches off everything but what is always refused. */
export type SafetyTolerance = 1 | 2 | 3 | 4 | 5 | 6;

/** Which words a prompt may not hold; each list includes the ones after it. */
export type WordList = "strict" | "default" | "minimal" | "always";

interface ToleranceRules {
  /** A picture is flagged from this probability of being explicit on. */
  readonly explicit: number;
  /** The same, with half of the merely suggestive probability added. */
  readonly suggestive: number;
  readonly words: WordList;
}

const NEVER = Number.POSITIVE_INFINITY;

const RULES: Readonly<Record<SafetyTolerance, ToleranceRules>> = {
  1: { explicit: 0.15, suggestive: 0.25, words: "strict" },
  2: { explicit: 0.3, suggestive: 0.45, words: "strict" },
  3: { explicit: 0.5, suggestive: 0.65, words: "default" },
  4: { explicit: 0.7, suggestive: 0.85, words: "default" },
  5: { explicit: 0.85, suggestive: NEVER, words: "minimal" },
  6: { explicit: NEVER, suggestive: NEVER, words: "always" },
};

export function isFlagged(scores: NsfwScores, tolerance: SafetyTolerance): boolean {
  const explicit = getExplicitProbability(scores);
  const rules = RULES[tolerance];
  return explicit >= rules.explicit || explicit + scores.sexy / 2 >= rules.suggestive;
}

/** False when no picture can be flagged, so that nobody needs to look. */
export function needsClassifier(tolerance: SafetyTolerance): boolean {
  return RULES[tolerance].explicit !== NEVER;
}

export function getWordList(tolerance: SafetyTolerance): WordList {
  return RULES[tolerance].words;
}
