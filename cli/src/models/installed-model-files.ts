import { createHash } from "node:crypto";
import { existsSync } from "node:fs";
import { readdir, rm } from "node:fs/promises";
import { join, resolve } from "node:path";
import type { BoundModel, ModelBinding, InstalledModel as PulledModel } from "@sluice/runtime/weights";
import type { InstalledModel, InstalledModels, Settings } from "@sluice/server";
import { getWeightsDir } from "./weights-settings.ts";

/**
 * The models of `models.json` and of the folder of weights, for a server: each bound one becomes a model file of a few
 * lines. The file's name changes with what it stands for, so that a changed model is another file to the server.
 */
export function createInstalledModels(settings: Pick<Settings, "dataDir" | "weightsDir">): InstalledModels {
  const dataDir = resolve(settings.dataDir);
  const weightsDir = resolve(getWeightsDir(settings));
  const filesDir = join(dataDir, "cache/bound-models");
  let isFirst = true;
  return {
    async read() {
      // Most servers have no such models: they do not pay for the code.
      if (!existsSync(join(dataDir, "models.json")) && !existsSync(weightsDir)) return [];
      const weights = await import("@sluice/runtime/weights");
      const bindings = await weights.readModelBindings(dataDir);
      const pulled = await weights.listInstalledModels(weightsDir);
      const bound = await Promise.all(
        bindings.map(async (binding) => {
          const source = pulled.find(({ name }) => name === binding.name);
          try {
            const model = await weights.resolveBinding(binding, weightsDir);
            const modelFile =
              binding.endpoints.length === 0 ? undefined : await writeModelFile(filesDir, model, source);
            return describe(model, source, { modelFile, problem: undefined });
          } catch (error) {
            const problem = error instanceof Error ? error.message : String(error);
            return describeBroken(binding, problem);
          }
        }),
      );
      // While a server runs, a worker of an earlier binding may still have to start from its file.
      if (isFirst) await removeOthers(filesDir, bound);
      isFirst = false;
      const names = new Set(bindings.map(({ name }) => name));
      const unbound = pulled
        .filter(({ name }) => !names.has(name))
        .map((model) => ({
          ...model,
          source: model.source.asked,
          endpoints: [],
          modelFile: undefined,
          problem: undefined,
        }));
      return [...bound, ...unbound];
    },
  };
}

type Outcome = Pick<InstalledModel, "modelFile" | "problem">;

function describe(model: BoundModel, source: PulledModel | undefined, outcome: Outcome): InstalledModel {
  const { name, endpoints, description } = model;
  const { title, engine, family, license, bytes } = description;
  const asked = source?.source.asked ?? null;
  return { name, title, engine, family, license, bytes, source: asked, endpoints, ...outcome };
}

function describeBroken({ name, endpoints, family, license }: ModelBinding, problem: string): InstalledModel {
  return {
    name,
    title: name,
    engine: null,
    family: family ?? null,
    license: license ?? null,
    bytes: 0,
    source: null,
    endpoints,
    modelFile: undefined,
    problem,
  };
}

/** Writes the file if it is not there. @returns its path */
async function writeModelFile(
  filesDir: string,
  model: BoundModel,
  source: PulledModel | undefined,
): Promise<string> {
  const { writeFileSafely } = await import("@sluice/runtime/weights");
  const text = formatModelFile(model);
  const contents = source?.files.map(({ path, sha256 }) => `${path} ${sha256}`).join("\n") ?? "";
  const hash = createHash("sha256").update(`${text}\n${model.description.bytes}\n${contents}`).digest("hex");
  const path = join(filesDir, `${model.name}-${hash.slice(0, 16)}.mjs`);
  if (!existsSync(path)) await writeFileSafely(path, text);
  return path;
}

function formatModelFile({ name, endpoints, folder, provider, description }: BoundModel): string {
  const { engine, license, roles, steps, guidance, guidanceKind, maxSide, maxArea, multipleOf } = description;
  const shared = { name, folder, license: license ?? undefined, endpoints };
  const options =
    engine === "onnx"
      ? { ...shared, provider, limits: dropEmpty({ steps, guidance, maxSide, maxArea }) }
      : {
          ...shared,
          engine,
          model: { files: roles, steps, guidance, guidanceKind, maxSide, maxArea, multipleOf },
        };
  const module = import.meta.resolve("@sluice/models/open-weights");
  return `// Written by sluice from models.json whenever that changes: edit models.json instead.
import { defineTextToImage } from ${JSON.stringify(module)};

export default defineTextToImage(${JSON.stringify(options, null, 2)});
`;
}

function dropEmpty<T extends object>(fields: T): T | undefined {
  return Object.values(fields).every((value) => value === undefined) ? undefined : fields;
}

/** Files of bindings that are gone. */
async function removeOthers(filesDir: string, models: readonly InstalledModel[]): Promise<void> {
  const wanted = new Set(models.map(({ modelFile }) => modelFile));
  const names = await readdir(filesDir).catch(() => []);
  for (const name of names) {
    const path = join(filesDir, name);
    if (!wanted.has(path)) await rm(path, { force: true });
  }
}
