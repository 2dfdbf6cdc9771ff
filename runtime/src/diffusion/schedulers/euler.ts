import type { NoiseSource } from "../noise.ts";
import {
  type BetaSchedule,
  findTimestep,
  getAlphaProducts,
  getSigmaTable,
  interpolate,
  spaceKarras,
  spaceTimesteps,
  type TimestepSpacing,
} from "./beta-schedule.ts";
import { at, combine, type PredictionKind, type Scheduler } from "./scheduler.ts";

export interface EulerOptions {
  readonly steps: number;
  readonly betas: BetaSchedule;
  readonly spacing: TimestepSpacing;
  /** Added to `leading` timesteps. */
  readonly offset: number;
  readonly prediction: Exclude<PredictionKind, "flow">;
  readonly karras?: boolean;
  /** With it every step adds fresh noise (the ancestral kind), drawn from here. */
  readonly ancestralNoise?: NoiseSource;
}

export interface EulerScheduler extends Scheduler {
  /** One per step and a final 0. */
  readonly sigmas: readonly number[];
}

/** EulerDiscrete and EulerAncestralDiscrete: straight steps in the noise level (Karras et al. 2022, algorithm 2). */
export function createEuler(options: EulerOptions): EulerScheduler {
  const { steps, betas, spacing, offset, karras = false, ancestralNoise } = options;
  const table = getSigmaTable(getAlphaProducts(betas));
  const spaced = spaceTimesteps(spacing, { steps, total: betas.timesteps, offset });
  const plain = spaced.map((timestep) => interpolate(table, timestep));
  const levels = karras ? spaceKarras(at(plain, 0), at(plain, steps - 1), steps) : plain;
  const timesteps = karras ? levels.map((sigma) => findTimestep(table, sigma)) : spaced;
  const sigmas = [...levels, 0];
  const largest = Math.max(...levels);

  return {
    timesteps,
    sigmas,
    initialScale: spacing === "leading" ? Math.sqrt(largest ** 2 + 1) : largest,
    scaleInput(sample, index) {
      const scale = 1 / Math.sqrt(at(sigmas, index) ** 2 + 1);
      return sample.map((value) => value * scale);
    },
    step(prediction, index, sample) {
      const [sigma, next] = [at(sigmas, index), at(sigmas, index + 1)];
      const up =
        ancestralNoise === undefined ? 0 : Math.sqrt((next ** 2 * (sigma ** 2 - next ** 2)) / sigma ** 2);
      const down = Math.sqrt(next ** 2 - up ** 2);
      const moved = combine(sample, prediction, (x, p) => {
        const clean = predictClean(options.prediction, x, p, sigma);
        return x + ((x - clean) / sigma) * (down - sigma);
      });
      if (ancestralNoise === undefined) return moved;
      // Drawn on the last step too, where nothing of it is used: the stream stays that of the reference.
      return combine(moved, ancestralNoise.draw(moved.length), (x, noise) => x + noise * up);
    },
  };
}

function predictClean(
  kind: EulerOptions["prediction"],
  x: number,
  prediction: number,
  sigma: number,
): number {
  switch (kind) {
    case "epsilon":
      return x - sigma * prediction;
    case "v":
      return (prediction * -sigma) / Math.sqrt(sigma ** 2 + 1) + x / (sigma ** 2 + 1);
    case "sample":
      return prediction;
    default:
      throw kind satisfies never;
  }
}
