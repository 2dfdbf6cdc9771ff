import { readFile } from "node:fs/promises";
import { join } from "node:path";
import {
  chooseGrid,
  decodeLatents,
  decodePreview,
  denoise,
  drawNoise,
  encodePrompt,
  enlarge,
  finishPicture,
  getGuidanceWeight,
  type TinyModel,
  takeSigmas,
} from "../diffusion/tiny-pipeline.ts";
import { openOnnxSession } from "../sessions/open-onnx-session.ts";
import type { Session } from "../sessions/session.ts";
import { createTinyTokenizer, type TinyTokens } from "../text/tiny-tokenizer.ts";
import { getTinyModelVersion } from "../weights/model-version.ts";
import { readTinyConfig, type TinyConfig } from "../weights/tiny-config.ts";
import { verifyWeights } from "../weights/verify-weights.ts";
import {
  type Engine,
  EngineError,
  type EngineInfo,
  type EngineJob,
  type EngineLimits,
  type EngineResult,
  type EngineSink,
  type Picture,
} from "./engine.ts";
import { createStepLog } from "./step-log.ts";

export interface TinyEngineOptions {
  /** Folder with `config.json`, the vocabulary and the graphs. */
  readonly folder: string;
  /** Name of the model that answers. */
  readonly name: string;
  /** Compute threads; they do not change the pictures. */
  readonly threads: number;
  /** Monotonic milliseconds; default `performance.now`. */
  readonly now?: () => number;
}

/**
 * Loads a model of the tiny-flux family. It makes pictures of every size up to 4096 pixels a side, exactly.
 * @throws EngineError when a file is missing or damaged, or onnxruntime-node is
 */
export async function openTinyEngine(options: TinyEngineOptions): Promise<Engine> {
  const { folder, name, threads, now = () => performance.now() } = options;
  const version = getTinyModelVersion(folder);
  const config = await readTinyConfig(folder);
  await verifyWeights(folder, config.files);
  const model = await loadModel(folder, config, threads);
  return new TinyEngine(model, { kind: "onnx", name, version, limits: describeLimits(config) }, now);
}

/** What a description of the weights allows callers to ask for. */
export function describeLimits(config: TinyConfig): EngineLimits {
  const { offset, slope, max } = config.guidance;
  const largest = slope > 0 ? 1 + (max - offset) / slope : 1;
  return {
    steps: config.scheduler.steps,
    guidance: { min: 1, max: largest, default: Math.min(DEFAULT_GUIDANCE, largest) },
    maxSide: 4096,
    maxArea: 4_200_000,
    multipleOf: 1,
  };
}

const DEFAULT_GUIDANCE = 3.5;
/** A preview is worth sending only as often as someone can look. */
const PREVIEW_EVERY_MS = 500;

class TinyEngine implements Engine {
  readonly info: EngineInfo;
  readonly #model: TinyModel;
  readonly #now: () => number;

  constructor(model: TinyModel, info: EngineInfo, now: () => number) {
    this.#model = model;
    this.info = info;
    this.#now = now;
  }

  async generate(job: EngineJob, sink: EngineSink, signal: AbortSignal): Promise<EngineResult> {
    checkJob(job, this.info.limits);
    signal.throwIfAborted();
    const model = this.#model;
    const timings = { encode: 0, inference: 0, decode: 0 };
    const measure = async <T>(name: keyof typeof timings, run: () => Promise<T>): Promise<T> => {
      const started = this.#now();
      const value = await run();
      timings[name] += (this.#now() - started) / 1000;
      return value;
    };

    const { embeddings, tokens } = await measure("encode", () => encodePrompt(model, job.prompt));
    logTokens(tokens, sink);
    sink.progress({ phase: "encode", step: 1, steps: 1 });

    const grid = chooseGrid(model.config.latents.grids, job);
    const sigmas = takeSigmas(model.config, job.steps);
    const weight = getGuidanceWeight(model.config, job.guidance);
    const pictures: Picture[] = [];
    for (const [image, seed] of job.seeds.entries()) {
      const latents = drawNoise(model.config, grid, seed);
      const onStep = this.#createStepReport(job, grid, image, sink);
      await measure("inference", () =>
        denoise(model, { embeddings, grid, latents, sigmas, weight, signal, onStep }),
      );
      const picture = await measure("decode", async () => {
        const native = await decodeLatents(model, latents, grid);
        return finishPicture(await enlarge(model, native, job, signal), job);
      });
      sink.progress({ phase: "decode", step: 1, steps: 1, image });
      pictures.push(picture);
    }
    return { pictures, timings };
  }

  #createStepReport(
    job: EngineJob,
    grid: { readonly width: number; readonly height: number },
    image: number,
    sink: EngineSink,
  ): (step: number, clean: Float32Array) => Promise<void> {
    const { steps } = job;
    const logStep = createStepLog({ images: job.seeds.length, image, sink, now: this.#now });
    let previewedAt = this.#now();
    return async (step, clean) => {
      sink.progress({ phase: "denoise", step, steps, image });
      const at = logStep(step, steps);
      if (!job.wantsPreviews || step === steps || at - previewedAt < PREVIEW_EVERY_MS) return;
      previewedAt = at;
      sink.preview({ image, step, picture: await decodePreview(this.#model, clean, grid, job) });
    };
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await closeModel(this.#model);
  }
}

async function loadModel(folder: string, config: TinyConfig, threads: number): Promise<TinyModel> {
  const opened: Session[] = [];
  const open = async (graph: { readonly file: string }): Promise<Session> => {
    const session = await openOnnxSession({ path: join(folder, graph.file), threads });
    opened.push(session);
    return session;
  };
  try {
    return {
      config,
      tokenizer: createTinyTokenizer(await readVocabulary(folder, config), config.tokenizer),
      text: await open(config.text),
      transformer: await open(config.transformer),
      vae: config.vae === null ? undefined : await open(config.vae),
      upscaler: config.upscaler === null ? undefined : await open(config.upscaler),
    };
  } catch (error) {
    for (const session of opened) await session[Symbol.asyncDispose]();
    throw error;
  }
}

async function closeModel(model: TinyModel): Promise<void> {
  for (const session of [model.text, model.transformer, model.vae, model.upscaler])
    await session?.[Symbol.asyncDispose]();
}

async function readVocabulary(folder: string, config: TinyConfig): Promise<Readonly<Record<string, number>>> {
  const path = join(folder, config.tokenizer.vocabulary);
  try {
    return JSON.parse(await readFile(path, "utf8"));
  } catch (cause) {
    throw new EngineError("failed", `Cannot read the vocabulary ${path}. Restore the model folder.`, {
      cause,
    });
  }
}

function checkJob(job: EngineJob, limits: EngineLimits): void {
  const { width, height, steps, seeds } = job;
  const isSize = (side: number) => Number.isSafeInteger(side) && side >= 1 && side <= limits.maxSide;
  if (!isSize(width) || !isSize(height) || width * height > limits.maxArea)
    throw new EngineError(
      "invalid_input",
      `A picture of ${width}x${height} is beyond ${limits.maxSide} pixels a side or ${limits.maxArea} in all.`,
    );
  if (!Number.isSafeInteger(steps) || steps < limits.steps.min || steps > limits.steps.max)
    throw new EngineError(
      "invalid_input",
      `The number of steps is ${steps}; choose ${limits.steps.min} to ${limits.steps.max}.`,
    );
  if (seeds.some((seed) => !Number.isSafeInteger(seed) || seed < 0))
    throw new EngineError(
      "invalid_input",
      `The seeds ${seeds.join(", ")} are not all whole numbers from 0 on.`,
    );
}

function logTokens(tokens: TinyTokens, sink: EngineSink): void {
  if (tokens.unknown.length > 0) sink.log(describeUnknown(tokens), "WARN");
  if (tokens.cut > 0)
    sink.log(
      `the prompt is longer than this model reads: the last ${tokens.cut} words were left out`,
      "WARN",
    );
}

/** Which words were left out, and why when that is most of the prompt: then the picture shows something else. */
function describeUnknown({ unknown, known }: TinyTokens): string {
  const words = unknown.slice(0, 20).map((word) => word.slice(0, 40));
  const more = unknown.length > words.length ? ` and ${unknown.length - words.length} more` : "";
  const named = `${words.join(", ")}${more}`;
  if (known >= unknown.length) return `words that this model does not know were left out: ${named}`;
  const what =
    known === 0
      ? `this model knows no word of the prompt, so the picture shows nothing in particular: ${named}`
      : `this model does not know most words of the prompt and left them out: ${named}`;
  return (
    `${what}. It is a small demonstration model that understands the English names of some two thousand things; ` +
    "`sluice models list` shows models that understand more"
  );
}
