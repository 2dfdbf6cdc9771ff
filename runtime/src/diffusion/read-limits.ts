import type { EngineLimits } from "../engines/engine.ts";
import type { EngineOverrides, LimitRange } from "../weights/engine-overrides.ts";

/** What a family allows where the folder says nothing else. */
export interface FamilyLimits {
  readonly steps: LimitRange;
  /** Null when the model needs none. */
  readonly guidance: LimitRange | null;
  readonly multipleOf: number;
  readonly maxArea: number;
}

/** The limits of a model: its family's, with what `engine.json` says laid over. */
export function readLimits(family: FamilyLimits, overrides: EngineOverrides): EngineLimits {
  const guidance = overrides.guidance === undefined ? family.guidance : overrides.guidance;
  return {
    steps: overrides.steps ?? family.steps,
    ...(guidance === null ? {} : { guidance }),
    maxSide: overrides.maxSide ?? MAX_SIDE,
    maxArea: overrides.maxArea ?? family.maxArea,
    multipleOf: family.multipleOf,
  };
}

export const MAX_SIDE = 2048;
/** Two megapixels: beyond it most models repeat themselves. */
export const TWO_MEGAPIXELS: number = 2 * 1024 * 1024;
export const FOUR_MEGAPIXELS: number = 4 * 1024 * 1024;
