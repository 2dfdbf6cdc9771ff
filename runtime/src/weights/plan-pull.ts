import { stat } from "node:fs/promises";
import { dirname, relative, sep } from "node:path";
import { formatGigabytes } from "./disk.ts";
import { type Hub, type RemoteFile, readRepository } from "./hub.ts";
import { type InstalledModel, type ModelSourceRecord, RECEIPT } from "./installed-models.ts";
import { classifyLicense, requireAcceptance } from "./license-terms.ts";
import { listFiles } from "./list-files.ts";
import { matchesPath } from "./match-path.ts";
import type { CatalogModel, FileRole, LicenseTerms, RepositoryFiles } from "./model-catalog.ts";
import { FLAT_GRAPHS } from "./model-folder.ts";
import type { ModelSource } from "./model-source.ts";
import { WeightsError } from "./weights-error.ts";

/** What someone asks to have pulled. */
export interface PullRequest {
  /** What it is called here. */
  readonly name: string;
  readonly source: ModelSource;
  /** As the operator wrote the source. */
  readonly asked: string;
  /** The operator accepts a licence that asks for it. */
  readonly isLicenseAccepted: boolean;
}

/** A file to bring, from the hub or from this machine. */
export interface PlannedFile extends RemoteFile {
  readonly role: FileRole | undefined;
  /** Where it lies on this machine; undefined when it is fetched. */
  readonly local: string | undefined;
}

export interface Plan {
  readonly title: string;
  readonly license: string | null;
  readonly terms: LicenseTerms | null;
  readonly catalog: CatalogModel | undefined;
  readonly files: readonly PlannedFile[];
  readonly record: ModelSourceRecord;
}

/**
 * Finds out which files a model needs, where they are, and under which licence.
 * @throws WeightsError: the source is not there, holds no model, or is under a licence that was not accepted
 */
export async function planPull(options: PullRequest & HubAccess): Promise<Plan> {
  const { source, asked, hub, signal, name } = options;
  switch (source.kind) {
    case "catalog":
      return await planCatalog(source.model, options);
    case "repository": {
      const repository = await readRepository(hub, source, signal);
      const license = repository.license ?? null;
      const files =
        source.path === undefined
          ? chooseFiles(repository.files, source.id)
          : [findFile(repository.files, source.path, source.id)];
      return {
        title: source.id,
        license,
        terms: classifyLicense(license),
        catalog: undefined,
        files: files.map((file) => ({ ...file, role: undefined, local: undefined })),
        record: { asked, repositories: [{ id: repository.id, commit: repository.commit }] },
      };
    }
    case "url": {
      const { url, path } = source;
      const file = { path, url, bytes: undefined, sha256: undefined, gitOid: undefined };
      return {
        ...UNKNOWN,
        title: name,
        files: [{ ...file, role: undefined, local: undefined }],
        // A query may hold a token or a signature.
        record: { asked: asked.replace(/[?#].*$/s, ""), repositories: [] },
      };
    }
    case "local":
      return {
        ...UNKNOWN,
        title: name,
        files: await listLocal(source.path),
        record: { asked, repositories: [] },
      };
    default:
      return source satisfies never;
  }
}

interface HubAccess {
  readonly hub: Hub;
  readonly signal: AbortSignal;
}

const UNKNOWN = { license: null, terms: null, catalog: undefined } as const;

async function planCatalog(
  model: CatalogModel,
  { asked, hub, signal, isLicenseAccepted }: PullRequest & HubAccess,
): Promise<Plan> {
  if (model.engine === null)
    throw new WeightsError(`${model.title} cannot run here: ${model.note ?? "no engine runs it yet"}.`, {
      next: ["`sluice models list` shows those that can."],
    });
  // Before anything is asked of the hub.
  requireAcceptance(model.title, { ...model, catalog: model }, { isLicenseAccepted });
  const files: PlannedFile[] = [];
  const repositories = new Map<string, string>();
  for (const wanted of model.files) {
    const repository = await readRepository(
      hub,
      { id: wanted.repository, revision: wanted.revision },
      signal,
    );
    repositories.set(repository.id, repository.commit);
    for (const file of matchFiles(repository.files, wanted)) {
      // Files of several repositories come together: each in a folder of its role.
      const path = wanted.role === undefined ? file.path : `${wanted.role}/${file.path.split("/").at(-1)}`;
      const sha256 = wanted.sha256?.[file.path] ?? file.sha256;
      files.push({ ...file, path, sha256, role: wanted.role, local: undefined });
    }
  }
  return {
    title: model.title,
    license: model.license,
    terms: model.terms,
    catalog: model,
    files,
    record: { asked, repositories: [...repositories].map(([id, commit]) => ({ id, commit })) },
  };
}

function matchFiles(files: readonly RemoteFile[], wanted: RepositoryFiles): readonly RemoteFile[] {
  const found = files.filter(({ path }) => matchesPath(path, wanted.include));
  const isRight = wanted.role === undefined ? found.length > 0 : found.length === 1;
  if (isRight) return found;
  const names = (found.length > 0 ? found : files).map(({ path }) => path);
  throw new WeightsError(
    `hf:${wanted.repository} has ${found.length === 0 ? "no file" : "several files"} like ${wanted.include.join(" or ")}${wanted.role === undefined ? "" : ` for ${wanted.role}`}.`,
    {
      next: [
        `It has ${summarize(names)}.`,
        "The repository may have changed. Pull the files that you want with hf:OWNER/NAME/FILE and add them with --file.",
      ],
    },
  );
}

const GRAPHS = ["**/*.onnx", "*.onnx"];
const WITH_GRAPHS = [
  "**/*.onnx",
  "*.onnx",
  "**/*.onnx_data*",
  "*.onnx_data*",
  "**/*.data",
  "*.data",
  "**/*.pb",
  "*.pb",
  "**/*.json",
  "*.json",
  "**/*.txt",
  "*.txt",
  "**/*.model",
  "LICENSE*",
  "README.md",
];
const SINGLE = ["**/*.gguf", "*.gguf", "**/*.safetensors", "*.safetensors"];

/** What of a repository is a model: its graphs with what belongs to them, or its only file of weights. */
function chooseFiles(files: readonly RemoteFile[], id: string): readonly RemoteFile[] {
  if (files.some(({ path }) => matchesPath(path, GRAPHS))) {
    requireLayout(files, id);
    return files.filter(({ path }) => matchesPath(path, WITH_GRAPHS) && path !== RECEIPT);
  }
  const single = files.filter(({ path }) => matchesPath(path, SINGLE));
  if (single.length === 1) return single;
  if (single.length === 0)
    throw new WeightsError(`hf:${id} holds neither ONNX graphs nor .gguf or .safetensors files.`, {
      next: [`It has ${summarize(files.map(({ path }) => path))}.`],
    });
  throw new WeightsError(`hf:${id} holds several files of weights.`, {
    next: [
      `Say which: hf:${id}/${single[0]?.path}`,
      `It has ${summarize(single.map(({ path, bytes }) => (bytes === undefined ? path : `${path} (${formatGigabytes(bytes)})`)))}.`,
    ],
  });
}

/** Graphs in another layout cannot be read once they are here, and they may be tens of gigabytes. */
function requireLayout(files: readonly RemoteFile[], id: string): void {
  const paths = files.map(({ path }) => path);
  const isKnown =
    ["model_index.json", "engine.json"].some((name) => paths.includes(name)) ||
    FLAT_GRAPHS.every((name) => paths.includes(name));
  if (isKnown) return;
  throw new WeightsError(
    `hf:${id} holds ONNX graphs, but not as a model is laid out: it has neither model_index.json nor ${FLAT_GRAPHS.join(", ")}. Nothing was fetched.`,
    {
      next: [
        `It has ${summarize(paths)}.`,
        "What Optimum exports is laid out right; a .gguf file of the model runs in sd-server.",
      ],
    },
  );
}

function findFile(files: readonly RemoteFile[], path: string, id: string): RemoteFile {
  const found = files.find((file) => file.path === path);
  if (found !== undefined) return found;
  throw new WeightsError(`hf:${id} has no file ${path}.`, {
    next: [`It has ${summarize(files.map((file) => file.path))}.`],
  });
}

function summarize(names: readonly string[]): string {
  if (names.length === 0) return "no files";
  return names.length > 8 ? `${names.slice(0, 8).join(", ")} and ${names.length - 8} more` : names.join(", ");
}

async function listLocal(path: string): Promise<readonly PlannedFile[]> {
  const facts = await stat(path);
  const paths = facts.isDirectory() ? await listFiles(path) : [path];
  const root = facts.isDirectory() ? path : dirname(path);
  const files: PlannedFile[] = [];
  for (const local of paths) {
    const below = relative(root, local).split(sep).join("/");
    if (below === RECEIPT || below.split("/").some((part) => part.startsWith("."))) continue;
    const { size } = await stat(local);
    files.push({
      path: below,
      url: "",
      bytes: size,
      sha256: undefined,
      gitOid: undefined,
      role: undefined,
      local,
    });
  }
  return files;
}

/** Whether an installed model is what the plan would bring. */
export function isSame(old: InstalledModel, plan: Plan): boolean {
  if (plan.record.repositories.length === 0) return false;
  const commits = (record: ModelSourceRecord) =>
    record.repositories
      .map(({ id, commit }) => `${id}@${commit}`)
      .sort()
      .join();
  const paths = (files: readonly { readonly path: string }[]) =>
    files
      .map(({ path }) => path)
      .sort()
      .join("\n");
  return commits(old.source) === commits(plan.record) && paths(old.files) === paths(plan.files);
}
