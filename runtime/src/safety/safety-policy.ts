import type { SafetyTolerance } from "./safety-tolerance.ts";

/** What an operator decided about flagged content. */
export interface SafetyPolicy {
  /** `blank`: a black picture of the same size; `flag`: the picture, marked; `reject`: an error. */
  readonly action: "blank" | "flag" | "reject";
  /** Requests cannot ask for more than this. */
  readonly maxTolerance: SafetyTolerance;
}

/**
 * Reads `safety_action` (`blank`, `flag` or `reject`; default `blank`) and `max_safety_tolerance` (1 to 6;
 * default 6) from the operator's settings for model code.
 * @throws RangeError naming the setting and what it may be
 */
export function readSafetyPolicy(settings: Readonly<Record<string, string>>): SafetyPolicy {
  const action = settings["safety_action"] ?? "blank";
  if (action !== "blank" && action !== "flag" && action !== "reject")
    throw new RangeError(`SLUICE_MODEL_SAFETY_ACTION is "${action}"; use blank, flag or reject.`);
  const maxTolerance = Number(settings["max_safety_tolerance"] ?? "6");
  if (!isSafetyTolerance(maxTolerance))
    throw new RangeError(
      `SLUICE_MODEL_MAX_SAFETY_TOLERANCE is "${settings["max_safety_tolerance"]}"; use 1 (strict) to 6 (off).`,
    );
  return { action, maxTolerance };
}

/** The tolerance that applies: what was asked for, within the operator's limit. */
export function applySafetyPolicy(policy: SafetyPolicy, wanted: SafetyTolerance): SafetyTolerance {
  return wanted > policy.maxTolerance ? policy.maxTolerance : wanted;
}

export function isSafetyTolerance(value: number): value is SafetyTolerance {
  return Number.isInteger(value) && value >= 1 && value <= 6;
}
