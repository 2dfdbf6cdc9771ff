import type { Picture } from "@sluice/runtime/engines";
import { createModelError, type RunContext } from "@sluice/runtime/model";
import {
  applyPrior,
  applySafetyPolicy,
  isFlagged,
  judgePrompt,
  type NsfwClassifier,
  needsClassifier,
  type SafetyPolicy,
  type SafetyTolerance,
} from "@sluice/runtime/safety";

/** What stands between a request and its pictures: words before, a look at the pictures after. */
export interface SafetyCheck {
  /**
   * Judges the prompt before any model runs.
   * @returns true when it is refused and the policy does not end the request
   * @throws ModelError `content_policy_violation` on the prompt
   */
  checkPrompt(prompt: string): boolean;
  /**
   * Looks at a finished picture.
   * @returns whether it is flagged, and what to hand out in its place
   * @throws ModelError `content_policy_violation` when the policy rejects flagged pictures
   */
  checkPicture(picture: Picture): Promise<{ readonly picture: Picture; readonly isFlagged: boolean }>;
  readonly action: SafetyPolicy["action"];
}

export interface SafetyState {
  readonly policy: SafetyPolicy;
  readonly classifier: NsfwClassifier;
  /** How rare explicit pictures are for this model, against the classifier's own data: see `applyPrior`. */
  readonly explicitPrior: number;
}

export function createSafetyCheck(
  state: SafetyState,
  wanted: SafetyTolerance,
  log: RunContext["log"],
): SafetyCheck {
  const { policy, classifier, explicitPrior } = state;
  const tolerance = applySafetyPolicy(policy, wanted);
  if (tolerance !== wanted)
    log(`safety tolerance ${wanted} is above what this server allows; ${tolerance} is used`);
  return {
    action: policy.action,
    checkPrompt(prompt) {
      const verdict = judgePrompt(prompt, tolerance);
      if (verdict === "allowed") return false;
      if (verdict === "forbidden" || policy.action === "reject") throw createRefusal();
      log("the prompt holds words that this safety tolerance does not allow", "WARN");
      return true;
    },
    async checkPicture(picture) {
      if (!needsClassifier(tolerance)) return { picture, isFlagged: false };
      const scores = applyPrior(await classifier.classify(picture), explicitPrior);
      log(`safety scores: ${formatScores(scores)}`, "DEBUG");
      if (!isFlagged(scores, tolerance)) return { picture, isFlagged: false };
      if (policy.action === "reject") throw createRefusal();
      return { picture: policy.action === "blank" ? createBlack(picture) : picture, isFlagged: true };
    },
  };
}

/** A black picture. */
export function createBlack({ width, height }: { readonly width: number; readonly height: number }): Picture {
  return { rgb: new Uint8Array(width * height * 3), width, height };
}

function createRefusal(): Error {
  return createModelError("content_policy_violation", ["body", "prompt"]);
}

function formatScores(scores: object): string {
  return Object.entries(scores)
    .map(([label, value]) => `${label} ${Number(value).toFixed(3)}`)
    .join(", ");
}
