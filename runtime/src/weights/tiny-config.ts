import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { EngineError } from "../engines/engine.ts";
import type { TinyTokenizerConfig } from "../text/tiny-tokenizer.ts";

/** `config.json` of a model of the tiny-flux family; its meaning is in `models/tiny/README.md`. */
export interface TinyConfig {
  readonly family: "tiny-flux";
  readonly tokenizer: TinyTokenizerConfig & { readonly vocabulary: string };
  readonly text: GraphConfig<"ids", "hidden" | "pooled" | "mask">;
  readonly transformer: GraphConfig<"latents" | "time" | "hidden" | "pooled" | "mask", "prediction"> & {
    readonly predicts: "clean";
  };
  readonly latents: {
    readonly space: "pixels" | "latents";
    readonly channels: number;
    /** Pixels per side of one latent cell. */
    readonly cellPixels: number;
    readonly grids: readonly Grid[];
  };
  readonly vae: GraphConfig<"latents", "pixels"> | null;
  readonly upscaler:
    | (GraphConfig<"pixels", "pixels"> & {
        readonly factor: number;
        readonly passes: number;
        /** How many times, per side, plain resizing may enlarge a picture: so much needs no pass. */
        readonly maxResize: number;
      })
    | null;
  readonly scheduler: {
    readonly shift: number;
    readonly minSigma: number;
    readonly steps: { readonly default: number; readonly min: number; readonly max: number };
  };
  readonly guidance: {
    readonly kind: "classifier-free";
    readonly offset: number;
    readonly slope: number;
    readonly min: number;
    readonly max: number;
    readonly sigmaRange: readonly [number, number];
  };
  readonly files: Readonly<Record<string, { readonly bytes: number; readonly sha256: string }>>;
}

export interface GraphConfig<Input extends string, Output extends string> {
  readonly file: string;
  readonly inputs: Readonly<Record<Input, string>>;
  readonly outputs: Readonly<Record<Output, string>>;
}

/** A size in latent cells. */
export interface Grid {
  readonly width: number;
  readonly height: number;
}

/**
 * Reads and checks `config.json` of a model folder.
 * @throws EngineError naming the file and the first field that is missing or not understood
 */
export async function readTinyConfig(folder: string): Promise<TinyConfig> {
  const path = join(folder, "config.json");
  let document: unknown;
  try {
    document = JSON.parse(await readFile(path, "utf8"));
  } catch (cause) {
    throw new EngineError("failed", `Cannot read ${path}, which describes the model. Restore the folder.`, {
      cause,
    });
  }
  const problem = findProblem(document);
  if (problem !== undefined)
    throw new EngineError("failed", `${path}: ${problem}. Use a model folder that fits this version.`);
  return document as TinyConfig;
}

type Check = (value: unknown) => boolean;

const isNumber: Check = (value) => typeof value === "number" && Number.isFinite(value);
const isCount: Check = (value) => Number.isSafeInteger(value) && (value as number) > 0;
const isId: Check = (value) => Number.isSafeInteger(value) && (value as number) >= 0;
const isName: Check = (value) => typeof value === "string" && value !== "";
/** A plain name: the folder is the limit of what a description can reach. */
const isFile: Check = (value) => isName(value) && /^[\w.-]+$/.test(value as string);
const is =
  (...allowed: readonly string[]): Check =>
  (value) =>
    allowed.includes(value as string);
const isGrids: Check = (value) =>
  Array.isArray(value) &&
  value.length > 0 &&
  value.every((grid) => isCount(grid?.width) && isCount(grid?.height));
const isRange: Check = (value) => Array.isArray(value) && value.length === 2 && value.every(isNumber);
const isFiles: Check = (value) =>
  typeof value === "object" &&
  value !== null &&
  Object.entries(value).every(
    ([name, entry]) => isFile(name) && isCount(entry?.bytes) && isName(entry?.sha256),
  );

const FIELDS: Readonly<Record<string, Check>> = {
  family: is("tiny-flux"),
  "tokenizer.vocabulary": isFile,
  "tokenizer.window": isCount,
  "tokenizer.padTo": isCount,
  "tokenizer.padId": isId,
  "tokenizer.nullId": isId,
  "tokenizer.maxLetters": isCount,
  "text.file": isFile,
  "text.inputs.ids": isName,
  "text.outputs.hidden": isName,
  "text.outputs.pooled": isName,
  "text.outputs.mask": isName,
  "transformer.file": isFile,
  "transformer.inputs.latents": isName,
  "transformer.inputs.time": isName,
  "transformer.inputs.hidden": isName,
  "transformer.inputs.pooled": isName,
  "transformer.inputs.mask": isName,
  "transformer.outputs.prediction": isName,
  "transformer.predicts": is("clean"),
  "latents.space": is("pixels", "latents"),
  "latents.channels": isCount,
  "latents.cellPixels": isCount,
  "latents.grids": isGrids,
  "scheduler.shift": isNumber,
  "scheduler.minSigma": isNumber,
  "scheduler.steps.default": isCount,
  "scheduler.steps.min": isCount,
  "scheduler.steps.max": isCount,
  "guidance.kind": is("classifier-free"),
  "guidance.offset": isNumber,
  "guidance.slope": isNumber,
  "guidance.min": isNumber,
  "guidance.max": isNumber,
  "guidance.sigmaRange": isRange,
  files: isFiles,
};

const VAE_FIELDS: Readonly<Record<string, Check>> = {
  "vae.file": isFile,
  "vae.inputs.latents": isName,
  "vae.outputs.pixels": isName,
};

const UPSCALER_FIELDS: Readonly<Record<string, Check>> = {
  "upscaler.file": isFile,
  "upscaler.inputs.pixels": isName,
  "upscaler.outputs.pixels": isName,
  "upscaler.factor": isCount,
  "upscaler.passes": isCount,
  "upscaler.maxResize": isNumber,
};

function findProblem(document: unknown): string | undefined {
  const fields = {
    ...FIELDS,
    ...(getField(document, "vae") === null ? {} : VAE_FIELDS),
    ...(getField(document, "upscaler") === null ? {} : UPSCALER_FIELDS),
  };
  for (const [path, check] of Object.entries(fields)) {
    const value = getField(document, path);
    if (value === undefined) return `"${path}" is missing`;
    if (!check(value)) return `"${path}" is ${JSON.stringify(value)?.slice(0, 80)}, which is not understood`;
  }
  if (getField(document, "latents.space") === "latents" && getField(document, "vae") === null)
    return '"vae" is null although "latents.space" is "latents"';
  return undefined;
}

function getField(document: unknown, path: string): unknown {
  let value = document;
  for (const name of path.split(".")) {
    if (typeof value !== "object" || value === null) return undefined;
    value = (value as Record<string, unknown>)[name];
  }
  return value;
}
