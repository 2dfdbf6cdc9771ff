import { type Components, openComponents } from "../diffusion/components.ts";
import { createPipeline, PIPELINE_REVISION } from "../diffusion/create-pipeline.ts";
import { createNoiseSource, type NoiseSource, type NoiseType } from "../diffusion/noise.ts";
import type { FinishedStep, Pipeline } from "../diffusion/pipeline.ts";
import { fitPicture, type Size } from "../images/fit-picture.ts";
import { type Planes, SIGNED, toPicture, toPlanes } from "../images/planes.ts";
import type { Provider } from "../sessions/choose-provider.ts";
import { findProvider, openOnnxSession } from "../sessions/open-onnx-session.ts";
import type { EngineOverrides } from "../weights/engine-overrides.ts";
import { getFolderVersion } from "../weights/folder-version.ts";
import { type ModelFolder, readModelFolder } from "../weights/model-folder.ts";
import { type OnnxFileFacts, scanOnnxFile } from "../weights/scan-onnx-file.ts";
import { checkDuration, checkMemory, estimateSeconds } from "./admission.ts";
import { checkJob } from "./check-job.ts";
import { chooseSize } from "./choose-size.ts";
import {
  type Engine,
  EngineError,
  type EngineInfo,
  type EngineJob,
  type EngineResult,
  type EngineSink,
  type Picture,
} from "./engine.ts";
import { createStepLog } from "./step-log.ts";

export interface DiffusionEngineOptions {
  /** Folder of an open model, see {@link readModelFolder}. */
  readonly folder: string;
  /** Name of the model that answers. */
  readonly name: string;
  /** Compute threads of the processor. */
  readonly threads: number;
  /** `auto` (default), `cpu`, `cuda`, `dml`, `webgpu` or `coreml`. */
  readonly provider?: string;
  /** Memory that the weights may take, in bytes; default what is free. */
  readonly availableBytes?: number;
  /** Longest a request may take on the processor, in seconds, by an estimate; default one hour. */
  readonly longestSeconds?: number;
  /** What the model can be asked for, where its `engine.json` says nothing else; default what the family allows. */
  readonly limits?: DiffusionLimits;
  /** Hears what happens while the model loads. */
  readonly log?: (message: string) => void;
  /** Monotonic milliseconds; default `performance.now`. */
  readonly now?: () => number;
}

/**
 * Loads an open model from a folder of ONNX graphs: FLUX.1, FLUX.2-klein, Stable Diffusion 1, 2, XL, 3 and 3.5,
 * Z-Image. Sizes are snapped down to what the family can draw; the pictures say which size they have.
 * @throws EngineError when the folder, a graph, the provider or the memory is not what it takes, saying why
 */
export async function openDiffusionEngine(options: DiffusionEngineOptions): Promise<Engine> {
  const { name, threads, provider: wanted = "auto", log = () => {}, now = () => performance.now() } = options;
  const folder = withLimits(await readModelFolder(options.folder), options.limits);
  const facts = new Map<string, OnnxFileFacts>();
  for (const path of Object.values(folder.graphs)) facts.set(path, await scanOnnxFile(path));
  const provider = await findProvider(wanted, log);
  checkMemory([...facts.values()], {
    provider,
    availableBytes: options.availableBytes ?? process.availableMemory(),
  });
  const components = await openComponents(folder, async (path, role) => {
    const started = now();
    const session = await openOnnxSession({ path, threads, provider });
    log(`loaded ${role} in ${((now() - started) / 1000).toFixed(1)} s`);
    return session;
  });
  try {
    const pipeline = await createPipeline(folder, components);
    const version = getDiffusionVersion(options.folder, wanted, options.limits);
    log(`${name}@${version} (${folder.family}) runs on ${provider}`);
    return new DiffusionEngine({
      pipeline,
      components,
      folder,
      provider,
      threads,
      now,
      parameters: facts.get(folder.graphs.transformer ?? "")?.parameters ?? 0,
      longestSeconds: options.longestSeconds ?? 3600,
      info: { kind: "onnx", name, version, limits: pipeline.limits },
    });
  } catch (error) {
    await components[Symbol.asyncDispose]();
    throw error;
  }
}

/**
 * The version of the model in a folder, before it is loaded. With `auto` it does not say which provider will
 * compute: name one where the same seed has to give the same bytes on several machines.
 */
export function getDiffusionVersion(folder: string, provider = "auto", limits?: DiffusionLimits): string {
  const facts = limits === undefined ? [] : [JSON.stringify(limits)];
  return getFolderVersion(folder, [PIPELINE_REVISION, provider, ...facts]);
}

/** Limits that a catalog or an operator states. */
export type DiffusionLimits = Pick<EngineOverrides, "steps" | "guidance" | "maxSide" | "maxArea">;

function withLimits(folder: ModelFolder, limits: DiffusionLimits = {}): ModelFolder {
  return { ...folder, overrides: { ...limits, ...folder.overrides } };
}

/** A preview is worth sending only as often as someone can look. */
const PREVIEW_EVERY_MS = 500;

interface Loaded {
  readonly pipeline: Pipeline;
  readonly components: Components;
  readonly folder: ModelFolder;
  readonly provider: Provider;
  readonly threads: number;
  readonly parameters: number;
  readonly longestSeconds: number;
  readonly now: () => number;
  readonly info: EngineInfo;
}

class DiffusionEngine implements Engine {
  readonly info: EngineInfo;
  readonly #loaded: Loaded;
  #isClosed = false;

  constructor(loaded: Loaded) {
    this.#loaded = loaded;
    this.info = loaded.info;
  }

  async generate(job: EngineJob, sink: EngineSink, signal: AbortSignal): Promise<EngineResult> {
    const { pipeline, now } = this.#loaded;
    if (this.#isClosed) throw new EngineError("failed", "The engine is closed.");
    checkJob(job, this.info.limits);
    signal.throwIfAborted();
    const size = chooseSize(job, this.info.limits, (message) => sink.log(message));
    this.#checkDuration(job, size);
    const init = await prepareInit(job, size, pipeline);
    const timings = { encode: 0, inference: 0, decode: 0 };
    const measure = async <T>(name: keyof typeof timings, run: () => Promise<T>): Promise<T> => {
      const started = now();
      const value = await run();
      timings[name] += (now() - started) / 1000;
      return value;
    };

    const drawLatents = await measure("encode", () =>
      pipeline.encodePrompt({
        prompt: job.prompt,
        negativePrompt: job.negativePrompt,
        guidance: job.guidance,
        warn: createOnce((message) => sink.log(message, "WARN")),
      }),
    );
    sink.progress({ phase: "encode", step: 1, steps: 1 });

    const pictures: Picture[] = [];
    for (const [image, seed] of job.seeds.entries()) {
      signal.throwIfAborted();
      const latents = await measure("inference", () =>
        drawLatents({
          size,
          steps: job.steps,
          noise: createTypedNoise(seed, this.#loaded.folder.overrides.noise),
          init,
          signal,
          onStep: this.#createStepReport(job, image, sink),
        }),
      );
      signal.throwIfAborted();
      const planes = await measure("decode", () => pipeline.decodeLatents(latents));
      pictures.push(toPicture(planes, SIGNED));
      sink.progress({ phase: "decode", step: 1, steps: 1, image });
    }
    return { pictures, timings };
  }

  #checkDuration(job: EngineJob, size: Size): void {
    const { pipeline, provider, threads, parameters, longestSeconds } = this.#loaded;
    const isDoubled = this.info.limits.guidance !== undefined && job.guidance > 1;
    const seconds = estimateSeconds({
      provider,
      threads,
      parameters,
      tokens: pipeline.countTokens(size),
      passes: isDoubled && this.#loaded.folder.family !== "flux" ? 2 : 1,
      job,
    });
    checkDuration(seconds, longestSeconds);
  }

  #createStepReport(job: EngineJob, image: number, sink: EngineSink): (step: FinishedStep) => Promise<void> {
    const { now, pipeline } = this.#loaded;
    const { decodePreview } = pipeline;
    const logStep = createStepLog({ images: job.seeds.length, image, sink, now });
    let previewedAt = Number.NEGATIVE_INFINITY;
    return async ({ finished, steps, estimate }) => {
      sink.progress({ phase: "denoise", step: finished, steps, image });
      const at = logStep(finished, steps);
      if (decodePreview === undefined || !job.wantsPreviews) return;
      if (finished === steps || at - previewedAt < PREVIEW_EVERY_MS) return;
      const picture = toPicture(await decodePreview(estimate()), SIGNED);
      previewedAt = now();
      sink.preview({ image, step: finished, picture });
    };
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#isClosed = true;
    await this.#loaded.components[Symbol.asyncDispose]();
  }
}

/** The starting picture, brought to the size that is drawn; what does not fit the ratio is cut off. */
async function prepareInit(
  job: EngineJob,
  size: Size,
  pipeline: Pipeline,
): Promise<{ readonly planes: Planes; readonly strength: number } | undefined> {
  if (job.init === undefined) return undefined;
  const { rgb, width, height, strength } = job.init;
  if (!pipeline.hasEncoder)
    throw new EngineError(
      "invalid_input",
      "This model cannot start from a picture: its folder has no vae_encoder. Leave the picture out.",
    );
  return { planes: toPlanes(await fitPicture({ rgb, width, height }, size), SIGNED), strength };
}

/** Noise as the reference draws it when it computes in another precision. */
function createTypedNoise(seed: number, type: NoiseType = "float32"): NoiseSource {
  const source = createNoiseSource(seed);
  return { draw: (count, own = type) => source.draw(count, own) };
}

/** The same warning once, although several encoders give it. */
function createOnce(warn: (message: string) => void): (message: string) => void {
  const given = new Set<string>();
  return (message) => {
    if (given.has(message)) return;
    given.add(message);
    warn(message);
  };
}
