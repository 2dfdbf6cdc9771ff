import { access } from "node:fs/promises";
import { pathToFileURL } from "node:url";
import type { ModelDefinition } from "../model/define-model.ts";
import type { ModelFileManifest } from "../model/manifest.ts";
import { createManifest } from "./create-manifest.ts";
import { locateFailure } from "./locate-failure.ts";

export interface LoadedModelFile {
  /** By endpoint id, in the order of the file. */
  readonly definitions: ReadonlyMap<string, ModelDefinition>;
  readonly manifest: ModelFileManifest;
}

/** The model file cannot be used. The message names the file, what is wrong in it and what to write instead. */
export class ModelFileError extends Error {
  constructor(message: string, options: { cause?: unknown } = {}) {
    super(message, options);
    this.name = "ModelFileError";
  }
}

/**
 * Imports a model file and checks what it exports.
 *
 * @param file path; JavaScript, or TypeScript that Node can run as it is
 * @throws ModelFileError
 */
export async function loadModelFile(file: string): Promise<LoadedModelFile> {
  const exported = await importDefault(file);
  const list = Array.isArray(exported) ? exported : [exported];
  if (list.length === 0)
    throw new ModelFileError(`${file} exports an empty list: export at least one model.`);

  const definitions = new Map<string, ModelDefinition>();
  const problems: string[] = [];
  const models = list.flatMap((definition: unknown, index) => {
    const checked = createManifest(definition);
    const id = checked.ok ? checked.manifest.id : readId(definition);
    const name = id ?? (list.length === 1 ? "the model" : `model ${index + 1}`);
    if (!checked.ok) problems.push(...checked.problems.map((problem) => `${name}: ${problem}`));
    if (id !== undefined && definitions.has(id)) problems.push(`${name}: this id is used twice.`);
    if (id !== undefined) definitions.set(id, definition as ModelDefinition);
    return checked.ok ? [checked.manifest] : [];
  });
  if (problems.length > 0) throw new ModelFileError(`${file} cannot be used:\n- ${problems.join("\n- ")}`);
  return { definitions, manifest: { models } };
}

async function importDefault(file: string): Promise<unknown> {
  try {
    await access(file);
  } catch (cause) {
    throw new ModelFileError(`${file} cannot be read: is the path right?`, { cause });
  }
  let module: { readonly default?: unknown };
  try {
    module = (await import(pathToFileURL(file).href)) as typeof module;
  } catch (cause) {
    throw new ModelFileError(`${file} does not load: ${describeFailure(cause, file)}`, { cause });
  }
  if (module.default === undefined) {
    throw new ModelFileError(`${file} has no default export: write "export default defineModel({ id: … })".`);
  }
  return module.default;
}

/** What went wrong, where, and the line with a mark below the place. */
function describeFailure(error: unknown, file: string): string {
  const message = error instanceof Error ? error.message : String(error);
  const place = locateFailure(error, file);
  if (place === undefined) return message;
  const { at, code, column } = place;
  const shown =
    code === undefined || code.length > MAX_CODE ? "" : `\n\n  ${code}\n  ${" ".repeat(column - 1)}^`;
  return `${message}\n  at ${at}${shown}`;
}

/** Longer lines are not for people. */
const MAX_CODE = 200;

function readId(definition: unknown): string | undefined {
  const id = (definition as { readonly id?: unknown } | null)?.id;
  return typeof id === "string" ? id : undefined;
}
