import assert from "node:assert/strict";
import { describe, test } from "node:test";
import {
  createToySample,
  getLargestDifference,
  getSchedulerCase,
  predictToy,
  SCHEDULER_CASE_NAMES,
} from "../../testing/scheduler-cases.ts";
import { createNoiseSource } from "../noise.ts";
import { STABLE_DIFFUSION_BETAS as betas, getAlphaProducts } from "./beta-schedule.ts";
import { createDdim } from "./ddim.ts";
import { createDpmSolver } from "./dpm-solver.ts";
import { createEuler } from "./euler.ts";
import { createLcm } from "./lcm.ts";
import { createPndm } from "./pndm.ts";
import type { Scheduler } from "./scheduler.ts";

type Named = Scheduler & { readonly sigmas?: readonly number[] };

const epsilon = { betas, prediction: "epsilon" } as const;

/** Every recorded run that is not of the flow-match scheduler. */
const RUNS: readonly [name: string, create: () => Named][] = [
  [
    "euler sdxl leading off=1 20",
    () => createEuler({ ...epsilon, steps: 20, spacing: "leading", offset: 1 }),
  ],
  [
    "euler sd-turbo/lightning trailing 4",
    () => createEuler({ ...epsilon, steps: 4, spacing: "trailing", offset: 0 }),
  ],
  ["euler sd-turbo trailing 1", () => createEuler({ ...epsilon, steps: 1, spacing: "trailing", offset: 0 })],
  [
    "euler v_prediction linspace 10",
    () => createEuler({ betas, prediction: "v", steps: 10, spacing: "linspace", offset: 0 }),
  ],
  [
    "euler karras leading 10",
    () => createEuler({ ...epsilon, steps: 10, spacing: "leading", offset: 1, karras: true }),
  ],
  [
    "euler-ancestral leading off=1 10",
    () =>
      createEuler({
        ...epsilon,
        steps: 10,
        spacing: "leading",
        offset: 1,
        ancestralNoise: createNoiseSource(1),
      }),
  ],
  [
    "sdxl-turbo euler-ancestral trailing 4",
    () =>
      createEuler({
        ...epsilon,
        steps: 4,
        spacing: "trailing",
        offset: 0,
        ancestralNoise: createNoiseSource(1),
      }),
  ],
  [
    "ddim leading off=1",
    () =>
      createDdim({
        ...epsilon,
        steps: 20,
        spacing: "leading",
        offset: 1,
        setAlphaToOne: false,
        clipSample: false,
      }),
  ],
  [
    "lcm 4 of 50",
    () =>
      createLcm({
        ...epsilon,
        steps: 4,
        originalSteps: 50,
        setAlphaToOne: true,
        noise: createNoiseSource(1),
      }),
  ],
  ["pndm skip_prk off=1", () => createPndm({ betas, steps: 10, offset: 1, setAlphaToOne: false })],
  [
    "dpm++ 2m leading off=1 20",
    () =>
      createDpmSolver({
        steps: 20,
        prediction: "epsilon",
        noise: { kind: "betas", betas, spacing: "leading", offset: 1 },
      }),
  ],
  [
    "dpm++ 2m karras linspace 20",
    () =>
      createDpmSolver({
        steps: 20,
        prediction: "epsilon",
        noise: { kind: "betas", betas, spacing: "linspace", offset: 0, karras: true },
      }),
  ],
  [
    "dpm++ 2m 10 lower-order-final",
    () =>
      createDpmSolver({
        steps: 10,
        prediction: "epsilon",
        noise: { kind: "betas", betas, spacing: "leading", offset: 1 },
      }),
  ],
  [
    "sana flow dpm++ shift 3, 20",
    () => createDpmSolver({ steps: 20, prediction: "flow", noise: { kind: "flow", shift: 3 } }),
  ],
];

describe("the schedulers", () => {
  for (const [name, create] of RUNS)
    test(`follow the reference run of ${name}`, () => {
      const expected = getSchedulerCase(name);
      const scheduler = create();
      const timesteps = getLargestDifference(scheduler.timesteps, expected.timesteps);
      assert.ok(timesteps < 1e-5, `timesteps: ${scheduler.timesteps}, expected ${expected.timesteps}`);
      if (scheduler.sigmas !== undefined && expected.sigmas !== undefined)
        assert.ok(
          getLargestDifference(scheduler.sigmas, expected.sigmas) < 1e-6,
          `sigmas: ${scheduler.sigmas}, expected ${expected.sigmas}`,
        );
      let sample: Float32Array = createToySample().map((value) => value * scheduler.initialScale);
      for (const [index, timestep] of scheduler.timesteps.entries())
        sample = scheduler.step(predictToy(scheduler.scaleInput(sample, index), timestep), index, sample);
      const difference = getLargestDifference(sample, expected.final);
      assert.ok(difference < 1e-5, `${difference}: ${sample}, expected ${expected.final}`);
    });

  test("every recorded run is tried", () => {
    const flow = /^(flux|z-image|sd3|qwen)/;
    for (const name of SCHEDULER_CASE_NAMES)
      assert.ok(flow.test(name) || RUNS.some(([start]) => name.startsWith(start)), name);
  });

  test("rescaled betas end in noise alone and keep their beginning", () => {
    const plain = getAlphaProducts(betas);
    const rescaled = getAlphaProducts({ ...betas, rescaleZeroSnr: true });
    assert.ok(Math.abs((rescaled[0] ?? 0) - (plain[0] ?? 1)) < 1e-9);
    assert.equal(rescaled.at(-1), 2 ** -24);
    for (let i = 1; i < rescaled.length; i++) assert.ok((rescaled[i] ?? 1) < (rescaled[i - 1] ?? 0));
  });
});
