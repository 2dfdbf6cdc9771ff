import { setImmediate } from "node:timers/promises";
import type { Latents, OnStep } from "./pipeline.ts";
import type { SchedulerRun } from "./schedulers/create-scheduler.ts";
import { takeFlowMatchStep } from "./schedulers/flow-match.ts";
import { at } from "./schedulers/scheduler.ts";

export interface FlowOptions {
  /** Starts as noise, or a noisy picture, and ends as the picture's latents, in place. */
  readonly latents: Float32Array;
  /** Noise levels from the first step on, with the final 0. */
  readonly sigmas: Float32Array;
  /** The flow from picture to noise at these latents. */
  readonly predict: (latents: Float32Array, sigma: number) => Promise<Float32Array>;
  /** The family's layout back to channels first. */
  readonly unpack: (latents: Float32Array) => Latents;
  readonly signal: AbortSignal;
  readonly onStep: OnStep;
}

/** Follows the flow from noise to picture. The event loop turns before every step, so that a cancel is heard. */
export async function denoiseFlow(options: FlowOptions): Promise<void> {
  const { latents, sigmas, predict, unpack, signal, onStep } = options;
  const steps = sigmas.length - 1;
  for (let step = 0; step < steps; step++) {
    await setImmediate();
    signal.throwIfAborted();
    const sigma = at(sigmas, step);
    const flow = await predict(latents, sigma);
    const before = latents.slice();
    takeFlowMatchStep(latents, flow, sigma, at(sigmas, step + 1));
    const estimate = () => unpack(before.map((x, i) => x - sigma * (flow[i] as number)));
    await onStep({ finished: step + 1, steps, latents: () => unpack(latents.slice()), estimate });
  }
}

/**
 * Latents at the first noise level: noise alone, or with a picture to start from the mix that strength asks for.
 * @returns the latents, and the noise levels that are left
 */
export function startFlow(
  sigmas: Float32Array,
  noise: Float32Array,
  init: { readonly clean: Float32Array; readonly strength: number } | undefined,
): { readonly latents: Float32Array; readonly sigmas: Float32Array } {
  if (init === undefined) return { latents: noise, sigmas };
  const steps = sigmas.length - 1;
  // A strength too small for one step still takes the last one.
  const skipped = Math.min(steps - 1, Math.floor(steps - Math.min(steps * init.strength, steps)));
  const sigma = at(sigmas, skipped);
  return {
    latents: noise.map((value, i) => sigma * value + (1 - sigma) * (init.clean[i] as number)),
    sigmas: sigmas.slice(skipped),
  };
}

export interface ScheduledOptions {
  readonly run: SchedulerRun;
  readonly latents: Latents;
  readonly predict: (sample: Float32Array, timestep: number) => Promise<Float32Array>;
  readonly signal: AbortSignal;
  readonly onStep: OnStep;
}

/** The same with one of the schedulers of the Stable Diffusion families. @returns the picture's latents */
export async function denoiseScheduled(options: ScheduledOptions): Promise<Latents> {
  const { run, latents, predict, signal, onStep } = options;
  const { scheduler, first } = run;
  const steps = scheduler.timesteps.length - first;
  let sample = latents.data;
  for (let step = 0; step < steps; step++) {
    await setImmediate();
    signal.throwIfAborted();
    const index = first + step;
    const input = scheduler.scaleInput(sample, index);
    const prediction = await predict(input, at(scheduler.timesteps, index));
    const before = sample;
    sample = scheduler.step(prediction, index, sample);
    const estimate = () => ({ ...latents, data: run.estimate(prediction, index, before) });
    const after = sample;
    await onStep({ finished: step + 1, steps, latents: () => ({ ...latents, data: after }), estimate });
  }
  return { ...latents, data: sample };
}
