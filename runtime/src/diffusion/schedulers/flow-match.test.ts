import assert from "node:assert/strict";
import { describe, test } from "node:test";
import {
  createToySample,
  getLargestDifference,
  getSchedulerCase,
  predictToy,
} from "../../testing/scheduler-cases.ts";
import {
  type FlowMatchOptions,
  getFlux2Mu,
  getResolutionMu,
  takeFlowMatchSigmas,
  takeFlowMatchStep,
} from "./flow-match.ts";

const exponential = (mu: number) => ({ kind: "exponential", mu }) as const;

const CASES: readonly [name: string, options: FlowMatchOptions][] = [
  ["flux1-dev 1024x1024", { steps: 28, shift: exponential(getResolutionMu(4096)) }],
  ["flux1-dev 512x512", { steps: 28, shift: exponential(getResolutionMu(1024)) }],
  ["flux1-dev 1024x768", { steps: 28, shift: exponential(0.976667) }],
  ["flux1-schnell 4 steps", { steps: 4 }],
  ["flux2-klein 1024x1024 4 steps", { steps: 4, shift: exponential(getFlux2Mu(4096, 4)) }],
  ["flux2-klein 1024x768 4 steps", { steps: 4, shift: exponential(getFlux2Mu(3072, 4)) }],
  ["flux2-klein 1024x1024 50 steps", { steps: 50, shift: exponential(getFlux2Mu(4096, 50)) }],
  ["z-image-turbo 8 steps", { steps: 8, shift: { kind: "static", shift: 3 } }],
  ["sd3 28 steps", { steps: 28, shift: { kind: "static", shift: 3 }, spacing: "shifted-range" }],
  ["qwen-image 1024x1024", { steps: 20, shift: exponential(0.693548), terminal: 0.02 }],
  ["qwen-image-lightning 4 steps", { steps: 4, shift: exponential(Math.log(3)) }],
];

describe("the flow-match scheduler", () => {
  for (const [name, options] of CASES) {
    test(`follows the reference run of ${name}`, () => {
      const expected = getSchedulerCase(name);
      const sigmas = takeFlowMatchSigmas(options);
      const timesteps = Array.from(sigmas.slice(0, -1), (sigma) => sigma * 1000);
      assert.ok(getLargestDifference(sigmas, expected.sigmas ?? []) < 1e-6, "sigmas");
      assert.ok(getLargestDifference(timesteps, expected.timesteps) < 1e-5, "timesteps");
      const sample = createToySample();
      for (let i = 0; i < options.steps; i++) {
        const flow = predictToy(sample, timesteps[i] ?? Number.NaN);
        takeFlowMatchStep(sample, flow, sigmas[i] ?? Number.NaN, sigmas[i + 1] ?? Number.NaN);
      }
      assert.ok(getLargestDifference(sample, expected.final) < 1e-5, "final sample");
    });
  }
});
