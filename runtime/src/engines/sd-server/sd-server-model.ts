import { readdirSync } from "node:fs";
import { isAbsolute, join, normalize, resolve, sep } from "node:path";
import { FOUR_MEGAPIXELS, MAX_SIDE } from "../../diffusion/read-limits.ts";
import type { LimitRange } from "../../weights/engine-overrides.ts";
import { EngineError, type EngineLimits } from "../engine.ts";

/** The options of `sd-server` that take a file of weights. */
export const SD_SERVER_ROLES = [
  "model",
  "diffusion-model",
  "vae",
  "tae",
  "clip_l",
  "clip_g",
  "t5xxl",
  "llm",
] as const;
export type SdServerRole = (typeof SD_SERVER_ROLES)[number];

/**
 * A model that stable-diffusion.cpp runs, as plain data: which files it is made of and what it can be asked for.
 *
 * @example
 * {
 *   files: {
 *     "diffusion-model": "flux-2-klein-4b-Q8_0.gguf",
 *     vae: "flux2_ae.safetensors",
 *     llm: "Qwen3-4B-Q4_K_M.gguf",
 *   },
 *   steps: { min: 1, max: 8, default: 4 },
 *   guidance: null,
 *   multipleOf: 16,
 * }
 */
export interface SdServerModel {
  /** Weights as GGUF or safetensors, by the option that takes them; relative paths start at the model's folder. */
  readonly files: Partial<Readonly<Record<SdServerRole, string>>>;
  readonly steps: LimitRange;
  /** Null for a model that was distilled to need none. */
  readonly guidance: LimitRange | null;
  /**
   * What the scale does: `classifier-free` (default) computes every step twice, with and without the prompt;
   * `distilled` tells the network, as FLUX.1-dev wants it.
   */
  readonly guidanceKind?: "classifier-free" | "distilled";
  /** Method of sampling, as `sd-server` names it; default the family's own. */
  readonly sampler?: string;
  /** Spacing of the sigmas, as `sd-server` names it; default the family's own. */
  readonly scheduler?: string;
  /** Shift of the sigmas of a flow model; default the family's own. */
  readonly flowShift?: number;
  /** Type that weights are brought to while they are loaded: `f16`, `q8_0`, `q4_K`, …; default as they are. */
  readonly quantize?: string;
  /** Pixels; default 2048 a side and four megapixels. */
  readonly maxSide?: number;
  readonly maxArea?: number;
  /** Sides are multiples of this; default 16, the most that any of its families wants but for a few. */
  readonly multipleOf?: number;
  /** More options, for memory and devices: `["--offload-to-cpu"]`, `["--max-vram", "6"]`, … */
  readonly args?: readonly string[];
}

/** The same, checked, with files that exist. */
export interface ResolvedSdServerModel extends Omit<SdServerModel, "files"> {
  readonly files: readonly { readonly role: SdServerRole; readonly path: string }[];
  readonly limits: EngineLimits;
}

/**
 * Checks a description and finds its files.
 * @throws EngineError naming the first field that is wrong and what to write instead
 */
export function resolveSdServerModel(model: SdServerModel, folder: string): ResolvedSdServerModel {
  checkFields(model);
  const files = Object.entries(model.files).map(([role, file]) => ({
    role: role as SdServerRole,
    path: resolveFile(role, file, folder),
  }));
  checkArgs(model.args ?? []);
  return {
    ...model,
    files,
    limits: {
      steps: model.steps,
      ...(model.guidance === null ? {} : { guidance: model.guidance }),
      maxSide: model.maxSide ?? MAX_SIDE,
      maxArea: model.maxArea ?? FOUR_MEGAPIXELS,
      multipleOf: model.multipleOf ?? 16,
    },
  };
}

/**
 * Options that belong to the driver, and those that open a door: other addresses than loopback, folders from which
 * a prompt could name files, seeds and prompts for requests that have none.
 * @throws EngineError naming the option
 */
export function checkArgs(args: readonly string[]): void {
  for (const arg of args) {
    const name = arg.split("=", 1)[0] ?? arg;
    const why = REFUSED_ARGS[name];
    if (why !== undefined) throw refuse(`"args" holds ${name}, which ${why}`);
  }
}

const OWNED = "is set by the driver";
const FILE = 'is a file of the model: name it in "files"';
const LORA = "would load LoRA files, which are not supported: merge them into the model";
const REFUSED_ARGS: Readonly<Record<string, string>> = {
  ...Object.fromEntries(SD_SERVER_ROLES.map((role) => [`--${role}`, FILE])),
  "-m": FILE,
  "-l": OWNED,
  "--listen-ip": OWNED,
  "--listen-port": OWNED,
  "-t": OWNED,
  "--threads": OWNED,
  "--rng": OWNED,
  "--sampler-rng": OWNED,
  "-s": OWNED,
  "--seed": OWNED,
  "-b": OWNED,
  "--batch-count": OWNED,
  "--type": 'is "quantize" of the model',
  "--cfg-scale": 'is "guidance" of the model',
  "--guidance": 'is "guidance" of the model',
  "--steps": 'is "steps" of the model',
  "--sampling-method": 'is "sampler" of the model',
  "--scheduler": 'is "scheduler" of the model',
  "--flow-shift": 'is "flowShift" of the model',
  "-p": "would be the prompt of requests without one",
  "--prompt": "would be the prompt of requests without one",
  "-n": "would be the negative prompt of all requests",
  "--negative-prompt": "would be the negative prompt of all requests",
  "--serve-html-path": "would serve a page",
  "--lora-model-dir": LORA,
  "--embd-dir": "would let prompts name files",
  "--rpc-servers": "would send weights and prompts to other machines",
};

function checkFields(model: SdServerModel): void {
  if (typeof model !== "object" || model === null) throw refuse("it is not an object");
  for (const field of Object.keys(model))
    if (!Object.hasOwn(FIELDS, field))
      throw refuse(`"${field}" is not known; known are ${Object.keys(FIELDS).join(", ")}`);
  for (const [field, check] of Object.entries(FIELDS)) {
    const problem = check((model as unknown as Readonly<Record<string, unknown>>)[field]);
    if (problem !== undefined) throw refuse(`"${field}" ${problem}`);
  }
  if (model.files.model === undefined && model.files["diffusion-model"] === undefined)
    throw refuse('"files" has neither "model" (everything in one file) nor "diffusion-model"');
}

/** Says what is wrong with a value, or nothing. */
type Check = (value: unknown) => string | undefined;

const isObject = (value: unknown): value is Readonly<Record<string, unknown>> =>
  typeof value === "object" && value !== null && !Array.isArray(value);
const optional =
  (check: Check): Check =>
  (value) =>
    value === undefined ? undefined : check(value);
const checkCount: Check = (value) =>
  Number.isSafeInteger(value) && (value as number) > 0 ? undefined : "is not a whole number above 0";
const checkWord: Check = (value) =>
  typeof value === "string" && /^[\w.+-]+$/.test(value) ? undefined : "is not a word";
const checkRange: Check = (value) => {
  const { min, max, default: normal } = isObject(value) ? value : {};
  const isRight =
    typeof min === "number" &&
    typeof max === "number" &&
    typeof normal === "number" &&
    min <= normal &&
    normal <= max;
  return isRight ? undefined : "needs the numbers min ≤ default ≤ max";
};

const FIELDS: Readonly<Record<keyof SdServerModel, Check>> = {
  files: (value) => {
    if (!isObject(value)) return "is not an object of paths";
    for (const [role, file] of Object.entries(value)) {
      if (!(SD_SERVER_ROLES as readonly string[]).includes(role))
        return `has no part "${role}"; parts are ${SD_SERVER_ROLES.join(", ")}`;
      if (typeof file !== "string" || file === "") return `has a "${role}" that is not a path`;
    }
    return undefined;
  },
  steps: checkRange,
  guidance: (value) => (value === null ? undefined : checkRange(value)),
  guidanceKind: optional((value) =>
    value === "classifier-free" || value === "distilled" ? undefined : "is not classifier-free or distilled",
  ),
  sampler: optional(checkWord),
  scheduler: optional(checkWord),
  flowShift: optional((value) => (Number.isFinite(value) ? undefined : "is not a number")),
  quantize: optional(checkWord),
  maxSide: optional(checkCount),
  maxArea: optional(checkCount),
  multipleOf: optional(checkCount),
  args: optional((value) =>
    Array.isArray(value) && value.every((arg) => typeof arg === "string" && !arg.includes("\0"))
      ? undefined
      : "is not a list of texts",
  ),
};

function resolveFile(role: string, file: string, folder: string): string {
  if (!isAbsolute(file) && normalize(file).split(sep)[0] === "..")
    throw refuse(`the file of "${role}", ${file}, is outside of the model's folder; give its whole path`);
  if (/\.(ckpt|pth?|bin|pickle)$/i.test(file))
    throw refuse(
      `the file of "${role}", ${file}, is a pickle, which can run code while it is read; convert it to safetensors or GGUF`,
    );
  if (!/\.(gguf|safetensors)$/i.test(file))
    throw refuse(`the file of "${role}", ${file}, is neither .gguf nor .safetensors`);
  return isAbsolute(file) ? file : join(resolve(folder), file);
}

function refuse(problem: string): EngineError {
  return new EngineError("failed", `The model for sd-server cannot be used: ${problem}.`);
}

/** What lies in a folder, for errors about files that do not. */
export function describeFolder(folder: string): string {
  try {
    const names = readdirSync(folder);
    if (names.length === 0) return "it is empty";
    return `it holds ${names.length > 12 ? `${names.slice(0, 12).join(", ")} and more` : names.join(", ")}`;
  } catch {
    return "it cannot be read";
  }
}
