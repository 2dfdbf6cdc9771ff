/**
 * `node scripts/parity/compare.ts FOLDER`: draws with every model that make_models.py made, and compares with what
 * the reference drew: the latents after every step (relative L2 distance) and the pixels (largest difference of 255).
 * Prints the table of docs/parity.md; leaves with 1 when a figure is beyond what is promised there.
 */
import { existsSync, readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import {
  type Components,
  createNoiseSource,
  createPipeline,
  openComponents,
  openOnnxSession,
  type Pipeline,
  readModelFolder,
  SIGNED,
  toPicture,
  toPlanes,
} from "@sluice/runtime/testing/parity";

/** What docs/parity.md promises. */
const LATENT_LIMIT = 1e-4;
const PIXEL_LIMIT = 1;
/** A flat picture proves nothing. */
const LEAST_DEVIATION = 20;

/** Where the reference is not followed, with the reason; docs/parity.md says more. */
const DIFFERENT: Readonly<Record<string, string>> = {
  "sd-pndm/picture": "on purpose",
};

interface Job {
  readonly prompt: string;
  readonly negative_prompt?: string;
  readonly num_inference_steps: number;
  readonly guidance_scale: number;
  readonly seed: number;
  readonly width: number;
  readonly height: number;
  /** Steps that the reference took. */
  readonly steps: number;
  readonly strength?: number;
}

interface Figures {
  readonly steps: number;
  readonly worstLatents: number;
  readonly worstPixel: number;
  readonly deviation: number;
}

const root = process.argv[2];
if (root === undefined) throw new Error("Give the folder that make_models.py filled.");
let isGood = true;
for (const name of readdirSync(root).sort()) {
  if (!existsSync(join(root, name, "reference"))) continue;
  const folder = await readModelFolder(join(root, name));
  const open = (path: string) => openOnnxSession({ path, threads: 1 });
  const components: Components = await openComponents(folder, open);
  try {
    const pipeline = await createPipeline(folder, components);
    for (const start of readdirSync(join(root, name, "reference")).sort()) {
      const figures = await compare(pipeline, join(root, name, "reference", start));
      const isWithin =
        figures.worstLatents <= LATENT_LIMIT &&
        figures.worstPixel <= PIXEL_LIMIT &&
        figures.deviation >= LEAST_DEVIATION;
      const reason = DIFFERENT[`${name}/${start}`];
      isGood &&= isWithin || reason !== undefined;
      process.stdout.write(
        `| ${[
          name,
          start === "text" ? "prompt" : "picture, strength 0.6",
          figures.steps,
          figures.worstLatents.toExponential(1),
          figures.worstPixel,
          figures.deviation.toFixed(0),
          isWithin ? "yes" : (reason ?? "**no**"),
        ].join(" | ")} |\n`,
      );
    }
  } finally {
    await components[Symbol.asyncDispose]();
  }
}
process.exitCode = isGood ? 0 : 1;

async function compare(pipeline: Pipeline, reference: string): Promise<Figures> {
  const job = JSON.parse(readFileSync(join(reference, "job.json"), "utf8")) as Job;
  const size = { width: job.width, height: job.height };
  const draw = await pipeline.encodePrompt({
    prompt: job.prompt,
    negativePrompt: job.negative_prompt,
    guidance: job.guidance_scale,
    warn: () => {},
  });
  const init =
    job.strength === undefined
      ? undefined
      : {
          strength: job.strength,
          planes: toPlanes({ ...size, rgb: readFileSync(join(reference, "init.rgb")) }, SIGNED),
        };
  const distances: number[] = [];
  const latents = await draw({
    size,
    steps: job.num_inference_steps,
    noise: createNoiseSource(job.seed),
    init,
    signal: new AbortController().signal,
    onStep: (step) => {
      const bytes = readFileSync(join(reference, `step-${step.finished}.f32`));
      const expected = new Float32Array(
        bytes.buffer.slice(bytes.byteOffset, bytes.byteOffset + bytes.length),
      );
      distances.push(getDistance(step.latents().data, expected));
    },
  });
  if (distances.length !== job.steps)
    throw new Error(`${reference}: ${distances.length} steps instead of ${job.steps}`);
  const { rgb } = toPicture(await pipeline.decodeLatents(latents), SIGNED);
  const expected = readFileSync(join(reference, "pixels.rgb"));
  const worstPixel = rgb.reduce(
    (worst, value, i) => Math.max(worst, Math.abs(value - (expected[i] ?? 0))),
    0,
  );
  if (process.env["PARITY_STEPS"] === "1")
    process.stdout.write(`${reference}: ${distances.map((d) => d.toExponential(1)).join(" ")}\n`);
  return {
    steps: job.steps,
    worstLatents: Math.max(...distances),
    worstPixel,
    deviation: getDeviation(expected),
  };
}

/** The length of the difference, in lengths of what is expected. */
function getDistance(actual: Float32Array, expected: Float32Array): number {
  if (actual.length !== expected.length) return Number.POSITIVE_INFINITY;
  let [difference, length] = [0, 0];
  for (let i = 0; i < expected.length; i++) {
    difference += ((actual[i] as number) - (expected[i] as number)) ** 2;
    length += (expected[i] as number) ** 2;
  }
  return Math.sqrt(difference / length);
}

function getDeviation(values: Uint8Array): number {
  const mean = values.reduce((sum, value) => sum + value, 0) / values.length;
  return Math.sqrt(values.reduce((sum, value) => sum + (value - mean) ** 2, 0) / values.length);
}
