import { stat } from "node:fs/promises";
import { CatalogError, createCatalog, type DescribedModelFile } from "./catalog/create-catalog.ts";
import { createLiveCatalog, type LiveCatalog } from "./catalog/create-live-catalog.ts";
import type { InstalledModel, InstalledModels } from "./catalog/installed-models.ts";
import type { Logger } from "./logger.ts";
import { describeModelFiles } from "./runner/describe-model-files.ts";
import { createWorkerEnvironment } from "./runner/worker-environment.ts";

/** What this server offers: the model files that it was started with, and the models that are installed. */
export interface OfferedModels {
  readonly catalog: LiveCatalog;
  /** As they were read last. */
  listInstalled(): readonly InstalledModel[];
  /**
   * Reads the installed models again and offers what they are bound to now. A model that cannot be offered is left out,
   * with its problem. Two calls follow one another.
   * @throws when the list of installed models cannot be read; then nothing changes
   */
  reload(): Promise<readonly InstalledModel[]>;
}

export interface OfferedModelsOptions {
  /** Absolute paths; one that cannot be used is an error. */
  readonly modelFiles: readonly string[];
  /** Those of them whose endpoints the others may take over. */
  readonly replaceableFiles?: readonly string[];
  readonly installedModels?: InstalledModels | undefined;
  readonly environment: Readonly<Record<string, string | undefined>>;
  readonly logger: Logger;
}

/** Asks a child process what each model file holds. @throws WorkerStartError, CatalogError */
export async function openOfferedModels(options: OfferedModelsOptions): Promise<OfferedModels> {
  const { modelFiles, replaceableFiles = [], installedModels, logger } = options;
  const environment = createWorkerEnvironment(options.environment);
  const describe = async (paths: readonly string[]): Promise<readonly DescribedModelFile[]> => {
    const manifests = await describeModelFiles(paths, { environment });
    return await Promise.all(
      manifests.map(async (manifest, i) => {
        const path = paths[i] ?? "";
        const updatedAt = Math.round((await stat(path)).mtimeMs);
        return { path, isReplaceable: replaceableFiles.includes(path), manifest, updatedAt };
      }),
    );
  };
  const describeFixed = async (): Promise<readonly DescribedModelFile[]> => {
    // The shipped files share what they import, so one child for all of them starts in a third of the time.
    const shipped = modelFiles.filter((path) => replaceableFiles.includes(path));
    const own = modelFiles.filter((path) => !replaceableFiles.includes(path));
    const groups = await Promise.all([shipped, ...own.map((path) => [path])].map(describe));
    return groups.flat().sort((a, b) => modelFiles.indexOf(a.path) - modelFiles.indexOf(b.path));
  };

  let known = new Map<string, DescribedModelFile>();
  let installed: readonly InstalledModel[] = [];
  const [fixed] = await Promise.all([
    describeFixed(),
    readInstalled().catch((error: unknown) => {
      logger.error({ err: error }, "The installed models cannot be read; they are left out.");
    }),
  ]);
  const catalog = createLiveCatalog(createCatalog(fixed));
  offer();
  let reloading: Promise<unknown> = Promise.resolve();

  async function readInstalled(): Promise<void> {
    const models = (await installedModels?.read()) ?? [];
    const next = new Map<string, DescribedModelFile>();
    installed = await Promise.all(
      models.map(async (model) => {
        const path = model.modelFile;
        if (path === undefined) return model;
        try {
          const file = known.get(path) ?? (await describe([path]))[0];
          if (file !== undefined) next.set(path, file);
          return model;
        } catch (error) {
          return { ...model, problem: error instanceof Error ? error.message : String(error) };
        }
      }),
    );
    known = next;
  }

  /** Adds one model after the other, so that one that does not fit costs none of the others. */
  function offer(): void {
    let files: readonly DescribedModelFile[] = fixed;
    let next = createCatalog(files);
    installed = installed.map((model) => {
      const file = model.problem === undefined ? known.get(model.modelFile ?? "") : undefined;
      if (file === undefined) return model;
      try {
        next = createCatalog([...files, file]);
        files = [...files, file];
        return model;
      } catch (error) {
        if (!(error instanceof CatalogError)) throw error;
        return { ...model, problem: error.message };
      }
    });
    catalog.replace(next);
    for (const { name, problem } of installed)
      if (problem !== undefined)
        logger.error({ model: name }, `The model ${name} is not offered: ${problem}`);
  }

  return {
    catalog,
    listInstalled: () => installed,
    reload() {
      const result = reloading
        .catch(() => {}) // The call before this one told its own caller.
        .then(readInstalled)
        .then(() => {
          offer();
          return installed;
        });
      reloading = result;
      return result;
    },
  };
}
