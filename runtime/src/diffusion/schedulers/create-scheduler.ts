import { EngineError } from "../../engines/engine.ts";
import type { JsonObject } from "../../weights/engine-overrides.ts";
import type { NoiseSource } from "../noise.ts";
import { type BetaSchedule, getAlphaProducts, type TimestepSpacing } from "./beta-schedule.ts";
import { createDdim } from "./ddim.ts";
import { createDpmSolver } from "./dpm-solver.ts";
import { createEuler } from "./euler.ts";
import { createLcm } from "./lcm.ts";
import { createPndm } from "./pndm.ts";
import { at, combine, type Scheduler } from "./scheduler.ts";

/** What `scheduler_config.json` of the Stable Diffusion families says, with the reference's defaults filled in. */
export interface SchedulerConfig {
  readonly kind: SchedulerKind;
  readonly betas: BetaSchedule;
  readonly prediction: "epsilon" | "v";
  readonly spacing: TimestepSpacing;
  readonly offset: number;
  readonly karras: boolean;
  readonly setAlphaToOne: boolean;
  readonly clipSample: boolean;
  readonly originalSteps: number;
  /** Made for a handful of steps without guidance: SD-Turbo, SDXL-Turbo, Lightning. */
  readonly isDistilled: boolean;
}

export type SchedulerKind = "euler" | "euler-ancestral" | "ddim" | "lcm" | "pndm" | "dpm-solver";

const KINDS: Readonly<Record<string, SchedulerKind>> = {
  EulerDiscreteScheduler: "euler",
  EulerAncestralDiscreteScheduler: "euler-ancestral",
  DDIMScheduler: "ddim",
  LCMScheduler: "lcm",
  PNDMScheduler: "pndm",
  DPMSolverMultistepScheduler: "dpm-solver",
};

/** One run, and where it starts. */
export interface SchedulerRun {
  readonly scheduler: Scheduler;
  /** The first call; more than 0 when the run starts from a picture. */
  readonly first: number;
  /** A clean sample with as much noise as the first call expects. */
  addNoise(clean: Float32Array, noise: Float32Array): Float32Array;
  /** The picture that a prediction points to, before the step of call `index`. */
  estimate(prediction: Float32Array, index: number, sample: Float32Array): Float32Array;
}

/**
 * Reads a scheduler's configuration.
 * @throws EngineError for schedulers and options that are not known, saying which are and where to change it
 */
export function readSchedulerConfig(config: JsonObject, path: string): SchedulerConfig {
  const name = String(config["_class_name"]);
  const kind = KINDS[name];
  if (kind === undefined)
    throw refuse(path, `the scheduler ${name} is not known; known are ${Object.keys(KINDS).join(", ")}`);
  const number = (field: string, normal: number) => Number(config[field] ?? normal);
  const isLcm = kind === "lcm";
  const betas: BetaSchedule = {
    kind: choose(
      config,
      "beta_schedule",
      ["linear", "scaled_linear"],
      isLcm ? "scaled_linear" : "linear",
      path,
    ),
    start: number("beta_start", isLcm ? 0.00085 : 0.0001),
    end: number("beta_end", isLcm ? 0.012 : 0.02),
    timesteps: number("num_train_timesteps", 1000),
    rescaleZeroSnr: config["rescale_betas_zero_snr"] === true,
  };
  const prediction = choose(config, "prediction_type", ["epsilon", "v_prediction"], "epsilon", path);
  if (kind === "pndm" && prediction === "v_prediction")
    throw refuse(path, 'PNDMScheduler is not supported with "v_prediction"; DDIMScheduler is');
  const hasLeading = kind === "ddim" || kind === "pndm" || isLcm;
  const spacing = choose(
    config,
    "timestep_spacing",
    ["linspace", "leading", "trailing"],
    hasLeading ? "leading" : "linspace",
    path,
  );
  for (const [field, allowed] of REFUSED)
    if (config[field] !== undefined && config[field] !== null && !allowed.includes(config[field]))
      throw refuse(path, `"${field}": ${JSON.stringify(config[field])} is not supported`);
  return {
    kind,
    betas,
    spacing,
    prediction: prediction === "epsilon" ? "epsilon" : "v",
    offset: number("steps_offset", 0),
    karras: config["use_karras_sigmas"] === true,
    setAlphaToOne:
      config["set_alpha_to_one"] === undefined ? kind !== "pndm" : config["set_alpha_to_one"] === true,
    clipSample: kind === "ddim" && config["clip_sample"] !== false,
    originalSteps: number("original_inference_steps", 50),
    isDistilled:
      kind.startsWith("euler") &&
      spacing === "trailing" &&
      prediction === "epsilon" &&
      betas.rescaleZeroSnr !== true,
  };
}

/** Options that change the arithmetic in ways that are not implemented, with the values that do not. */
const REFUSED: readonly (readonly [field: string, allowed: readonly unknown[]])[] = [
  ["trained_betas", []],
  ["thresholding", [false]],
  ["use_exponential_sigmas", [false]],
  ["use_beta_sigmas", [false]],
  ["use_flow_sigmas", [false]],
  ["solver_order", [2]],
  ["solver_type", ["midpoint"]],
  ["algorithm_type", ["dpmsolver++"]],
  ["final_sigmas_type", ["zero"]],
  ["lower_order_final", [true]],
  ["interpolation_type", ["linear"]],
  ["skip_prk_steps", [true]],
];

/**
 * A run of `steps` steps; with `strength` below 1 the part of it that a picture of that noise level still has
 * before it. Noise of the steps comes from `noise`.
 */
export function createSchedulerRun(
  config: SchedulerConfig,
  {
    steps,
    noise,
    strength = 1,
  }: { readonly steps: number; readonly noise: NoiseSource; readonly strength?: number },
): SchedulerRun {
  const { betas, prediction, spacing, offset, karras, setAlphaToOne, clipSample, originalSteps } = config;
  // A strength too small for one step still takes the last one.
  const skip = steps - Math.max(1, Math.min(Math.floor(steps * strength), steps));
  const products = getAlphaProducts(betas);
  /** For schedulers whose sample keeps its variance; the share is that of the picture, squared. */
  const mixBy = (
    scheduler: Scheduler,
    first: number,
    getShare = (index: number) => at(products, Math.round(at(scheduler.timesteps, index))),
  ): SchedulerRun => ({
    scheduler,
    first,
    addNoise(clean, drawn) {
      const now = getShare(first);
      const [keep, add] = [Math.sqrt(now), Math.sqrt(1 - now)];
      return combine(clean, drawn, (x, n) => keep * x + add * n);
    },
    estimate(predicted, index, sample) {
      const now = getShare(index);
      const [keep, add] = [Math.sqrt(now), Math.sqrt(1 - now)];
      return combine(sample, predicted, (x, p) =>
        prediction === "epsilon" ? (x - add * p) / keep : keep * x - add * p,
      );
    },
  });
  switch (config.kind) {
    case "euler":
    case "euler-ancestral": {
      const scheduler = createEuler({
        steps,
        betas,
        spacing,
        offset,
        prediction,
        karras,
        ...(config.kind === "euler-ancestral" ? { ancestralNoise: noise } : {}),
      });
      const sigma = scheduler.sigmas[skip] ?? 0;
      return {
        scheduler,
        first: skip,
        addNoise: (clean, drawn) => combine(clean, drawn, (x, n) => x + sigma * n),
        estimate(predicted, index, sample) {
          const level = at(scheduler.sigmas, index);
          const variance = level ** 2 + 1;
          return combine(sample, predicted, (x, p) =>
            prediction === "epsilon" ? x - level * p : x / variance - (p * level) / Math.sqrt(variance),
          );
        },
      };
    }
    case "ddim":
      return mixBy(
        createDdim({ steps, betas, spacing, offset, prediction, setAlphaToOne, clipSample }),
        skip,
      );
    case "lcm":
      return mixBy(createLcm({ steps, betas, originalSteps, strength, prediction, setAlphaToOne, noise }), 0);
    case "pndm":
      return mixBy(createPndm({ steps, betas, offset, setAlphaToOne, skip }), 0);
    case "dpm-solver": {
      const noise = { kind: "betas", betas, spacing, offset, karras } as const;
      const scheduler = createDpmSolver({ steps, noise, prediction });
      // Its noise levels lie between timesteps when they are spaced after Karras.
      return mixBy(scheduler, skip, (index) => 1 / (at(scheduler.sigmas, index) ** 2 + 1));
    }
    default:
      throw config.kind satisfies never;
  }
}

function choose<T extends string>(
  config: JsonObject,
  field: string,
  allowed: readonly T[],
  normal: T,
  path: string,
): T {
  const value = config[field] ?? normal;
  const found = allowed.find((item) => item === value);
  if (found !== undefined) return found;
  throw refuse(path, `"${field}": ${JSON.stringify(value)} is not supported; ${allowed.join(" and ")} are`);
}

function refuse(path: string, problem: string): EngineError {
  return new EngineError(
    "failed",
    `The scheduler of ${path} cannot be used: ${problem}. Choose another as "scheduler" in ${path}/engine.json.`,
  );
}
