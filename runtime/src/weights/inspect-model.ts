import { stat } from "node:fs/promises";
import { basename, dirname, extname, join } from "node:path";
import { EngineError } from "../engines/engine.ts";
import { checkSignature } from "../sessions/graph.ts";
import { openClipTokenizer } from "../text/clip-tokenizer.ts";
import { openQwenTokenizer } from "../text/qwen-tokenizer.ts";
import { openT5Tokenizer } from "../text/t5-tokenizer.ts";
import { FAMILIES, type Role } from "./families.ts";
import type { ModelDescription } from "./installed-models.ts";
import type { FileRole } from "./model-catalog.ts";
import { type ModelFolder, readModelFolder } from "./model-folder.ts";
import { NATIVE_FAMILIES, recognizeWeights } from "./recognize-weights.ts";
import { scanOnnxFile } from "./scan-onnx-file.ts";
import { WeightsError } from "./weights-error.ts";
import { readWeightsFile } from "./weights-file.ts";

export interface InspectOptions {
  /** Of a single file, when the names of its tensors do not tell. */
  readonly family?: string | undefined;
  /** Paths of further files of a model for sd-server. */
  readonly roles?: Partial<Readonly<Record<FileRole, string>>>;
}

export interface InspectedModel {
  /** Folder that holds the model. */
  readonly folder: string;
  readonly description: ModelDescription;
}

/**
 * Looks at a folder of ONNX graphs, or at a file of weights for sd-server, as closely as is possible without loading it:
 * family, parts, lengths, names and types of the graphs' inputs, tokenizers.
 * @param path of the folder, of a file in it (`model_index.json`, a graph), or of a `.gguf` or `.safetensors` file
 * @throws WeightsError saying what is wrong and what to do
 */
export async function inspectModel(path: string, options: InspectOptions = {}): Promise<InspectedModel> {
  const facts = await stat(path).catch((cause: unknown) => {
    throw new WeightsError(`There is no ${path}.`, {
      next: ["Give a folder, a .gguf or .safetensors file, or a name from `sluice models list`."],
      cause,
    });
  });
  if (facts.isDirectory()) return { folder: path, description: await inspectFolder(path) };
  if (extname(path) === ".onnx" || basename(path) === "model_index.json") {
    const folder = await findExport(path);
    return { folder, description: await inspectFolder(folder) };
  }
  return { folder: dirname(path), description: await inspectFile(path, options) };
}

/** A graph lies in the model's folder, or one below it. */
async function findExport(path: string): Promise<string> {
  const [near, above] = [dirname(path), dirname(dirname(path))];
  const isAbove = await stat(join(above, "model_index.json")).then(
    () => true,
    () => false,
  );
  return isAbove ? above : near;
}

async function inspectFolder(path: string): Promise<ModelDescription> {
  try {
    const folder = await readModelFolder(path);
    let bytes = 0;
    for (const [role, file] of Object.entries(folder.graphs)) {
      const facts = await scanOnnxFile(file);
      bytes += facts.bytes;
      checkTypes(file, facts.inputs);
      const signature = FAMILIES[folder.family].graphs[role as Role];
      if (signature !== undefined) checkSignature(facts, signature, folder.overrides.graphs[role as Role]);
    }
    await checkTokenizers(folder);
    return {
      title: FAMILIES[folder.family].title,
      engine: "onnx",
      family: folder.family,
      license: null,
      terms: null,
      hasImageInput: folder.graphs.vae_encoder !== undefined,
      roles: {},
      bytes,
      memoryBytes: null,
    };
  } catch (error) {
    if (error instanceof EngineError) throw new WeightsError(error.message, { cause: error });
    throw error;
  }
}

/** Numbers of onnx.proto's element types that a tensor from JavaScript can have. */
const TYPES = new Set([1, 6, 7, 9, 10, 11]);
const TYPE_NAMES: Readonly<Record<number, string>> = {
  2: "uint8",
  3: "int8",
  8: "string",
  16: "bfloat16",
  17: "float8",
  18: "float8",
  19: "float8",
  20: "float8",
  23: "float4",
};

function checkTypes(path: string, inputs: readonly { readonly name: string; readonly type: number }[]): void {
  const wrong = inputs.find(({ type }) => !TYPES.has(type));
  if (wrong === undefined) return;
  throw new WeightsError(
    `The graph ${path} takes "${wrong.name}" as ${TYPE_NAMES[wrong.type] ?? `type ${wrong.type}`}, which cannot be handed to onnxruntime from here.`,
    { next: ["Export it in float16 or float32, or take a GGUF file of the model for sd-server."] },
  );
}

async function checkTokenizers({ family, tokenizers, graphs }: ModelFolder): Promise<void> {
  const [first, second, third] = tokenizers;
  switch (family) {
    case "flux":
      await openClipTokenizer(first);
      await openT5Tokenizer(second, 256);
      return;
    case "stable-diffusion":
      await openClipTokenizer(first);
      return;
    case "sdxl":
      await openClipTokenizer(first);
      await openClipTokenizer(second);
      return;
    case "sd3":
      await openClipTokenizer(first);
      await openClipTokenizer(second);
      if (graphs.text_encoder_3 !== undefined) await openT5Tokenizer(third, 256);
      return;
    case "flux2-klein":
    case "z-image":
      await openQwenTokenizer(first, family);
      return;
    default:
      return family satisfies never;
  }
}

async function inspectFile(path: string, { family, roles = {} }: InspectOptions): Promise<ModelDescription> {
  const facts = await readWeightsFile(path);
  const recognized = recognizeWeights(path, facts, family);
  const { title, needs, ...limits } = NATIVE_FAMILIES[recognized.family];
  const missing = recognized.role === "model" ? [] : needs.filter((role) => roles[role] === undefined);
  if (missing.length > 0)
    throw new WeightsError(
      `${path} is the transformer of a ${title} model alone; it needs ${missing.join(", ")} beside it.`,
      { next: [`Give them: ${missing.map((role) => `--file ${role}=PATH`).join(" ")}`] },
    );
  let bytes = facts.bytes;
  for (const file of Object.values(roles)) bytes += (await readWeightsFile(file)).bytes;
  return {
    title,
    engine: "sd-server",
    family: recognized.family,
    license: facts.metadata["modelspec.license"] ?? facts.metadata["general.license"] ?? null,
    terms: null,
    hasImageInput: true,
    roles: { [recognized.role]: path, ...roles },
    bytes,
    memoryBytes: null,
    ...limits,
  };
}
