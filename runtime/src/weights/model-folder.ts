import { access, readdir, readFile } from "node:fs/promises";
import { join } from "node:path";
import { EngineError } from "../engines/engine.ts";
import { type EngineOverrides, type JsonObject, parseEngineOverrides } from "./engine-overrides.ts";
import { FAMILIES, type Family, findFamily, listFamilies, type Role } from "./families.ts";
import { removeMark } from "./remove-mark.ts";

/** A folder with an open model, as read; no graph is loaded yet. */
export interface ModelFolder {
  readonly path: string;
  readonly family: Family;
  /** Paths of the graphs that are there. */
  readonly graphs: Partial<Readonly<Record<Role, string>>>;
  /** `model_index.json`, or `config.json` of the flat layout. */
  readonly index: JsonObject;
  /** Configurations of the parts, with `engine.json` laid over. */
  readonly scheduler: JsonObject;
  readonly vae: JsonObject;
  readonly transformer: JsonObject;
  /** Folders of the tokenizers, first, second and third. */
  readonly tokenizers: readonly [string, string, string];
  readonly overrides: EngineOverrides;
}

/**
 * Reads a folder in the layout of diffusers with ONNX graphs (as Optimum exports it) or in the flat layout of the
 * fused FLUX.2-klein graphs, and finds out which family it is.
 * @throws EngineError saying what is missing, what is supported, and how to get there
 */
export async function readModelFolder(path: string): Promise<ModelFolder> {
  await requireFolder(path);
  const enginePath = join(path, "engine.json");
  const overrides = parseEngineOverrides((await findJson(enginePath)) ?? {}, enginePath);
  const modelIndex = await findJson(join(path, "model_index.json"));
  const index = modelIndex ?? (await findJson(join(path, "config.json"))) ?? {};
  const family = overrides.family ?? (await chooseFamily(path, modelIndex));
  const graphs = await findGraphs(path, family, overrides);
  await requireGraphs(path, family, graphs);
  const readPart = async (...names: readonly string[]): Promise<JsonObject> => {
    for (const name of names) {
      const found = await findJson(join(path, name));
      if (found !== undefined) return found;
    }
    return {};
  };
  const hasTokenizerFolder = await exists(join(path, "tokenizer"));
  return {
    path,
    family,
    graphs,
    index,
    overrides,
    scheduler: { ...(await readPart("scheduler/scheduler_config.json")), ...overrides.scheduler },
    vae: { ...(await readPart("vae_decoder/config.json", "vae/config.json")), ...overrides.vae },
    transformer: await readPart("transformer/config.json", "unet/config.json"),
    tokenizers: [
      hasTokenizerFolder ? join(path, "tokenizer") : path,
      join(path, "tokenizer_2"),
      join(path, "tokenizer_3"),
    ],
  };
}

/** By these a folder without `model_index.json` is known. */
export const FLAT_GRAPHS: readonly string[] = ["transformer.onnx", "text_encoder.onnx", "vae_decoder.onnx"];

const EXPORT_ADVICE =
  "Export it with `optimum-cli export onnx --model NAME FOLDER`, or get a repository that holds ONNX graphs.";

async function chooseFamily(path: string, modelIndex: JsonObject | undefined): Promise<Family> {
  if (modelIndex !== undefined) {
    const name = String(modelIndex["_class_name"]);
    const family = findFamily(name);
    if (family !== undefined) return family;
    throw new EngineError(
      "failed",
      `The model in ${path} is a ${name}, which the built-in engine does not know. It knows ${listFamilies()}. ` +
        `If the graphs are those of one of these, name it as "family" in ${join(path, "engine.json")}.`,
    );
  }
  if ((await Promise.all(FLAT_GRAPHS.map((name) => exists(join(path, name))))).every(Boolean))
    return "flux2-klein";
  const names = await readdir(path);
  if (names.some((name) => name.endsWith(".opt")))
    throw new EngineError(
      "failed",
      `${path} holds graphs for TensorRT (folders *.opt with bfloat16, fp8 or fp4), which onnxruntime-node cannot run. ${EXPORT_ADVICE}`,
    );
  throw new EngineError(
    "failed",
    `${path} is no model folder: it has neither model_index.json nor ${FLAT_GRAPHS.join(", ")}. It holds ${describe(names)}. ${EXPORT_ADVICE}`,
  );
}

/** Where each part may lie; the first that is there is taken. */
const PLACES: Readonly<Record<Role, readonly string[]>> = {
  text_encoder: ["text_encoder/model.onnx", "text_encoder.onnx"],
  text_encoder_2: ["text_encoder_2/model.onnx"],
  text_encoder_3: ["text_encoder_3/model.onnx"],
  transformer: ["transformer/model.onnx", "unet/model.onnx", "transformer.onnx"],
  vae_decoder: ["vae_decoder/model.onnx", "vae_decoder.onnx"],
  vae_encoder: ["vae_encoder/model.onnx", "vae_encoder.onnx"],
  preview_decoder: ["preview_decoder/model.onnx", "preview_decoder.onnx"],
};

async function findGraphs(
  path: string,
  family: Family,
  overrides: EngineOverrides,
): Promise<Partial<Record<Role, string>>> {
  const graphs: Partial<Record<Role, string>> = {};
  for (const role of Object.keys(FAMILIES[family].graphs) as Role[]) {
    const own = overrides.graphs[role]?.file;
    for (const place of own === undefined ? PLACES[role] : [own]) {
      if (!(await exists(join(path, place)))) continue;
      graphs[role] = join(path, place);
      break;
    }
    if (own !== undefined && graphs[role] === undefined)
      throw new EngineError(
        "failed",
        `${join(path, "engine.json")} names the file "${own}" for "${role}", which does not exist.`,
      );
  }
  return graphs;
}

async function requireGraphs(
  path: string,
  family: Family,
  graphs: Partial<Record<Role, string>>,
): Promise<void> {
  const parts = FAMILIES[family];
  const missing = Object.entries(parts.graphs)
    .filter(([role, part]) => part.isOptional !== true && graphs[role as Role] === undefined)
    .map(([role]) => `${PLACES[role as Role].join(" or ")}`);
  if (missing.length === 0) return;
  const names = await readdir(path, { recursive: true });
  const isLora = names.some((name) => /lora.*\.safetensors$/i.test(name));
  const isTorch = names.some((name) => /\.(safetensors|bin|ckpt|gguf)$/.test(name));
  const advice = isLora
    ? "It holds LoRA weights, which the built-in engine does not load: merge them into the full model before it is exported."
    : isTorch
      ? `It holds weights for another program. ${EXPORT_ADVICE}`
      : "Pull the model again.";
  throw new EngineError(
    "failed",
    `The ${parts.title} model in ${path} lacks ${missing.join(", ")}. ${advice}`,
  );
}

async function requireFolder(path: string): Promise<void> {
  try {
    await readdir(path);
  } catch (cause) {
    throw new EngineError("failed", `There is no model folder ${path}, or it cannot be read.`, { cause });
  }
}

async function findJson(path: string): Promise<JsonObject | undefined> {
  let text: string;
  try {
    text = await readFile(path, "utf8");
  } catch (cause) {
    if ((cause as { code?: unknown }).code === "ENOENT") return undefined;
    throw new EngineError("failed", `Cannot read ${path}.`, { cause });
  }
  try {
    const value: unknown = JSON.parse(replaceInfinite(removeMark(text)));
    if (typeof value === "object" && value !== null && !Array.isArray(value)) return value as JsonObject;
    throw new TypeError("not an object");
  } catch (cause) {
    throw new EngineError("failed", `${path} is damaged: it is not a JSON object. Pull the model again.`, {
      cause,
    });
  }
}

/** Python writes numbers that JSON does not have (`"lambda_min_clipped": -Infinity`); they mean "no limit" here. */
function replaceInfinite(text: string): string {
  return text.replace(/"(?:[^"\\]|\\.)*"|-?Infinity|NaN/g, (token) =>
    token.startsWith('"') ? token : "null",
  );
}

async function exists(path: string): Promise<boolean> {
  return access(path).then(
    () => true,
    () => false,
  );
}

function describe(names: readonly string[]): string {
  if (names.length === 0) return "nothing";
  return names.length > 12 ? `${names.slice(0, 12).join(", ")} and more` : names.join(", ");
}
