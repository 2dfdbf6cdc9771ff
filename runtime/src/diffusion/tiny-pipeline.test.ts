import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { rm } from "node:fs/promises";
import { describe, test } from "node:test";
import { fileURLToPath } from "node:url";
import { type Engine, EngineError, type EngineJob, type Picture } from "../engines/engine.ts";
import { openTinyEngine } from "../engines/tiny-engine.ts";
import { openOnnxSession } from "../sessions/open-onnx-session.ts";
import { getOutput } from "../sessions/session.ts";
import { createFloatTensor, createIdTensor, getFloats, type Tensor } from "../sessions/tensor.ts";
import { createTinyModelFolder, type TinyFolderOptions } from "../testing/tiny-model-folder.ts";
import { createTinyTokenizer } from "../text/tiny-tokenizer.ts";
import { readTinyConfig } from "../weights/tiny-config.ts";
import { chooseGrid, drawNoise, getGuidanceWeight, takeSigmas } from "./tiny-pipeline.ts";

const shipped = fileURLToPath(new URL("../../../models/tiny/", import.meta.url));
const JOB: EngineJob = {
  prompt: "red",
  width: 64,
  height: 32,
  steps: 4,
  guidance: 3,
  seeds: [1],
  wantsPreviews: false,
};

describe("the embedded model's pipeline", () => {
  for (const space of ["pixels", "latents"] as const)
    for (const hasUpscaler of [true, false])
      test(`a model in ${space} ${hasUpscaler ? "with" : "without"} an upscaler draws what its networks say`, () =>
        withEngine(
          {
            space,
            grids: [
              { width: 16, height: 16 },
              { width: 24, height: 12 },
            ],
            hasUpscaler,
          },
          async (engine) => {
            for (const [prompt, channel] of [
              ["red", 0],
              ["green", 1],
              ["a blue thing", 2],
            ] as const) {
              const picture = await draw(engine, { prompt, steps: 8 });
              assert.deepEqual([picture.width, picture.height, picture.rgb.length], [64, 32, 64 * 32 * 3]);
              const means = [0, 1, 2].map((c) => getMean(picture, c));
              assert.equal(means.indexOf(Math.max(...means)), channel, `${prompt}: ${means}`);
            }
          },
        ));

  test("the steps are the Euler steps of the model card", () =>
    withEngine(
      { space: "pixels", grids: [{ width: 8, height: 8 }], hasUpscaler: false },
      async (engine, folder) => {
        const config = await readTinyConfig(folder);
        const picture = await draw(engine, { width: 8, height: 8, guidance: 3, steps: 3 });
        const expected = drawByHand(drawNoise(config, { width: 8, height: 8 }, 1), 3);
        const largest = Math.max(...expected.map((value, i) => Math.abs(value - (picture.rgb[i] ?? 0))));
        assert.ok(largest <= 1, `largest difference ${largest}`);
      },
    ));

  test("every wanted ratio takes the nearest grid", () => {
    const grids = [
      { width: 16, height: 16 },
      { width: 16, height: 12 },
      { width: 12, height: 16 },
      { width: 16, height: 9 },
      { width: 9, height: 16 },
    ];
    const choose = (width: number, height: number) => grids.indexOf(chooseGrid(grids, { width, height }));
    assert.deepEqual(
      [
        choose(512, 512),
        choose(1024, 768),
        choose(768, 1024),
        choose(1024, 576),
        choose(4096, 1024),
        choose(64, 4096),
      ],
      [0, 1, 2, 3, 3, 4],
    );
  });

  test("the guidance scale becomes the weight of the model card, within its bounds", async () => {
    const config = await readTinyConfig(shipped);
    const { offset, slope, max } = config.guidance;
    assert.equal(getGuidanceWeight(config, 1), Math.max(config.guidance.min, offset));
    assert.ok(Math.abs(getGuidanceWeight(config, 2) - (offset + slope)) < 1e-9);
    assert.equal(getGuidanceWeight(config, 100), max);
  });

  test("sigmas go from 1 to 0 and never up", async () => {
    const config = await readTinyConfig(shipped);
    for (const steps of [1, 4, 28, 50]) {
      const sigmas = takeSigmas(config, steps);
      assert.deepEqual([sigmas.length, sigmas[0], sigmas.at(-1)], [steps + 1, 1, 0]);
      for (let i = 0; i < steps; i++) assert.ok((sigmas[i] ?? 0) > (sigmas[i + 1] ?? 1));
    }
  });

  test("a graph with other tensor names is an error that says what is missing", () =>
    withEngine(
      { space: "pixels", grids: [{ width: 8, height: 8 }], hasUpscaler: false },
      async (_, folder) => {
        const session = await openOnnxSession({ path: `${folder}/transformer.onnx`, threads: 1 });
        await assert.rejects(
          session.run({}),
          (error) => error instanceof EngineError && /needs the input "x"/.test(error.message),
        );
        const ids = createIdTensor([1], [1]);
        await assert.rejects(session.run({ x: ids }), /"x" of .* is float32, but was given int64/);
        const bad = createFloatTensor(new Float32Array(4), [1, 4, 1, 1]);
        const one = createFloatTensor(new Float32Array(1), [1]);
        const states = createFloatTensor(new Float32Array(4), [1, 1, 4]);
        const feeds = {
          x: bad,
          time: one,
          states,
          pool: createFloatTensor(new Float32Array(4), [1, 4]),
          words: createFloatTensor(new Float32Array(1), [1, 1]),
        };
        await assert.rejects(
          session.run(feeds),
          (error) => error instanceof EngineError && /transformer\.onnx failed/.test(error.message),
        );
        await session[Symbol.asyncDispose]();
        await assert.rejects(session.run(feeds), /is closed/);
        await assert.rejects(
          openOnnxSession({ path: `${folder}/none.onnx`, threads: 1 }),
          /Cannot read the model file .*none\.onnx/,
        );
        await assert.rejects(openOnnxSession({ path: folder, threads: 1 }), /is not a file/);
      },
    ));
});

describe("the shipped weights", () => {
  test("give the numbers of the model card", async () => {
    const config = await readTinyConfig(shipped);
    const { numbers } = JSON.parse(readFileSync(`${shipped}config.json`, "utf8")).golden;
    const vocabulary = JSON.parse(readFileSync(`${shipped}${config.tokenizer.vocabulary}`, "utf8"));
    const tokenizer = createTinyTokenizer(vocabulary, config.tokenizer);
    const [ids = []] = tokenizer.pad([tokenizer.encode(numbers.prompt).ids]);
    await using text = await openOnnxSession({ path: `${shipped}${config.text.file}`, threads: 2 });
    await using transformer = await openOnnxSession({
      path: `${shipped}${config.transformer.file}`,
      threads: 2,
    });
    const words = await text.run({ [config.text.inputs.ids]: createIdTensor(ids, [1, ids.length]) });
    const [hidden, pooled, mask] = (["hidden", "pooled", "mask"] as const).map((name) =>
      getOutput(words, config.text.outputs[name]),
    ) as [Tensor, Tensor, Tensor];
    assertNear(getFloats(hidden), numbers.hidden);
    assertNear(getFloats(pooled), numbers.pooled);
    const { width, height } = numbers.grid;
    const { channels } = config.latents;
    const latents = Float32Array.from({ length: channels * width * height }, (_, k) => Math.sin(0.37 * k));
    const { inputs, outputs } = config.transformer;
    const answer = await transformer.run({
      [inputs.latents]: createFloatTensor(latents, [1, channels, height, width]),
      [inputs.time]: createFloatTensor(Float32Array.of(numbers.t), [1]),
      [inputs.hidden]: hidden,
      [inputs.pooled]: pooled,
      [inputs.mask]: mask,
    });
    const prediction = getFloats(getOutput(answer, outputs.prediction));
    assertNear(prediction, numbers.prediction.first);
    const mean = prediction.reduce((sum, value) => sum + value, 0) / prediction.length;
    const size = prediction.reduce((sum, value) => sum + Math.abs(value), 0) / prediction.length;
    assertNear([mean, size], [numbers.prediction.mean, numbers.prediction.absMean]);
  });
});

/** The model card's tolerance. */
function assertNear(actual: ArrayLike<number>, expected: readonly number[]): void {
  for (const [i, value] of expected.entries())
    assert.ok(Math.abs((actual[i] ?? Number.NaN) - value) < 2e-3, `${actual[i]} instead of ${value}`);
}

/** The same run written out for the made-up networks: prompt "red", guidance scale 3. */
function drawByHand(noise: Float32Array, steps: number): number[] {
  const sigmaAt = (i: number) => {
    const s = 1 - i / steps;
    return (2 * s) / (1 + s);
  };
  const x = [...noise];
  const tint = [0.8, -0.8, -0.8];
  for (let i = 0; i < steps; i++) {
    const [sigma, next] = [sigmaAt(i), sigmaAt(i + 1)];
    // The sum of the word's vector is -1.5 and it is one word; the null caption is a word too, of zeros.
    const [withPrompt, without] = [0.001 * (-1.5 + 1), 0.001];
    for (const [k, value] of x.entries()) {
      const base = 0.3 * value + 0.01 * (1 - sigma);
      const prompted = base + (tint[Math.floor(k / 64)] ?? 0) + withPrompt;
      const clean = sigma >= 0.3 ? base + without + 2 * (prompted - (base + without)) : prompted;
      x[k] = value + ((clean - value) * (sigma - next)) / Math.max(sigma, 0.03);
    }
  }
  const bytes = x.map((value) => Math.round((Math.min(1, Math.max(-1, value)) / 2 + 0.5) * 255));
  return Array.from({ length: 192 }, (_, i) => bytes[(i % 3) * 64 + Math.floor(i / 3)] ?? 0);
}

async function draw(engine: Engine, job: Partial<EngineJob>): Promise<Picture> {
  const sink = { log: () => {}, progress: () => {}, preview: () => {} };
  const { pictures } = await engine.generate({ ...JOB, ...job }, sink, new AbortController().signal);
  assert.ok(pictures[0]);
  return pictures[0];
}

async function withEngine(
  options: TinyFolderOptions,
  run: (engine: Engine, folder: string) => Promise<void>,
): Promise<void> {
  const folder = await createTinyModelFolder(options);
  try {
    await using engine = await openTinyEngine({ folder, name: "made-up", threads: 1 });
    await run(engine, folder);
  } finally {
    await rm(folder, { recursive: true });
  }
}

function getMean({ rgb, width, height }: Picture, channel: number): number {
  let sum = 0;
  for (let i = channel; i < rgb.length; i += 3) sum += rgb[i] ?? 0;
  return sum / (width * height);
}
