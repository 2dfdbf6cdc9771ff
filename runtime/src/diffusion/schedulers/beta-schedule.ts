import { at } from "./scheduler.ts";

/**
 * How much noise a model of the Stable Diffusion family learned at each of its training timesteps. The names
 * and defaults are those of `scheduler_config.json`.
 */
export interface BetaSchedule {
  readonly kind: "linear" | "scaled_linear";
  readonly start: number;
  readonly end: number;
  /** Timesteps of the training; 1000 everywhere. */
  readonly timesteps: number;
  /** Lets the last timestep be noise alone (`rescale_betas_zero_snr`). */
  readonly rescaleZeroSnr?: boolean;
}

export const STABLE_DIFFUSION_BETAS: BetaSchedule = {
  kind: "scaled_linear",
  start: 0.00085,
  end: 0.012,
  timesteps: 1000,
};

/** Which of the training timesteps a run of few steps visits. */
export type TimestepSpacing = "linspace" | "leading" | "trailing";

/**
 * The share of picture (squared) left at each training timestep: the product of all `1 - beta` so far. Rounded to
 * float32 where the reference is, because the first ones lie so near to 1 that the rounding shows in their sigmas.
 */
export function getAlphaProducts(schedule: BetaSchedule): Float64Array {
  const { kind, start, end, timesteps, rescaleZeroSnr = false } = schedule;
  const [first, last] = kind === "linear" ? [start, end] : [Math.sqrt(start), Math.sqrt(end)];
  let product = 1;
  const products = Float64Array.from({ length: timesteps }, (_, i) => {
    const value = F(first + ((last - first) * i) / (timesteps - 1));
    product *= F(1 - (kind === "linear" ? value : F(value ** 2)));
    return F(product);
  });
  return rescaleZeroSnr ? rescale(products) : products;
}

/** The noise level of each training timestep. */
export function getSigmaTable(products: Float64Array): Float64Array {
  return products.map((product) => F(Math.sqrt(F(F(1 - product) / product))));
}

const F = Math.fround;

/** Timesteps of a run, from the noisiest on; `linspace` ones have fractions. */
export function spaceTimesteps(
  spacing: TimestepSpacing,
  options: { readonly steps: number; readonly total: number; readonly offset: number },
): number[] {
  const { steps, total, offset } = options;
  const indices = Array.from({ length: steps }, (_, k) => k);
  switch (spacing) {
    case "linspace":
      return indices.map((k) => (steps === 1 ? 0 : ((total - 1) * (steps - 1 - k)) / (steps - 1)));
    case "leading":
      return indices.map((k) => (steps - 1 - k) * Math.floor(total / steps) + offset);
    case "trailing":
      return indices.map((k) => Math.round(total - (k * total) / steps) - 1);
    default:
      throw spacing satisfies never;
  }
}

/** The table's value at a position between its entries. */
export function interpolate(table: Float64Array, position: number): number {
  const low = Math.min(table.length - 1, Math.max(0, Math.floor(position)));
  const high = Math.min(table.length - 1, low + 1);
  return at(table, low) + (at(table, high) - at(table, low)) * (position - low);
}

/** The noise levels of Karras et al. 2022, equation 5, with rho 7. */
export function spaceKarras(largest: number, smallest: number, steps: number): number[] {
  const [from, to] = [largest ** (1 / 7), smallest ** (1 / 7)];
  return Array.from({ length: steps }, (_, k) => (from + ((to - from) * k) / Math.max(1, steps - 1)) ** 7);
}

/** The timestep, with a fraction, at which the table has a noise level; by interpolating its logarithm. */
export function findTimestep(table: Float64Array, sigma: number): number {
  const wanted = Math.log(Math.max(sigma, 1e-10));
  let low = 0;
  while (low < table.length - 2 && Math.log(at(table, low + 1)) <= wanted) low++;
  const [below, above] = [Math.log(at(table, low)), Math.log(at(table, low + 1))];
  return low + Math.min(1, Math.max(0, (below - wanted) / (below - above)));
}

/** Shifts and scales the roots so that the last is 0 and the first stays, as Lin et al. 2024 propose. */
function rescale(products: Float64Array): Float64Array {
  const roots = products.map(Math.sqrt);
  const [first, last] = [at(roots, 0), at(roots, roots.length - 1)];
  const rescaled = roots.map((root) => (((root - last) * first) / (first - last)) ** 2);
  // Not quite 0, so that its sigma stays a number.
  rescaled[rescaled.length - 1] = 2 ** -24;
  return rescaled;
}
