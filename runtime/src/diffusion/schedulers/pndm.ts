import { type BetaSchedule, getAlphaProducts, spaceTimesteps } from "./beta-schedule.ts";
import { at, combine, type Scheduler } from "./scheduler.ts";

export interface PndmOptions {
  readonly steps: number;
  readonly betas: BetaSchedule;
  /** Added to the timesteps. */
  readonly offset: number;
  readonly setAlphaToOne: boolean;
  /** Timesteps left out at the beginning, for a run that starts from a picture; default 0. */
  readonly skip?: number;
}

/** Weights of the last predictions, newest first, by how many there are (linear multistep). */
const WEIGHTS: readonly (readonly number[])[] = [
  [1],
  [3 / 2, -1 / 2],
  [23 / 12, -16 / 12, 5 / 12],
  [55 / 24, -59 / 24, 37 / 24, -9 / 24],
];

/**
 * PNDM in the short form that Stable Diffusion ships with (`skip_prk_steps`; Liu et al. 2022): a multistep method
 * that asks the network once more than it has steps, because it takes its first step twice to get started.
 */
export function createPndm({ steps, betas, offset, setAlphaToOne, skip = 0 }: PndmOptions): Scheduler {
  const products = getAlphaProducts(betas);
  const spaced = spaceTimesteps("leading", { steps, total: betas.timesteps, offset }).slice(skip);
  const timesteps = spaced.flatMap((timestep, i) => (i === 1 ? [timestep, timestep] : [timestep]));
  const stride = Math.floor(betas.timesteps / steps);
  const getProduct = (timestep: number) =>
    timestep >= 0 ? at(products, timestep) : setAlphaToOne ? 1 : at(products, 0);
  const predictions: Float32Array[] = [];
  let first: Float32Array | undefined;

  return {
    timesteps,
    initialScale: 1,
    scaleInput: (sample) => sample,
    step(prediction, index, sample) {
      const timestep = at(timesteps, index);
      if (index === 1 && first !== undefined) {
        // The repeated call goes over the first step again, with the mean of both predictions.
        const mean = combine(prediction, predictions[0] ?? prediction, (a, b) => (a + b) / 2);
        return move(first, mean, getProduct(timestep + stride), getProduct(timestep));
      }
      if (index === 0) first = sample;
      predictions.unshift(prediction);
      predictions.splice(WEIGHTS.length);
      const weights = WEIGHTS[predictions.length - 1] ?? [];
      const mixed = prediction.map((_, i) =>
        weights.reduce((sum, weight, k) => sum + weight * at(predictions[k] ?? prediction, i), 0),
      );
      return move(sample, mixed, getProduct(timestep), getProduct(timestep - stride));
    },
  };
}

/** Equation 9 of the paper. */
function move(sample: Float32Array, prediction: Float32Array, now: number, next: number): Float32Array {
  const scale = Math.sqrt(next / now);
  const divisor = now * Math.sqrt(1 - next) + Math.sqrt(now * (1 - now) * next);
  return combine(sample, prediction, (x, p) => scale * x - ((next - now) * p) / divisor);
}
