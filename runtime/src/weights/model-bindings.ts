import { readFile } from "node:fs/promises";
import { isAbsolute, join, resolve } from "node:path";
import type { LimitRange } from "./engine-overrides.ts";
import { inspectModel } from "./inspect-model.ts";
import { findInstalledModel, type ModelDescription } from "./installed-models.ts";
import { FILE_ROLES, type FileRole, type LicenseTerms, type ModelLimits } from "./model-catalog.ts";
import { checkModelName } from "./model-source.ts";
import { takeProcessLock } from "./process-lock.ts";
import { removeMark } from "./remove-mark.ts";
import { WeightsError } from "./weights-error.ts";
import { writeFileSafely } from "./write-file-safely.ts";

/**
 * `models.json` in the data folder: which models answer which endpoints. The command line writes it, the server reads
 * it, and people may edit it.
 *
 * @example
 * { "models": {
 *     "flux-2-klein-4b": { "endpoints": ["fal-ai/flux-pro"] },
 *     "mine": { "endpoints": ["acme/draw"], "path": "/data/my-export", "provider": "cuda" } } }
 */
export interface ModelBinding extends ModelLimits {
  readonly name: string;
  readonly endpoints: readonly string[];
  /** Folder of ONNX graphs, or file of weights, where it was found; left out for a model that was pulled. */
  readonly path?: string;
  /** Further files of a model for sd-server. */
  readonly files?: Partial<Readonly<Record<FileRole, string>>>;
  readonly family?: string;
  readonly license?: string;
  readonly terms?: LicenseTerms;
  /** `auto`, `cpu`, `cuda`, … for the built-in engine. */
  readonly provider?: string;
}

/** A binding with everything that is needed to serve it. */
export interface BoundModel {
  readonly name: string;
  readonly endpoints: readonly string[];
  /** Absolute. */
  readonly folder: string;
  readonly provider: string | undefined;
  readonly description: ModelDescription;
}

export function getBindingsPath(dataDir: string): string {
  return join(dataDir, "models.json");
}

/** The bindings, in the order of the file. @throws WeightsError naming the field that is not understood */
export async function readModelBindings(dataDir: string): Promise<readonly ModelBinding[]> {
  const path = getBindingsPath(dataDir);
  let text: string;
  try {
    text = await readFile(path, "utf8");
  } catch (cause) {
    if ((cause as { code?: string }).code === "ENOENT") return [];
    throw new WeightsError(`${path} cannot be read.`, { cause });
  }
  let document: unknown;
  try {
    document = JSON.parse(removeMark(text));
  } catch (cause) {
    throw new WeightsError(`${path} is not JSON: ${(cause as Error).message}.`, { next: [REPAIR], cause });
  }
  return parseBindings(document, path);
}

const REPAIR = "Correct the file, or delete it and bind the models again with `sluice models add`.";

/** A change of the bindings that was made. */
export interface BindingsChange {
  readonly before: readonly ModelBinding[];
  readonly after: readonly ModelBinding[];
}

/**
 * Changes the bindings in one step; two changes at a time follow one another.
 * @param change gives back the new bindings, or the same to leave them
 */
export async function changeModelBindings(
  dataDir: string,
  change: (bindings: readonly ModelBinding[]) => readonly ModelBinding[],
): Promise<BindingsChange> {
  const path = getBindingsPath(dataDir);
  using _lock = await waitForLock(`${path}.lock`);
  const before = await readModelBindings(dataDir);
  const after = change(before);
  if (after !== before) {
    const models = Object.fromEntries(after.map(({ name, ...binding }) => [name, binding]));
    await writeFileSafely(path, `${JSON.stringify({ models }, null, 2)}\n`);
  }
  return { before, after };
}

const LOCK_TRIES = 100;
const LOCK_WAIT_MS = 50;

async function waitForLock(path: string): Promise<Disposable> {
  for (let i = 0; i < LOCK_TRIES; i++) {
    const lock = takeProcessLock(path);
    if (lock !== undefined) return lock;
    await new Promise((done) => setTimeout(done, LOCK_WAIT_MS));
  }
  throw new WeightsError(`Another process is changing ${path.replace(/\.lock$/, "")}.`, {
    next: ["Try again."],
  });
}

/**
 * Finds the files of a binding.
 * @throws WeightsError when they are not there
 */
export async function resolveBinding(binding: ModelBinding, weightsDir: string): Promise<BoundModel> {
  const { name, endpoints, provider } = binding;
  const { folder, description } = await findFiles(binding, weightsDir);
  const { steps, guidance, guidanceKind, maxSide, maxArea, multipleOf, license, terms } = binding;
  const own = { steps, guidance, guidanceKind, maxSide, maxArea, multipleOf, license, terms };
  const stated = Object.fromEntries(Object.entries(own).filter(([, value]) => value !== undefined));
  return { name, endpoints, provider, folder: resolve(folder), description: { ...description, ...stated } };
}

async function findFiles(
  binding: ModelBinding,
  weightsDir: string,
): Promise<{ readonly folder: string; readonly description: ModelDescription }> {
  const { name, path, family, files = {} } = binding;
  if (path !== undefined) return await inspectModel(path, { family, roles: files });
  const model = await findInstalledModel(weightsDir, name);
  if (model === undefined)
    throw new WeightsError(`The model ${name} is not in ${weightsDir}.`, {
      next: [
        `Pull it with \`sluice models pull ${name}\`, or unbind it with \`sluice models remove ${name}\`.`,
      ],
    });
  return { folder: join(weightsDir, name), description: model };
}

type Fields = Readonly<Record<string, unknown>>;
const isFields = (value: unknown): value is Fields =>
  typeof value === "object" && value !== null && !Array.isArray(value);
const isText = (value: unknown): value is string => typeof value === "string" && value !== "";

function parseBindings(document: unknown, path: string): readonly ModelBinding[] {
  const refuse = (problem: string) => new WeightsError(`${path}: ${problem}.`, { next: [REPAIR] });
  const models = isFields(document) ? document["models"] : undefined;
  if (!isFields(models)) throw refuse(`it has no object "models"`);
  return Object.entries(models).map(([name, fields]) => {
    const at = `models.${name}`;
    checkModelName(name);
    if (!isFields(fields)) throw refuse(`"${at}" is not an object`);
    for (const [field, value] of Object.entries(fields)) {
      const check = CHECKS[field];
      if (check === undefined)
        throw refuse(`"${at}.${field}" is not known; known are ${Object.keys(CHECKS).join(", ")}`);
      const problem = check(value);
      if (problem !== undefined) throw refuse(`"${at}.${field}" ${problem}`);
    }
    if (fields["endpoints"] === undefined) throw refuse(`"${at}.endpoints" is missing`);
    return { ...fields, name } as unknown as ModelBinding;
  });
}

/** Says what is wrong with a value, or nothing. */
type Check = (value: unknown) => string | undefined;

const checkText: Check = (value) => (isText(value) ? undefined : "is not a text");
const checkCount: Check = (value) =>
  Number.isSafeInteger(value) && (value as number) > 0 ? undefined : "is not a whole number above 0";
const checkRange: Check = (value) => {
  const { min, max, default: normal }: Partial<LimitRange> = isFields(value) ? value : {};
  const isRight =
    typeof min === "number" &&
    typeof max === "number" &&
    typeof normal === "number" &&
    min <= normal &&
    normal <= max;
  return isRight ? undefined : "needs the numbers min ≤ default ≤ max";
};

const CHECKS: Readonly<Record<string, Check>> = {
  endpoints: (value) =>
    Array.isArray(value) && value.every(isText) ? undefined : "is not a list of endpoint ids",
  path: (value) => (isText(value) && isAbsolute(value) ? undefined : "is not an absolute path"),
  files: (value) => {
    if (!isFields(value)) return "is not an object";
    const wrong = Object.entries(value).find(
      ([role, file]) =>
        !(FILE_ROLES as readonly string[]).includes(role) || !isText(file) || !isAbsolute(file),
    );
    return wrong === undefined
      ? undefined
      : `has "${wrong[0]}"; it holds absolute paths of ${FILE_ROLES.join(", ")}`;
  },
  family: checkText,
  license: checkText,
  terms: (value) =>
    ["open", "restricted", "conditional", "non-commercial"].includes(value as string)
      ? undefined
      : "is not open, restricted, conditional or non-commercial",
  provider: checkText,
  steps: checkRange,
  guidance: (value) => (value === null ? undefined : checkRange(value)),
  guidanceKind: (value) =>
    value === "classifier-free" || value === "distilled" ? undefined : "is not classifier-free or distilled",
  maxSide: checkCount,
  maxArea: checkCount,
  multipleOf: checkCount,
};
