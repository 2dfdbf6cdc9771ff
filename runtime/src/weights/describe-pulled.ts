import { join, relative } from "node:path";
import { inspectModel } from "./inspect-model.ts";
import type { ModelDescription } from "./installed-models.ts";
import { classifyLicense } from "./license-terms.ts";
import type { CatalogModel, FileRole } from "./model-catalog.ts";
import type { Plan } from "./plan-pull.ts";
import { readWeightsFile } from "./weights-file.ts";

/** What the model is, from the catalog or from its files; paths relative to its folder. */
export async function describePulled(
  plan: Plan,
  staging: string,
  family: string | undefined,
): Promise<ModelDescription> {
  const { catalog, files, license, terms } = plan;
  if (catalog !== undefined && catalog.engine === "sd-server") {
    const roles: Partial<Record<FileRole, string>> = {};
    for (const { role, path } of files) {
      await readWeightsFile(join(staging, path));
      if (role !== undefined) roles[role] = path;
    }
    return { ...takeCatalog(catalog), engine: "sd-server", hasImageInput: true, roles, bytes: 0 };
  }
  const [single] = files;
  const isSingle = files.length === 1 && single !== undefined;
  const { description } = await inspectModel(isSingle ? join(staging, single.path) : staging, {
    family,
  });
  if (catalog !== undefined) return { ...description, ...takeCatalog(catalog), engine: "onnx" };
  const roles = Object.fromEntries(
    Object.entries(description.roles).map(([role, path]) => [role, relative(staging, path)]),
  );
  return {
    ...description,
    roles,
    license: isNamed(license) ? license : (description.license ?? license),
    terms: terms ?? classifyLicense(description.license),
  };
}

/** Hubs write "other" for what has no name in their list. */
function isNamed(license: string | null): license is string {
  return license !== null && !/^(other|unknown)$/i.test(license);
}

function takeCatalog(
  model: CatalogModel,
): Omit<ModelDescription, "engine" | "hasImageInput" | "roles" | "bytes"> {
  const {
    title,
    license,
    terms,
    family,
    memoryBytes,
    steps,
    guidance,
    guidanceKind,
    maxSide,
    maxArea,
    multipleOf,
  } = model;
  return {
    title,
    license,
    terms,
    family: family ?? "",
    memoryBytes,
    ...(steps === undefined ? {} : { steps }),
    ...(guidance === undefined ? {} : { guidance }),
    ...(guidanceKind === undefined ? {} : { guidanceKind }),
    ...(maxSide === undefined ? {} : { maxSide }),
    ...(maxArea === undefined ? {} : { maxArea }),
    ...(multipleOf === undefined ? {} : { multipleOf }),
  };
}
