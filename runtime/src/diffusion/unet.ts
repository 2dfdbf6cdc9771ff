import type { EngineLimits } from "../engines/engine.ts";
import type { Size } from "../images/fit-picture.ts";
import type { Values } from "../sessions/graph.ts";
import type { ModelFolder } from "../weights/model-folder.ts";
import { readLimits, TWO_MEGAPIXELS } from "./read-limits.ts";
import type { SchedulerConfig } from "./schedulers/create-scheduler.ts";

/** What the families with a UNet allow: their scheduler tells the distilled ones from the others. */
export function describeUnetLimits(
  folder: ModelFolder,
  config: SchedulerConfig,
  { guidance, isToldScale }: { readonly guidance: number; readonly isToldScale: boolean },
): EngineLimits {
  const isLcm = config.kind === "lcm";
  const few = config.isDistilled ? 4 : 8;
  const isQuick = isLcm || config.isDistilled;
  return readLimits(
    {
      steps: isQuick ? { min: 1, max: few, default: 4 } : { min: 1, max: 100, default: 28 },
      guidance: isQuick && !isToldScale ? null : { min: 1, max: 20, default: isLcm ? 8.5 : guidance },
      multipleOf: 8,
      maxArea: TWO_MEGAPIXELS,
    },
    folder.overrides,
  );
}

/**
 * Most weights of a UNet work at a fraction of the latents' size: for SD 1.5 (860 million weights, 0.7 TFLOP a step
 * at 512x512) about a tenth of the places.
 */
export function countUnetTokens({ width, height }: Size): number {
  return Math.round((width * height) / 64 / 10);
}

const COND_WIDTH = 256;
const HALF = COND_WIDTH / 2;

/** The guidance scale as sines and cosines, for models that were distilled to be told it (Luo et al. 2023). */
export function createTimestepCond(guidance: number): Values {
  const data = new Float32Array(COND_WIDTH);
  const value = (guidance - 1) * 1000;
  for (let k = 0; k < HALF; k++) {
    const angle = Math.fround(value * Math.fround(Math.exp((-Math.log(10_000) * k) / (HALF - 1))));
    data[k] = Math.sin(angle);
    data[HALF + k] = Math.cos(angle);
  }
  return { data, dims: [1, COND_WIDTH] };
}
