import type { NoiseSource } from "../noise.ts";
import { type BetaSchedule, getAlphaProducts } from "./beta-schedule.ts";
import { at, combine, type Scheduler } from "./scheduler.ts";

export interface LcmOptions {
  readonly steps: number;
  readonly betas: BetaSchedule;
  /** Steps of the teacher that the model was distilled from. */
  readonly originalSteps: number;
  readonly prediction: "epsilon" | "v";
  readonly setAlphaToOne: boolean;
  /** Part of the teacher's steps that a run from a picture goes through; default 1, all. */
  readonly strength?: number;
  /** Every step but the last adds noise from here. */
  readonly noise: NoiseSource;
}

const SIGMA_DATA = 0.5;
const TIMESTEP_SCALING = 10;

/** Latent consistency models (Luo et al. 2023): each call jumps to a clean picture and back to less noise. */
export function createLcm(options: LcmOptions): Scheduler {
  const { betas, originalSteps, strength = 1, prediction: kind, setAlphaToOne, noise: source } = options;
  const products = getAlphaProducts(betas);
  const stride = Math.floor(betas.timesteps / originalSteps);
  const count = Math.max(1, Math.floor(originalSteps * strength));
  const steps = Math.min(options.steps, count);
  const taught = Array.from({ length: count }, (_, i) => (count - i) * stride - 1);
  const timesteps = Array.from({ length: steps }, (_, i) =>
    at(taught, Math.floor((i * taught.length) / steps)),
  );
  return {
    timesteps,
    initialScale: 1,
    scaleInput: (sample) => sample,
    step(prediction, index, sample) {
      const timestep = at(timesteps, index);
      const now = at(products, timestep);
      const [picture, noise] = [Math.sqrt(now), Math.sqrt(1 - now)];
      const scaled = timestep * TIMESTEP_SCALING;
      const skip = SIGMA_DATA ** 2 / (scaled ** 2 + SIGMA_DATA ** 2);
      const out = scaled / Math.sqrt(scaled ** 2 + SIGMA_DATA ** 2);
      const clean = combine(sample, prediction, (x, p) => {
        const predicted = kind === "epsilon" ? (x - noise * p) / picture : picture * x - noise * p;
        return out * predicted + skip * x;
      });
      if (index === steps - 1) return clean;
      const previous = at(timesteps, index + 1);
      const next = previous >= 0 ? at(products, previous) : setAlphaToOne ? 1 : at(products, 0);
      return combine(
        clean,
        source.draw(clean.length),
        (x, drawn) => Math.sqrt(next) * x + Math.sqrt(1 - next) * drawn,
      );
    },
  };
}
