import assert from "node:assert/strict";
import { readFile, rename, rm, truncate, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { describe, test } from "node:test";
import { setFlagsFromString } from "node:v8";
import { runInNewContext } from "node:vm";
import { openOnnxSession } from "../sessions/open-onnx-session.ts";
import type { Tensor, TensorData } from "../sessions/tensor.ts";
import {
  createHeard,
  DIFFUSION_CASES,
  openDiffusionCase,
  sampleColours,
} from "../testing/diffusion-cases.ts";
import { createDiffusionFolder, type DiffusionFolderOptions } from "../testing/diffusion-folder.ts";
import { readFixture } from "../testing/read-fixture.ts";
import { FAMILIES, type Family } from "../weights/families.ts";
import { readModelFolder } from "../weights/model-folder.ts";
import { getDiffusionVersion, openDiffusionEngine } from "./diffusion-engine.ts";
import type { EngineJob, Picture } from "./engine.ts";

const FAMILY_NAMES = Object.keys(FAMILIES) as Family[];
const recorded = readFixture<Readonly<Record<string, readonly number[]>>>("diffusion-pictures.json");
const RED = {
  rgb: Uint8Array.from({ length: 48 * 48 * 3 }, (_, i) => (i % 3 === 0 ? 250 : 20)),
  width: 48,
  height: 48,
};

describe("the pipelines of open models", () => {
  for (const [name, [family, options]] of Object.entries(DIFFUSION_CASES))
    test(`${name} draws the recorded picture`, async () => {
      await using model = await openDiffusionCase(family, options);
      const picture = await drawOne(model);
      const colours = sampleColours(picture);
      const expected = recorded[name] ?? [];
      assert.deepEqual([picture.width, picture.height, colours.length], [96, 64, expected.length]);
      // Processors of another class may round another way, by one at most.
      const off = colours.filter((colour, i) => Math.abs(colour - (expected[i] ?? -9)) > 1);
      assert.deepEqual(off, [], `got ${JSON.stringify(colours)}`);
    });

  test("every recorded picture has contrast and is unlike the others", () => {
    const all = Object.values(recorded);
    for (const colours of all) assert.ok(getDeviation(colours) > 8, String(getDeviation(colours)));
    assert.equal(new Set(all.map(String)).size, Object.keys(DIFFUSION_CASES).length);
  });

  for (const family of FAMILY_NAMES)
    test(`${family}: every input of every made-up graph counts, so that a forgotten one would show`, async () => {
      await using folder = await createDiffusionFolder(family);
      for (const path of Object.values((await readModelFolder(folder.path)).graphs))
        await checkEveryInput(path);
    });

  for (const family of FAMILY_NAMES)
    test(`${family}: half precision and an older export draw the same picture, but for rounding`, async () => {
      await using plain = await openDiffusionCase(family);
      await using old = await openDiffusionCase(family, { type: "float16", isOld: true });
      const [a, b] = [await drawOne(plain), await drawOne(old)];
      // Whole timesteps of an old UNet shift the colours a little more than half precision does.
      const difference = getLargestDifference(a, b);
      assert.ok(difference <= 4, `off by ${difference}`);
    });

  for (const family of FAMILY_NAMES)
    test(`${family}: picture i depends on its seed alone, and the prompt changes it`, async () => {
      await using model = await openDiffusionCase(family);
      const { pictures } = await model.draw({ seeds: [7, 8, 7] });
      assert.deepEqual(pictures[0], pictures[2]);
      assert.notDeepEqual(pictures[0], pictures[1]);
      assert.deepEqual(await drawOne(model, { seeds: [8] }), pictures[1]);
      assert.notDeepEqual(await drawOne(model, { seeds: [8], prompt: "a dog" }), pictures[1]);
      assert.notDeepEqual(await drawOne(model, { seeds: [8], steps: 3 }), pictures[1]);
    });

  for (const family of FAMILY_NAMES)
    test(`${family}: a picture to start from shows, the more the lower the strength`, async () => {
      await using model = await openDiffusionCase(family);
      const draw = (strength: number) => drawOne(model, { init: { ...RED, strength } });
      const [near, far, free] = [await draw(0.25), await draw(0.9), await drawOne(model)];
      assert.notDeepEqual(near, far);
      assert.notDeepEqual(near, free);
      assert.deepEqual(await draw(0.25), near);
      const heard = createHeard();
      await model.draw({ init: { ...RED, strength: 0.5 } }, heard);
      assert.ok(
        heard.steps.includes("denoise 2/2 of 0") || family === "stable-diffusion",
        heard.steps.join(),
      );
    });
});

describe("guidance", () => {
  test("families that are steered away from something use it, and the scale counts", async () => {
    for (const family of ["stable-diffusion", "sdxl", "sd3"] as const) {
      await using model = await openDiffusionCase(family);
      const pictures = [
        await drawOne(model, { guidance: 1 }),
        await drawOne(model, { guidance: 4 }),
        await drawOne(model, { guidance: 8 }),
        await drawOne(model, { guidance: 4, negativePrompt: "dog" }),
      ];
      assert.equal(new Set(pictures.map(({ rgb }) => Buffer.from(rgb).toString("base64"))).size, 4, family);
    }
  });

  test("SDXL without a negative prompt steers away from zeros, not from an empty prompt", async () => {
    await using zeros = await openDiffusionCase("sdxl");
    await using folder = await createDiffusionFolder("sdxl");
    const index = { _class_name: "StableDiffusionXLPipeline", force_zeros_for_empty_prompt: false };
    await writeFile(join(folder.path, "model_index.json"), JSON.stringify(index));
    await using empty = await openPath(folder.path);
    assert.notDeepEqual(await drawOne(zeros), await drawOne({ draw: (job) => generate(empty, job) }));
  });

  test("models that are told the scale take it in, others say that it changes nothing", async () => {
    await using dev = await openDiffusionCase("flux");
    assert.notDeepEqual(await drawOne(dev, { guidance: 2 }), await drawOne(dev, { guidance: 5 }));
    await using lcm = await openDiffusionCase(...caseOf("LCM"));
    assert.notDeepEqual(await drawOne(lcm, { guidance: 2 }), await drawOne(lcm, { guidance: 5 }));
    for (const name of ["FLUX.1 schnell", "SD-Turbo", "SDXL-Turbo", "FLUX.2-klein", "Z-Image-Turbo"]) {
      await using model = await openDiffusionCase(...caseOf(name));
      const heard = createHeard();
      assert.equal(model.engine.info.limits.guidance, undefined, name);
      const { pictures } = await model.draw({ guidance: 2, negativePrompt: "dog" }, heard);
      assert.deepEqual(pictures, (await model.draw({ guidance: 5 })).pictures, name);
      assert.ok(
        heard.lines.some((line) => /WARN.*negative prompt/.test(line)),
        name,
      );
    }
  });

  test("engine.json gives a base model the guidance that its distilled sister lacks", async () => {
    const engine = { guidance: { min: 1, max: 10, default: 4 }, steps: { min: 1, max: 50, default: 50 } };
    for (const family of ["flux2-klein", "z-image"] as const) {
      await using model = await openDiffusionCase(family, { engine });
      assert.deepEqual(
        [model.engine.info.limits.guidance, model.engine.info.limits.steps],
        Object.values(engine),
      );
      const [weak, strong] = [await drawOne(model, { guidance: 2 }), await drawOne(model, { guidance: 4 })];
      assert.notDeepEqual(weak, strong);
      assert.notDeepEqual(await drawOne(model, { guidance: 4, negativePrompt: "dog" }), strong);
    }
  });
});

describe("an engine on an open model", () => {
  test("reports every step, and previews while somebody looks", async () => {
    await using model = await openDiffusionCase("flux", { hasPreview: true }, { now: createSteadyClock() });
    const heard = createHeard();
    const { timings } = await model.draw({ wantsPreviews: true, seeds: [1, 2] }, heard);
    assert.deepEqual(heard.steps.slice(0, 3), ["encode 1/1 of -", "denoise 1/4 of 0", "denoise 2/4 of 0"]);
    assert.deepEqual(heard.steps.slice(-2), ["denoise 4/4 of 1", "decode 1/1 of 1"]);
    assert.equal(heard.previews.length, 6);
    assert.deepEqual([heard.previews[0]?.width, heard.previews[0]?.height], [96, 64]);
    assert.ok(heard.lines.includes("INFO image 2/2, step 4/4"));
    assert.deepEqual(Object.keys(timings), ["encode", "inference", "decode"]);
    const unseen = createHeard();
    await model.draw({}, unseen);
    assert.equal(unseen.previews.length, 0);
  });

  test("a preview shows where the picture is going, from the first step on", async () => {
    for (const family of ["flux", "sdxl", "stable-diffusion", "sd3", "z-image"] as const) {
      await using model = await openDiffusionCase(family, { hasPreview: true }, { now: createSteadyClock() });
      const heard = createHeard();
      await model.draw({ wantsPreviews: true, steps: 4 }, heard);
      for (const { rgb } of heard.previews) assert.ok(getDeviation([...rgb]) > 1, family);
    }
  });

  test("stops between steps when the request is cancelled, and can go on with the next", async () => {
    await using model = await openDiffusionCase("sdxl");
    const controller = new AbortController();
    const heard = createHeard();
    const steps: string[] = [];
    const stopping = { ...heard, steps: Object.assign(steps, { push: stopAtSecond }) };
    function stopAtSecond(...items: string[]): number {
      if (items[0]?.startsWith("denoise 2/")) controller.abort(new Error("cancelled by the caller"));
      return Array.prototype.push.apply(steps, items);
    }
    await assert.rejects(model.draw({ steps: 20 }, stopping, controller.signal), /cancelled by the caller/);
    assert.ok(steps.includes("denoise 2/20 of 0") && !steps.includes("denoise 3/20 of 0"), steps.join());
    await assert.rejects(model.draw({}, createHeard(), controller.signal), /cancelled by the caller/);
    assert.equal((await model.draw()).pictures.length, 1);
  });

  test("sizes are snapped down to what the family draws, and said", async () => {
    for (const [family, width] of [
      ["flux", 96],
      ["sdxl", 104],
      ["flux2-klein", 96],
    ] as const) {
      await using model = await openDiffusionCase(family);
      const heard = createHeard();
      const { pictures } = await model.draw({ width: 110, height: 79 }, heard);
      assert.deepEqual([pictures[0]?.width, pictures[0]?.height], [width, family === "sdxl" ? 72 : 64]);
      assert.match(heard.lines.join("\n"), /110x79 became/);
    }
  });

  test("prompts of every kind are drawn, and long ones say what was not read", async () => {
    for (const family of FAMILY_NAMES) {
      await using model = await openDiffusionCase(family);
      for (const prompt of [
        "",
        "\u0000",
        "木の上の猫 😀",
        "\ud83d",
        "cat ".repeat(25_000),
        "a".repeat(100_000),
      ]) {
        const heard = createHeard();
        await model.draw({ prompt, steps: 1 }, heard);
        const isCut = heard.lines.some((line) => /WARN the prompt is longer than the \d+ tokens/.test(line));
        assert.equal(isCut, prompt.length > 1000, `${family}: ${prompt.slice(0, 20)}`);
      }
    }
  });

  test("values that a model cannot take are refused by name", async () => {
    await using model = await openDiffusionCase("flux", { variant: "schnell", hasEncoder: false });
    const refused: [Partial<EngineJob>, RegExp][] = [
      [{ steps: 5 }, /number of steps is 5; choose 1 to 4/],
      [{ steps: 0.5 }, /number of steps/],
      [{ width: 0 }, /0x64 is not one of whole pixels/],
      [{ seeds: [-1] }, /seeds -1 are not/],
      [{ guidance: Number.NaN }, /guidance scale is NaN/],
      [{ init: { ...RED, strength: 0 } }, /strength is 0/],
      [{ init: { ...RED, strength: 0.5 } }, /has no vae_encoder/],
    ];
    for (const [job, message] of refused)
      await assert.rejects(model.draw(job), { name: "EngineError", kind: "invalid_input", message });
  });

  test("a model that does not fit into memory is refused with the figures", async () => {
    await assert.rejects(openDiffusionCase("flux", {}, { availableBytes: 1000 }), {
      kind: "out_of_memory",
      message: /weights need about 0\.0 GiB, and 0\.0 GiB are free\. Use a smaller or quantised export/,
    });
  });

  test("a request that would take the processor hours is refused before it starts", async () => {
    await using model = await openDiffusionCase("sdxl", {}, { longestSeconds: 1e-6 });
    await assert.rejects(model.draw({ width: 1024, height: 1024, steps: 50 }), {
      kind: "invalid_input",
      message: /would take about 1 seconds on this server's processor.*fewer steps/,
    });
  });

  test("a thousand pictures leave no memory behind", async () => {
    await using model = await openDiffusionCase("stable-diffusion");
    const draw = async (count: number) => {
      for (let i = 0; i < count; i++) await model.draw({ width: 128, height: 128, steps: 1 });
      collectGarbage();
      await new Promise(setImmediate);
      collectGarbage();
      const { rss, heapUsed, arrayBuffers } = process.memoryUsage();
      return { rss, own: heapUsed + arrayBuffers };
    };
    // The system's allocator keeps pieces: more of them in ten times the time.
    const [count, mostMiB] = process.env["SLUICE_LONG"] === undefined ? [1_000, 64] : [10_000, 128];
    const before = await draw(100);
    const after = await draw(count);
    // One picture's planes are 192 KiB, its bytes 48 KiB, its latents 4 KiB.
    const [rss, own] = [after.rss - before.rss, after.own - before.own].map((bytes) => bytes / 2 ** 20);
    assert.ok((rss ?? 0) < mostMiB, `${rss} MiB more in all`);
    assert.ok((own ?? 0) < 3, `${own} MiB more in JavaScript`);
  });
});

describe("a model folder that something happened to", () => {
  const breakFolder = async (
    change: (path: string) => Promise<unknown>,
    options: DiffusionFolderOptions = {},
    family: Family = "flux",
  ) => {
    await using folder = await createDiffusionFolder(family, options);
    await change(folder.path);
    await using engine = await openPath(folder.path);
    await generate(engine, {});
  };

  test("missing and damaged files are named, with what to do", async () => {
    const cases: [(path: string) => Promise<unknown>, RegExp][] = [
      [
        (path) => truncate(join(path, "transformer/model.onnx"), 5000),
        /transformer\/model\.onnx is damaged or incomplete/,
      ],
      [(path) => rm(join(path, "tokenizer_2/tokenizer.json")), /tokenizer_2\/tokenizer\.json is missing/],
      [(path) => rm(join(path, "tokenizer/merges.txt")), /merges\.txt is missing/],
      [
        (path) => writeFile(join(path, "scheduler/scheduler_config.json"), "[]"),
        /scheduler_config\.json is damaged/,
      ],
      [(path) => writeFile(join(path, "vae_decoder/model.onnx"), ""), /vae_decoder\/model\.onnx/],
    ];
    for (const [change, expected] of cases) await assert.rejects(breakFolder(change), expected);
  });

  test("a graph of another family, or with other names, is refused with both lists", async () => {
    await using sdxl = await createDiffusionFolder("sdxl");
    const take = (path: string) =>
      rename(join(sdxl.path, "text_encoder_2/model.onnx"), join(path, "text_encoder/model.onnx"));
    await assert.rejects(breakFolder(take), /output "pooler_output" is missing.*Outputs found: text_embeds/);
    const renamed = async (path: string) => {
      const file = join(path, "transformer/model.onnx");
      const bytes = (await readFile(file, "latin1")).replaceAll("pooled_projections", "pooled-projections");
      await writeFile(file, bytes, "latin1");
    };
    await assert.rejects(
      breakFolder(renamed),
      /"pooled_projections" is missing; input "pooled-projections" is not known/,
    );
    const names = { graphs: { transformer: { inputs: { pooled_projections: "pooled-projections" } } } };
    await breakFolder(renamed, { engine: names });
  });

  test("the version follows the weights, the settings and the provider", async () => {
    await using folder = await createDiffusionFolder("flux");
    const versions = [getDiffusionVersion(folder.path), getDiffusionVersion(folder.path, "cpu")];
    await writeFile(join(folder.path, "engine.json"), '{"noise":"bfloat16"}');
    versions.push(getDiffusionVersion(folder.path));
    const file = join(folder.path, "transformer/model.onnx");
    const bytes = await readFile(file);
    bytes[bytes.length - 1] = 9;
    await writeFile(file, bytes);
    versions.push(getDiffusionVersion(folder.path));
    await writeFile(join(folder.path, "transformer/weights.pb"), "x");
    versions.push(getDiffusionVersion(folder.path));
    assert.equal(new Set(versions).size, 5);
    assert.throws(() => getDiffusionVersion(join(folder.path, "nowhere")), /There is no model folder/);
  });
});

setFlagsFromString("--expose-gc");
const collectGarbage = runInNewContext("gc") as () => void;

async function drawOne(
  model: { draw(job?: Partial<EngineJob>): Promise<{ readonly pictures: readonly Picture[] }> },
  job: Partial<EngineJob> = {},
): Promise<Picture> {
  const [picture] = (await model.draw(job)).pictures;
  assert.ok(picture);
  return picture;
}

const caseOf = (name: string) => DIFFUSION_CASES[name] ?? assert.fail(name);

function openPath(path: string) {
  return openDiffusionEngine({ folder: path, name: "open", threads: 1, provider: "cpu" });
}

function generate(engine: Awaited<ReturnType<typeof openPath>>, job: Partial<EngineJob> = {}) {
  const base = { prompt: "a cat beside a dog", width: 96, height: 64, steps: 4, guidance: 3.5, seeds: [42] };
  const sink = { log: () => {}, progress: () => {}, preview: () => {} };
  return engine.generate({ ...base, wantsPreviews: false, ...job }, sink, AbortSignal.timeout(60_000));
}

/** Half a second later whenever it is asked. */
function createSteadyClock(): () => number {
  let at = 0;
  return () => {
    at += 500;
    return at;
  };
}

/** Runs a graph twice for each of its inputs, once with one number changed. */
async function checkEveryInput(path: string): Promise<void> {
  await using session = await openOnnxSession({ path, threads: 1 });
  const create = (changed?: string) => {
    const sizes: Readonly<Record<string, number>> = { B: 1, N: 6, S: 5, h: 4, w: 6, H: 32, W: 48 };
    return Object.fromEntries(
      session.inputs.map(({ name, type, shape }): [string, Tensor] => {
        const dims = shape.map((size) => (typeof size === "number" ? size : (sizes[size] ?? 1)));
        const count = dims.reduce((product, size) => product * size, 1);
        const values = Array.from({ length: count }, (_, i) => (i * 7) % 5);
        const last = count - 1;
        if (name === changed) values[last] = (values[last] ?? 0) + 1;
        const data: TensorData =
          type === "int64" ? BigInt64Array.from(values, BigInt) : Float32Array.from(values);
        assert.ok(type === "int64" || type === "float32", type);
        return [name, { type, dims, data }];
      }),
    );
  };
  const run = async (changed?: string) => {
    const outputs = await session.run(create(changed));
    return Object.values(outputs).map(({ data }) => Array.from(data as Float32Array));
  };
  const before = await run();
  for (const { name } of session.inputs) assert.notDeepEqual(await run(name), before, `${path}: ${name}`);
}

function getLargestDifference(a: Picture, b: Picture): number {
  return a.rgb.reduce((worst, value, i) => Math.max(worst, Math.abs(value - (b.rgb[i] ?? 0))), 0);
}

function getDeviation(values: readonly number[]): number {
  const mean = values.reduce((sum, value) => sum + value, 0) / values.length;
  return Math.sqrt(values.reduce((sum, value) => sum + (value - mean) ** 2, 0) / values.length);
}
