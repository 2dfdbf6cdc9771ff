import { EngineError } from "../engines/engine.ts";
import type { GraphNames } from "../sessions/graph.ts";
import { FAMILIES, type Family, listFamilies, type Role } from "./families.ts";

/**
 * `engine.json` in a model folder: what cannot be read from the folder itself. Every field may be left out.
 *
 * @example
 * {
 *   "family": "flux",
 *   "graphs": { "transformer": { "file": "flux.onnx", "inputs": { "hidden_states": "x" } } },
 *   "scheduler": { "_class_name": "EulerDiscreteScheduler", "timestep_spacing": "trailing" },
 *   "vae": { "scaling_factor": 0.3611 },
 *   "steps": { "min": 1, "max": 4, "default": 4 },
 *   "guidance": null
 * }
 */
export interface EngineOverrides {
  readonly family?: Family;
  /** Files (relative to the folder) and names of graphs that differ from the family's. */
  readonly graphs: Partial<Readonly<Record<Role, GraphNames & { readonly file?: string }>>>;
  /** Laid over `scheduler/scheduler_config.json`. */
  readonly scheduler: JsonObject;
  /** Laid over the configuration of the VAE. */
  readonly vae: JsonObject;
  readonly steps?: LimitRange;
  /** Null for a model that was distilled to need none. */
  readonly guidance?: LimitRange | null;
  /** Ids of the long text encoder: T5 with FLUX.1 and SD3. */
  readonly textLength?: number;
  /** Pixels. */
  readonly maxSide?: number;
  readonly maxArea?: number;
  /** Type in which noise is drawn, as the reference does it in that precision; default `float32`. */
  readonly noise?: "float32" | "bfloat16" | "float16";
}

export interface LimitRange {
  readonly min: number;
  readonly max: number;
  readonly default: number;
}

export type JsonObject = Readonly<Record<string, unknown>>;

/** @throws EngineError naming the file and the first field that is not understood */
export function parseEngineOverrides(document: JsonObject, path: string): EngineOverrides {
  for (const [field, value] of Object.entries(document)) {
    const check = FIELDS[field];
    if (check === undefined)
      throw refuse(path, `"${field}" is not known; known are ${Object.keys(FIELDS).join(", ")}`);
    const problem = check(value);
    if (problem !== undefined) throw refuse(path, `"${field}" ${problem}`);
  }
  const { graphs = {}, scheduler = {}, vae = {}, ...rest } = document;
  return { ...rest, graphs, scheduler, vae } as EngineOverrides;
}

function refuse(path: string, problem: string): EngineError {
  return new EngineError("failed", `${path}: ${problem}. Correct the file or delete it.`);
}

/** Says what is wrong with a value, or nothing. */
type Check = (value: unknown) => string | undefined;

const isObject = (value: unknown): value is JsonObject =>
  typeof value === "object" && value !== null && !Array.isArray(value);
const checkObject: Check = (value) => (isObject(value) ? undefined : "is not an object");
const checkCount: Check = (value) =>
  Number.isSafeInteger(value) && (value as number) > 0 ? undefined : "is not a whole number above 0";
const checkRange: Check = (value) => {
  if (!isObject(value)) return "is not an object with min, max and default";
  const { min, max, default: normal } = value;
  const isRight =
    typeof min === "number" &&
    typeof max === "number" &&
    typeof normal === "number" &&
    min <= normal &&
    normal <= max;
  return isRight ? undefined : "needs the numbers min ≤ default ≤ max";
};
const ROLES: readonly string[] = [
  "text_encoder",
  "text_encoder_2",
  "text_encoder_3",
  "transformer",
  "vae_decoder",
  "vae_encoder",
  "preview_decoder",
] satisfies Role[];

const checkGraphs: Check = (value) => {
  if (!isObject(value)) return "is not an object";
  for (const [role, graph] of Object.entries(value)) {
    if (!ROLES.includes(role)) return `has no part "${role}"; parts are ${ROLES.join(", ")}`;
    if (!isObject(graph)) return `has a part "${role}" that is not an object`;
    const { file, inputs = {}, outputs = {}, ...unknown } = graph;
    const [first] = Object.keys(unknown);
    if (first !== undefined) return `says "${first}" about "${role}"; it may say file, inputs, outputs`;
    if (file !== undefined && (typeof file !== "string" || !/^(?!.*\.\.)[\w][\w./ -]*$/.test(file)))
      return `names a file of "${role}" that is not a path inside the folder`;
    for (const names of [inputs, outputs])
      if (!isObject(names) || !Object.values(names).every((name) => typeof name === "string"))
        return `has names of "${role}" that are not texts`;
  }
  return undefined;
};

const FIELDS: Readonly<Record<string, Check>> = {
  family: (value) =>
    typeof value === "string" && value in FAMILIES
      ? undefined
      : `is ${JSON.stringify(value)}; families are ${listFamilies()}`,
  graphs: checkGraphs,
  scheduler: checkObject,
  vae: checkObject,
  steps: checkRange,
  guidance: (value) => (value === null ? undefined : checkRange(value)),
  textLength: checkCount,
  maxSide: checkCount,
  maxArea: checkCount,
  noise: (value) =>
    ["float32", "bfloat16", "float16"].includes(value as string)
      ? undefined
      : "is not float32, bfloat16 or float16",
};
