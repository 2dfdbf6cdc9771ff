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

export interface DpmSolverOptions {
  readonly steps: number;
  readonly noise:
    | {
        readonly kind: "betas";
        readonly betas: BetaSchedule;
        readonly spacing: TimestepSpacing;
        /** Added to `leading` timesteps. */
        readonly offset: number;
        readonly karras?: boolean;
      }
    /** Rectified flow, with a static shift (Sana). */
    | { readonly kind: "flow"; readonly shift: number };
  readonly prediction: PredictionKind;
}

export interface DpmSolver extends Scheduler {
  /** One per step and a final 0. */
  readonly sigmas: readonly number[];
}

/** DPM-Solver++ 2M, the midpoint form (Lu et al. 2022, algorithm 2): each step also uses the last prediction. */
export function createDpmSolver({ steps, noise, prediction: kind }: DpmSolverOptions): DpmSolver {
  const { timesteps, sigmas } =
    noise.kind === "flow" ? spaceFlow(steps, noise.shift) : spaceBetas(steps, noise);
  const levels = sigmas.map((sigma) => (noise.kind === "flow" ? splitFlow(sigma) : splitVariance(sigma)));
  let before: Float32Array | undefined;

  return {
    timesteps,
    sigmas,
    initialScale: 1,
    scaleInput: (sample) => sample,
    step(prediction, index, sample) {
      const [now, next] = [getLevel(levels, index), getLevel(levels, index + 1)];
      const clean = combine(sample, prediction, (x, p) => predictClean(kind, x, p, now));
      const previous = before;
      before = clean;
      const width = next.lambda - now.lambda;
      const keep = next.noise / now.noise;
      const gain = next.picture * Math.expm1(-width);
      // The first step has no earlier prediction; the last, to no noise at all, is exact with one.
      if (previous === undefined || index === steps - 1)
        return combine(sample, clean, (x, m) => keep * x - gain * m);
      const ratio = (now.lambda - getLevel(levels, index - 1).lambda) / width;
      const slope = combine(clean, previous, (m0, m1) => m0 + (m0 - m1) / ratio / 2);
      return combine(sample, slope, (x, m) => keep * x - gain * m);
    },
  };
}

/** Shares of picture and noise at a noise level, and half the logarithm of their ratio squared. */
interface Level {
  readonly picture: number;
  readonly noise: number;
  readonly lambda: number;
}

function splitVariance(sigma: number): Level {
  const picture = 1 / Math.sqrt(sigma ** 2 + 1);
  return { picture, noise: sigma * picture, lambda: -Math.log(sigma) };
}

function splitFlow(sigma: number): Level {
  return { picture: 1 - sigma, noise: sigma, lambda: Math.log(1 - sigma) - Math.log(sigma) };
}

function predictClean(kind: PredictionKind, x: number, p: number, { picture, noise }: Level): number {
  switch (kind) {
    case "epsilon":
      return (x - noise * p) / picture;
    case "v":
      return picture * x - noise * p;
    case "sample":
      return p;
    case "flow":
      return x - noise * p;
    default:
      throw kind satisfies never;
  }
}

function spaceBetas(
  steps: number,
  options: Extract<DpmSolverOptions["noise"], { kind: "betas" }>,
): { timesteps: number[]; sigmas: number[] } {
  const { betas, spacing, offset, karras = false } = options;
  const table = getSigmaTable(getAlphaProducts(betas));
  if (karras) {
    const sigmas = spaceKarras(at(table, table.length - 1), at(table, 0), steps);
    return {
      timesteps: sigmas.map((sigma) => Math.round(findTimestep(table, sigma))),
      sigmas: [...sigmas, 0],
    };
  }
  // Two of the spacings place one point more and leave out the one without noise.
  const points = spacing === "trailing" ? steps : steps + 1;
  const timesteps = spaceTimesteps(spacing, { steps: points, total: betas.timesteps, offset })
    .slice(0, steps)
    .map(Math.round);
  return { timesteps, sigmas: [...timesteps.map((timestep) => interpolate(table, timestep)), 0] };
}

function spaceFlow(steps: number, shift: number): { timesteps: number[]; sigmas: number[] } {
  const total = 1000;
  const sigmas = Array.from({ length: steps }, (_, i) => {
    const picture = 1 + ((1 / total - 1) * (steps - i)) / steps;
    const sigma = 1 - picture;
    return (shift * sigma) / (1 + (shift - 1) * sigma);
  });
  return { timesteps: sigmas.map((sigma) => Math.trunc(sigma * total)), sigmas: [...sigmas, 0] };
}

function getLevel(levels: readonly Level[], index: number): Level {
  const level = levels[index];
  if (level === undefined) throw new RangeError(`there is no step ${index}`);
  return level;
}
