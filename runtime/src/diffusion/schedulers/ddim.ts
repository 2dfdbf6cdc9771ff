import {
  type BetaSchedule,
  getAlphaProducts,
  spaceTimesteps,
  type TimestepSpacing,
} from "./beta-schedule.ts";
import { at, combine, type Scheduler } from "./scheduler.ts";

export interface DdimOptions {
  readonly steps: number;
  readonly betas: BetaSchedule;
  readonly spacing: TimestepSpacing;
  /** Added to `leading` timesteps. */
  readonly offset: number;
  readonly prediction: "epsilon" | "v";
  /** Takes the last step to a clean picture instead of to the first training timestep. */
  readonly setAlphaToOne: boolean;
  /** Keeps the predicted picture within -1..1. */
  readonly clipSample: boolean;
}

/** DDIM without added noise (Song et al. 2020, equation 12 with eta 0). */
export function createDdim(options: DdimOptions): Scheduler {
  const { steps, betas, spacing, offset, prediction: kind, setAlphaToOne, clipSample } = options;
  const products = getAlphaProducts(betas);
  const timesteps = spaceTimesteps(spacing, { steps, total: betas.timesteps, offset }).map(Math.round);
  const stride = Math.floor(betas.timesteps / steps);
  return {
    timesteps,
    initialScale: 1,
    scaleInput: (sample) => sample,
    step(prediction, index, sample) {
      const timestep = at(timesteps, index);
      const previous = timestep - stride;
      const now = at(products, timestep);
      const next = previous >= 0 ? at(products, previous) : setAlphaToOne ? 1 : at(products, 0);
      const [picture, noise] = [Math.sqrt(now), Math.sqrt(1 - now)];
      return combine(sample, prediction, (x, p) => {
        const predicted = kind === "epsilon" ? (x - noise * p) / picture : picture * x - noise * p;
        const epsilon = kind === "epsilon" ? p : picture * p + noise * x;
        const clean = clipSample ? Math.min(1, Math.max(-1, predicted)) : predicted;
        return Math.sqrt(next) * clean + Math.sqrt(1 - next) * epsilon;
      });
    },
  };
}
