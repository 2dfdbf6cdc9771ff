import { readdir, readFile } from "node:fs/promises";
import { join } from "node:path";
import type { EngineKind, FileRole, LicenseTerms, ModelLimits } from "./model-catalog.ts";
import { isModelName } from "./model-source.ts";
import { WeightsError } from "./weights-error.ts";

/** All that is needed to run a model, wherever its files came from. */
export interface ModelDescription extends ModelLimits {
  readonly title: string;
  readonly engine: EngineKind;
  readonly family: string;
  readonly license: string | null;
  readonly terms: LicenseTerms | null;
  /** Whether it can start from a picture. */
  readonly hasImageInput: boolean;
  /** Paths of the weights by option of sd-server, relative to the model's folder or absolute; empty for ONNX. */
  readonly roles: Partial<Readonly<Record<FileRole, string>>>;
  /** Of all files. */
  readonly bytes: number;
  /** Published memory need; null when there is no figure. */
  readonly memoryBytes: number | null;
}

/** `sluice.json` in the folder of a pulled model: what it is and where it came from. */
export interface InstalledModel extends ModelDescription {
  readonly name: string;
  readonly source: ModelSourceRecord;
  readonly files: readonly InstalledFile[];
  /** When it was complete, as ISO 8601. */
  readonly pulledAt: string;
}

export interface ModelSourceRecord {
  /** As it was asked for: a name of the catalog, `hf:owner/name`, a URL, a folder. */
  readonly asked: string;
  /** Repositories with the commits that were taken. */
  readonly repositories: readonly { readonly id: string; readonly commit: string }[];
}

export interface InstalledFile {
  readonly path: string;
  readonly bytes: number;
  readonly sha256: string;
}

export const RECEIPT = "sluice.json";

/** The model that was pulled under this name, or undefined. @throws WeightsError when its receipt is damaged */
export async function findInstalledModel(
  weightsDir: string,
  name: string,
): Promise<InstalledModel | undefined> {
  // A path to a folder of someone's own may lead to the same place as a name.
  if (!isModelName(name)) return undefined;
  const path = join(weightsDir, name, RECEIPT);
  let text: string;
  try {
    text = await readFile(path, "utf8");
  } catch (cause) {
    if (["ENOENT", "ENOTDIR"].includes((cause as { code?: string }).code ?? "")) return undefined;
    throw new WeightsError(`${path} cannot be read.`, { cause });
  }
  try {
    const value = JSON.parse(text) as InstalledModel;
    if (typeof value !== "object" || value === null || !Array.isArray(value.files))
      throw new TypeError("no files");
    return { ...value, name };
  } catch (cause) {
    throw new WeightsError(`${path} is damaged.`, {
      next: [`Pull the model again: sluice models pull ${name}`],
      cause,
    });
  }
}

/** Every model that was pulled, by name. Folders of other origin are passed over. */
export async function listInstalledModels(weightsDir: string): Promise<readonly InstalledModel[]> {
  const names = await readdir(weightsDir, { withFileTypes: true }).catch(() => []);
  const found: InstalledModel[] = [];
  for (const entry of names.sort((a, b) => a.name.localeCompare(b.name))) {
    if (!entry.isDirectory() || entry.name.startsWith(".")) continue;
    const model = await findInstalledModel(weightsDir, entry.name).catch(() => undefined);
    if (model !== undefined) found.push(model);
  }
  return found;
}
