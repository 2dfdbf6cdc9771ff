import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { createNoiseSource } from "../noise.ts";
import { createSchedulerRun, readSchedulerConfig } from "./create-scheduler.ts";
import { getResolutionMu } from "./flow-match.ts";
import { readFlowShift } from "./read-flow-config.ts";

const BETAS = { beta_start: 0.00085, beta_end: 0.012, beta_schedule: "scaled_linear" };
const read = (config: Readonly<Record<string, unknown>>) => readSchedulerConfig(config, "folder");
const NAMES = [
  "EulerDiscreteScheduler",
  "EulerAncestralDiscreteScheduler",
  "DDIMScheduler",
  "LCMScheduler",
  "PNDMScheduler",
  "DPMSolverMultistepScheduler",
];

describe("a scheduler's configuration", () => {
  test("what it leaves out is as the reference has it", () => {
    const euler = read({ _class_name: "EulerDiscreteScheduler" });
    assert.deepEqual(
      [euler.betas.kind, euler.betas.start, euler.spacing, euler.prediction, euler.offset],
      ["linear", 0.0001, "linspace", "epsilon", 0],
    );
    const ddim = read({ _class_name: "DDIMScheduler" });
    assert.deepEqual([ddim.spacing, ddim.clipSample, ddim.setAlphaToOne], ["leading", true, true]);
    const lcm = read({ _class_name: "LCMScheduler" });
    assert.deepEqual([lcm.betas.start, lcm.originalSteps, lcm.clipSample], [0.00085, 50, false]);
    assert.equal(read({ _class_name: "PNDMScheduler" }).setAlphaToOne, false);
  });

  test("few-step models are known by their spacing, but not those made for zero signal", () => {
    const config = { _class_name: "EulerDiscreteScheduler", timestep_spacing: "trailing" };
    assert.equal(read(config).isDistilled, true);
    assert.equal(read({ ...config, rescale_betas_zero_snr: true }).isDistilled, false);
    assert.equal(read({ ...config, timestep_spacing: "leading" }).isDistilled, false);
  });

  test("what is not supported is refused by name, with where to change it", () => {
    const refused: [Readonly<Record<string, unknown>>, RegExp][] = [
      [
        { _class_name: "HeunDiscreteScheduler" },
        /HeunDiscreteScheduler is not known; known are Euler.*engine\.json/,
      ],
      [{ _class_name: "PNDMScheduler", prediction_type: "v_prediction" }, /DDIMScheduler is/],
      [{ _class_name: "DDIMScheduler", beta_schedule: "squaredcos_cap_v2" }, /"beta_schedule": "squaredcos/],
      [{ _class_name: "DPMSolverMultistepScheduler", algorithm_type: "sde-dpmsolver++" }, /"algorithm_type"/],
      [{ _class_name: "DPMSolverMultistepScheduler", solver_order: 3 }, /"solver_order": 3/],
    ];
    for (const [config, expected] of refused) assert.throws(() => read(config), expected);
    assert.throws(() => readFlowShift({ _class_name: "DDIMScheduler" }, "folder"), /FlowMatchEulerDiscrete/);
    assert.throws(
      () => readFlowShift({ shift_terminal: 0.02 }, "folder"),
      /"shift_terminal" is not supported/,
    );
  });

  test("a flow's shift is fixed or grows with the picture", () => {
    assert.deepEqual(readFlowShift({ shift: 3 }, "folder")(4096), { kind: "static", shift: 3 });
    const dynamic = readFlowShift({ use_dynamic_shifting: true, max_shift: 0.9 }, "folder");
    const mu = getResolutionMu(1024, { baseShift: 0.5, maxShift: 0.9, baseTokens: 256, maxTokens: 4096 });
    assert.deepEqual(dynamic(1024), { kind: "exponential", mu });
  });
});

describe("a run from a picture", () => {
  test("between timesteps, the noise that is added is that of the first step", () => {
    const config = read({ _class_name: "DPMSolverMultistepScheduler", ...BETAS, use_karras_sigmas: true });
    const run = createSchedulerRun(config, { steps: 8, noise: createNoiseSource(1), strength: 0.6 });
    // What the reference adds here, from its own table: the fifth of eight Karras levels.
    const [from, to] = [14.6146 ** (1 / 7), 0.0291675 ** (1 / 7)];
    const sigma = (from + ((to - from) * 4) / 7) ** 7;
    const [added] = run.addNoise(Float32Array.of(0), Float32Array.of(1));
    assert.ok(Math.abs((added ?? 0) - sigma / Math.sqrt(sigma ** 2 + 1)) < 1e-5, `${added}`);
  });

  for (const _class_name of NAMES)
    test(`${_class_name}: with a perfect network it ends at that picture, whatever the strength`, () => {
      const config = read({ _class_name, ...BETAS, clip_sample: false, steps_offset: 1 });
      const clean = Float32Array.from({ length: 32 }, (_, i) => Math.sin(i));
      for (const strength of [0.01, 0.3, 0.8, 1]) {
        const source = createNoiseSource(5);
        const drawn = source.draw(clean.length);
        const run = createSchedulerRun(config, { steps: 20, noise: source, strength });
        let sample = run.addNoise(clean, drawn);
        let calls = 0;
        for (let i = run.first; i < run.scheduler.timesteps.length; i++, calls++) {
          const now = sample;
          // The noise that is in the sample, found from where the estimate has to be.
          const zero = run.estimate(new Float32Array(clean.length), i, now);
          const one = run.estimate(new Float32Array(clean.length).fill(1), i, now);
          const noise = now.map(
            (_, k) => ((clean[k] ?? 0) - (zero[k] ?? 0)) / ((one[k] ?? 0) - (zero[k] ?? 0)),
          );
          sample = run.scheduler.step(noise, i, now);
        }
        const worst = Math.max(...sample.map((value, k) => Math.abs(value - (clean[k] ?? 0))));
        // Without `set_alpha_to_one` a little noise stays, by design.
        assert.ok(worst < (config.setAlphaToOne ? 0.03 : 0.1), `strength ${strength}: off by ${worst}`);
        if (config.kind !== "lcm")
          assert.ok(Math.abs(calls - Math.max(1, 20 * strength)) <= 1, `${calls} calls`);
      }
    });
});
