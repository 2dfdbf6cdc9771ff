import { basename, resolve } from "node:path";
import { fileURLToPath } from "node:url";
import {
  type DiffusionLimits,
  type Engine,
  getDiffusionVersion,
  getSdServerVersion,
  openDiffusionEngine,
  openSdServerEngine,
  type SdServerModel,
} from "@sluice/runtime/engines";
import { decodeImage } from "@sluice/runtime/images";
import {
  defineModel,
  type JsonSchema,
  type ModelDefinition,
  type RunContext,
  type SetupContext,
} from "@sluice/runtime/model";
import { openNsfwClassifier, readSafetyPolicy } from "@sluice/runtime/safety";
import { answerOrder, type DrawingState, type Order } from "./answer-order.ts";
import { readFlux, readFluxPro, readFluxProV11 } from "./read-flux-input.ts";
import { refuseLora } from "./refuse-lora.ts";
import {
  FLUX_DEV_INPUT,
  FLUX_DEV_OUTPUT,
  FLUX_SCHNELL_INPUT,
  FLUX_SCHNELL_OUTPUT,
  type FluxInput,
} from "./schemas/flux.ts";
import {
  FLUX_PRO_INPUT,
  FLUX_PRO_OUTPUT,
  FLUX_PRO_V1_1_INPUT,
  FLUX_PRO_V1_1_OUTPUT,
  type FluxProInput,
  type FluxProV11Input,
} from "./schemas/flux-pro.ts";
import {
  OPEN_IMAGE_TO_IMAGE_INPUT,
  OPEN_IMAGE_TO_IMAGE_OUTPUT,
  OPEN_TEXT_TO_IMAGE_INPUT,
  OPEN_TEXT_TO_IMAGE_OUTPUT,
  type OpenImageToImageInput,
  type OpenTextToImageInput,
} from "./schemas/open-text-to-image.ts";
import { EXAMPLE_PROMPT, type TextToImageOutput } from "./schemas/text-to-image.ts";

export type OpenWeightsOptions = OnnxOptions | SdServerOptions;

interface EndpointOptions {
  /** Folder of the model: a path from where the server is started, or a URL beside the model file. */
  readonly folder: string | URL;
  /** What callers see as `x-model`; default the folder's name. */
  readonly name?: string;
  /** Licence of the weights as an SPDX expression. */
  readonly license?: string;
  /**
   * Endpoint ids that it answers. The known ones of FLUX get their schemas; an id that ends in `image-to-image`
   * starts from a picture; every other takes a prompt. Default `fal-ai/flux-pro`.
   */
  readonly endpoints?: readonly string[];
  /** Longest a request may take, in seconds; default one hour. */
  readonly longestSeconds?: number;
}

/** ONNX graphs, run by the built-in engine. */
interface OnnxOptions extends EndpointOptions {
  readonly engine?: "onnx";
  /** What computes: `auto` (default), `cpu`, `cuda`, `dml`, `webgpu`, `coreml`. */
  readonly provider?: "auto" | "cpu" | "cuda" | "dml" | "webgpu" | "coreml";
  /** What the model can be asked for, where its `engine.json` says nothing else; default what the family allows. */
  readonly limits?: DiffusionLimits;
  /** Memory that the weights may take; default what is free when they are loaded. */
  readonly memoryBytes?: number;
}

/** GGUF or safetensors, run by stable-diffusion.cpp's `sd-server` as a child of the worker. */
interface SdServerOptions extends EndpointOptions {
  readonly engine: "sd-server";
  /** What the model is made of and can be asked for; its files lie in the folder. */
  readonly model: SdServerModel;
  /** The program: a path, or a name to find on the PATH; default `sd-server`. */
  readonly binary?: string;
}

/** One endpoint on the weights. */
export type OpenWeightsEndpoint = ModelDefinition<unknown, TextToImageOutput, DrawingState>;

/**
 * Endpoints on one open model, for the default export of a model file. The folder is read when a worker starts; one
 * that does not exist is an error at once.
 *
 * With ONNX graphs `SLUICE_MODEL_PROVIDER` goes before the option `provider`. With `sd-server`
 * `SLUICE_MODEL_SD_SERVER` goes before the option `binary`, and `SLUICE_MODEL_SD_SERVER_ARGS` adds options for memory
 * and devices (`--offload-to-cpu`), separated by spaces.
 *
 * @example
 * export default defineTextToImage({
 *   folder: new URL("./FLUX.1-schnell-onnx", import.meta.url),
 *   license: "Apache-2.0",
 *   endpoints: ["fal-ai/flux-pro", "fal-ai/flux/schnell"],
 * });
 */
export function defineTextToImage(options: OpenWeightsOptions): readonly OpenWeightsEndpoint[] {
  const folder = options.folder instanceof URL ? fileURLToPath(options.folder) : resolve(options.folder);
  const name = options.name ?? basename(folder);
  const version =
    options.engine === "sd-server"
      ? getSdServerVersion(options.model, folder)
      : getDiffusionVersion(folder, options.provider, options.limits);
  const identity = { name, version };
  const longestSeconds = options.longestSeconds ?? DEFAULT_LONGEST_SECONDS;
  const weights: Weights = {
    setup: (context) => openState({ ...options, folder, name, longestSeconds }, context),
    identity,
    license: options.license,
    timeoutMs: longestSeconds * 1000,
  };
  return (options.endpoints ?? ["fal-ai/flux-pro"]).map((id) => defineEndpoint(id, weights));
}

const CLASSIFIER = fileURLToPath(new URL("../nsfw/", import.meta.url));
const DEFAULT_LONGEST_SECONDS = 3600;
/** These models have seen everything: the classifier's own view of how rare explicit pictures are holds. */
const EXPLICIT_PRIOR = 1;
const SETUP_TIMEOUT_MS = 1_800_000;

type ReadOptions = OpenWeightsOptions & {
  readonly folder: string;
  readonly name: string;
  readonly longestSeconds: number;
};

async function openState(options: ReadOptions, context: SetupContext): Promise<DrawingState> {
  const policy = readSafetyPolicy(context.settings);
  const engine = await openEngine(options, context);
  try {
    const classifier = await openNsfwClassifier({ folder: CLASSIFIER, threads: context.threads });
    return { engine, classifier, policy, explicitPrior: EXPLICIT_PRIOR };
  } catch (error) {
    await engine[Symbol.asyncDispose]();
    throw error;
  }
}

function openEngine(options: ReadOptions, context: SetupContext): Promise<Engine> {
  const { folder, name, longestSeconds } = options;
  const { threads, settings, signal } = context;
  const log = (message: string) => context.log(message);
  if (options.engine === "sd-server")
    return openSdServerEngine({
      model: options.model,
      folder,
      name,
      threads,
      binary: settings["sd_server"] ?? options.binary,
      args: settings["sd_server_args"]?.split(/\s+/).filter((arg) => arg !== ""),
      startTimeoutMs: SETUP_TIMEOUT_MS,
      signal,
      log,
    });
  return openDiffusionEngine({
    folder,
    name,
    threads,
    provider: settings["provider"] ?? options.provider ?? "auto",
    longestSeconds,
    log,
    ...(options.limits === undefined ? {} : { limits: options.limits }),
    ...(options.memoryBytes === undefined ? {} : { availableBytes: options.memoryBytes }),
  });
}

async function teardown({ engine, classifier }: DrawingState): Promise<void> {
  await engine[Symbol.asyncDispose]();
  await classifier[Symbol.asyncDispose]();
}

interface Weights {
  readonly setup: (context: SetupContext) => Promise<DrawingState>;
  readonly identity: { readonly name: string; readonly version: string };
  readonly license: string | undefined;
  readonly timeoutMs: number;
}

function defineEndpoint(id: string, weights: Weights): OpenWeightsEndpoint {
  switch (id) {
    case "fal-ai/flux-pro":
      return define(id, weights, {
        title: "FLUX.1 [pro] schema",
        input: FLUX_PRO_INPUT,
        output: FLUX_PRO_OUTPUT,
        read: (input: FluxProInput) => readFluxPro(input),
      });
    case "fal-ai/flux-pro/v1.1":
      return define(id, weights, {
        title: "FLUX1.1 [pro] schema",
        input: FLUX_PRO_V1_1_INPUT,
        output: FLUX_PRO_V1_1_OUTPUT,
        read: (input: FluxProV11Input) => readFluxProV11(input),
      });
    case "fal-ai/flux/dev":
      return define(id, weights, {
        title: "FLUX.1 [dev] schema",
        input: FLUX_DEV_INPUT,
        output: FLUX_DEV_OUTPUT,
        read: (input: FluxInput) => readFlux(input),
      });
    case "fal-ai/flux/schnell":
      return define(id, weights, {
        title: "FLUX.1 [schnell] schema",
        input: FLUX_SCHNELL_INPUT,
        output: FLUX_SCHNELL_OUTPUT,
        read: (input: FluxInput) => readFlux(input),
      });
    default:
      return id.endsWith("/image-to-image")
        ? define(id, weights, {
            title: `Image to image with ${weights.identity.name}`,
            category: "image-to-image",
            input: OPEN_IMAGE_TO_IMAGE_INPUT,
            output: OPEN_IMAGE_TO_IMAGE_OUTPUT,
            read: readImageToImage,
          })
        : define(id, weights, {
            title: `Text to image with ${weights.identity.name}`,
            input: OPEN_TEXT_TO_IMAGE_INPUT,
            output: OPEN_TEXT_TO_IMAGE_OUTPUT,
            read: readTextToImage,
          });
  }
}

interface EndpointFields<Input> {
  readonly title: string;
  readonly category?: string;
  readonly input: JsonSchema;
  readonly output: JsonSchema;
  readonly read: (input: Input, context: RunContext<DrawingState>) => Order | Promise<Order>;
}

function define<Input extends { readonly num_images: number }>(
  id: string,
  { setup, identity, license, timeoutMs }: Weights,
  { read, category = "text-to-image", ...fields }: EndpointFields<Input>,
): OpenWeightsEndpoint {
  // A list of endpoints has no one type of input: each one's schema has checked it before it comes here.
  const trust = (input: unknown) => input as Input;
  return defineModel({
    id,
    ...fields,
    category,
    description: `Answered by ${identity.name} from open weights on this server.`,
    tags: ["open-weights"],
    model: identity,
    ...(license === undefined ? {} : { license }),
    limits: { timeoutMs, setupTimeoutMs: SETUP_TIMEOUT_MS },
    examples: [{ input: { prompt: EXAMPLE_PROMPT } }],
    billableUnits: (input) => trust(input).num_images,
    setup,
    teardown,
    run: async (input, context) => {
      refuseLora(input);
      return answerOrder(await read(trust(input), context), context);
    },
  });
}

function readTextToImage(input: OpenTextToImageInput): Order {
  return { ...readOpen(input), imageSize: input.image_size };
}

const IMAGE_LOC = ["body", "image_url"];

async function readImageToImage(
  input: OpenImageToImageInput,
  { files }: RunContext<DrawingState>,
): Promise<Order> {
  const file = await files.read(input.image_url, { loc: IMAGE_LOC });
  const picture = await decodeImage(file.bytes, { loc: IMAGE_LOC });
  const { width, height } = picture;
  // The answer has the picture's ratio; a picture beyond the model's limits is made smaller by the engine.
  const scale = Math.min(1, Math.sqrt(MOST_PIXELS / (width * height)));
  const imageSize = {
    width: Math.max(1, Math.round(width * scale)),
    height: Math.max(1, Math.round(height * scale)),
  };
  return { ...readOpen(input), imageSize, init: { ...picture, strength: input.strength } };
}

const MOST_PIXELS = 4_000_000;

function readOpen(input: Omit<OpenTextToImageInput, "image_size">): Omit<Order, "imageSize"> {
  return {
    prompt: input.prompt,
    ...(input.negative_prompt === undefined ? {} : { negativePrompt: input.negative_prompt }),
    steps: input.num_inference_steps,
    guidance: input.guidance_scale,
    seed: input.seed,
    count: input.num_images,
    tolerance: input.enable_safety_checker ? 2 : 6,
    format: input.output_format,
    inline: input.sync_mode ?? false,
  };
}
