export { type NsfwClassifier, openNsfwClassifier } from "./nsfw-classifier.ts";
export { applyPrior, getExplicitProbability, type NsfwScores } from "./nsfw-scores.ts";
export { judgePrompt, type PromptVerdict } from "./prompt-filter.ts";
export {
  applySafetyPolicy,
  isSafetyTolerance,
  readSafetyPolicy,
  type SafetyPolicy,
} from "./safety-policy.ts";
export { isFlagged, needsClassifier, type SafetyTolerance } from "./safety-tolerance.ts";
