/**
 * Rectified flow: the picture is `x0`, the noise `n`, and in between `x = (1 - sigma)·x0 + sigma·n`. The network
 * predicts the flow `v = n - x0`; one Euler step follows it from one sigma to the next (FlowMatchEulerDiscrete).
 */
export interface FlowMatchOptions {
  readonly steps: number;
  /** Moves steps towards high noise, where larger pictures need them. Default: none. */
  readonly shift?: FlowShift;
  /** Stretches the sigmas so that the last one before 0 is this. */
  readonly terminal?: number;
  /** `linear` (default) starts from 1, 1-1/n, …; `shifted-range` from an even range between the shifted ends. */
  readonly spacing?: "linear" | "shifted-range";
}

export type FlowShift =
  | { readonly kind: "static"; readonly shift: number }
  | { readonly kind: "exponential"; readonly mu: number }
  | { readonly kind: "linear"; readonly mu: number };

/** A line through two points: image tokens to shift. */
export interface MuRange {
  readonly baseShift: number;
  readonly maxShift: number;
  readonly baseTokens: number;
  readonly maxTokens: number;
}

/** `steps + 1` noise levels from about 1 down to 0. The timestep of a step is its sigma times 1000. */
export function takeFlowMatchSigmas(options: FlowMatchOptions): Float32Array {
  const { steps, shift = { kind: "static", shift: 1 }, terminal, spacing = "linear" } = options;
  const start = spacing === "linear" ? spaceLinear(steps) : spaceShiftedRange(steps, shift);
  const shifted = start.map((sigma) => applyShift(sigma, shift));
  const stretched = terminal === undefined ? shifted : stretch(shifted, terminal);
  return Float32Array.from([...stretched, 0]);
}

/** Follows the flow in place: `x += (next - sigma) · v`. */
export function takeFlowMatchStep(
  latents: Float32Array,
  flow: Float32Array,
  sigma: number,
  nextSigma: number,
): void {
  const delta = nextSigma - sigma;
  for (let i = 0; i < latents.length; i++) latents[i] = (latents[i] as number) + delta * (flow[i] as number);
}

/** The shift of FLUX.1, SD3.5 and Qwen-Image for a number of image tokens. */
export function getResolutionMu(
  tokens: number,
  range: MuRange = { baseShift: 0.5, maxShift: 1.15, baseTokens: 256, maxTokens: 4096 },
): number {
  const slope = (range.maxShift - range.baseShift) / (range.maxTokens - range.baseTokens);
  return slope * tokens + range.baseShift - slope * range.baseTokens;
}

/** The empirical shift of FLUX.2 for a number of image tokens and steps. */
export function getFlux2Mu(tokens: number, steps: number): number {
  const at200 = 0.00016927 * tokens + 0.45666666;
  if (tokens > 4300) return at200;
  const at10 = 8.73809524e-5 * tokens + 1.89833333;
  const slope = (at200 - at10) / 190;
  return slope * steps + at200 - 200 * slope;
}

function spaceLinear(steps: number): number[] {
  return Array.from({ length: steps }, (_, i) => 1 - i / steps);
}

/** What the scheduler does by itself (SD3): the ends are shifted once here and everything once more after. */
function spaceShiftedRange(steps: number, shift: FlowShift): number[] {
  const last = applyShift(0.001, shift);
  return Array.from({ length: steps }, (_, i) => (steps === 1 ? 1 : 1 + ((last - 1) * i) / (steps - 1)));
}

function applyShift(sigma: number, shift: FlowShift): number {
  switch (shift.kind) {
    case "static":
      return (shift.shift * sigma) / (1 + (shift.shift - 1) * sigma);
    case "exponential":
      return Math.exp(shift.mu) / (Math.exp(shift.mu) + 1 / sigma - 1);
    case "linear":
      return shift.mu / (shift.mu + 1 / sigma - 1);
    default:
      throw shift satisfies never;
  }
}

function stretch(sigmas: readonly number[], terminal: number): number[] {
  const last = 1 - (sigmas.at(-1) ?? 0);
  return sigmas.map((sigma) => 1 - ((1 - sigma) * (1 - terminal)) / last);
}
