import { createHash } from "node:crypto";
import { createReadStream } from "node:fs";
import { link, mkdir, open, readdir, rename, rm, rmdir, stat, statfs } from "node:fs/promises";
import { dirname, join, relative, sep } from "node:path";
import { describeDiskError, type FetchedFile, fetchFile } from "./fetch-file.ts";
import { type Hub, type RemoteFile, readRepository } from "./hub.ts";
import { inspectModel } from "./inspect-model.ts";
import {
  findInstalledModel,
  type InstalledModel,
  type ModelDescription,
  type ModelSourceRecord,
  RECEIPT,
} from "./installed-models.ts";
import { classifyLicense } from "./license-terms.ts";
import { matchesPath } from "./match-path.ts";
import { type CatalogModel, type FileRole, needsAcceptance, type RepositoryFiles } from "./model-catalog.ts";
import type { ModelSource } from "./model-source.ts";
import { takeProcessLock } from "./process-lock.ts";
import { WeightsError } from "./weights-error.ts";
import { readWeightsFile } from "./weights-file.ts";
import { syncFolder, writeFileSafely } from "./write-file-safely.ts";

export interface PullOptions {
  readonly name: string;
  readonly source: ModelSource;
  /** As the operator wrote the source. */
  readonly asked: string;
  /** Folder of all pulled models. */
  readonly weightsDir: string;
  readonly hub: Hub;
  readonly signal: AbortSignal;
  readonly onProgress: (progress: PullProgress) => void;
  /** The operator accepts a licence that asks for it. */
  readonly isLicenseAccepted: boolean;
  /** Of a single file, when its tensors do not tell. */
  readonly family?: string | undefined;
  /** Fetches again what is there already. */
  readonly isForced?: boolean;
  /** Files at once; default 4. */
  readonly parallel?: number;
  /** Free bytes of the disk with this folder. */
  readonly readFreeBytes?: (folder: string) => Promise<number>;
}

/** How far a pull is; the same object every time. */
export interface PullProgress {
  readonly files: readonly FileProgress[];
  /** Of all files; undefined while a length is not known. */
  readonly bytes: number | undefined;
  readonly doneBytes: number;
  /** What came over the network now. */
  readonly fetchedBytes: number;
}

export interface FileProgress {
  readonly path: string;
  readonly bytes: number | undefined;
  readonly doneBytes: number;
  readonly state: "waiting" | "running" | "done";
}

/** A pull's outcome: `isNew` is false when the same files were there already. */
export interface PulledModel {
  readonly model: InstalledModel;
  readonly isNew: boolean;
}

const STAGING = ".pulling";
/** Left free: a full disk stops more than a pull. */
const SPARE_BYTES = 256 * 2 ** 20;

/**
 * Brings a model into the folder of weights. Everything is collected beside it and checked; the model's own folder
 * appears in one step when it is whole. What a broken pull left is taken up by the next one.
 * @throws WeightsError; the signal's reason
 */
export async function pullModel(options: PullOptions): Promise<PulledModel> {
  const { name, weightsDir } = options;
  const staging = join(weightsDir, STAGING, name);
  let lock: Disposable | undefined;
  try {
    lock = takeProcessLock(`${staging}.lock`);
  } catch (cause) {
    throw new WeightsError(`${weightsDir} cannot be written: ${(cause as Error).message}.`, {
      next: ["Make it writable, or keep weights elsewhere with SLUICE_WEIGHTS=DIR."],
      cause,
    });
  }
  if (lock === undefined)
    throw new WeightsError(`${name} is being pulled by another process.`, {
      next: ["Wait for it, or stop it and pull again: it goes on where it stopped."],
    });
  try {
    await settleReplacement(staging, join(weightsDir, name));
    const plan = await planPull(options);
    requireAcceptance(plan.title, plan, options);
    const old = await findInstalledModel(weightsDir, name).catch(() => undefined);
    if (old !== undefined && options.isForced !== true && isSame(old, plan))
      return { model: old, isNew: false };
    await requireSpace(plan, staging, options);
    const files = await collect(plan, staging, old, options);
    await removeOthers(staging, plan);
    const description = await describe(plan, staging, options);
    const model: InstalledModel = {
      ...description,
      name,
      source: plan.record,
      files: plan.files.map(({ path }, i) => ({ path, ...(files[i] as FetchedFile) })),
      bytes: files.reduce((sum, file) => sum + file.bytes, 0),
      pulledAt: new Date().toISOString(),
    };
    await writeFileSafely(join(staging, RECEIPT), `${JSON.stringify(model, null, 2)}\n`);
    await replaceFolder(staging, join(weightsDir, name));
    return { model, isNew: true };
  } finally {
    lock[Symbol.dispose]();
  }
}

/** Models whose pull was begun and not finished, with the bytes that are there. */
export async function listUnfinishedPulls(
  weightsDir: string,
): Promise<readonly { readonly name: string; readonly bytes: number }[]> {
  const entries = await readdir(join(weightsDir, STAGING), { withFileTypes: true }).catch(() => []);
  const found = [];
  for (const entry of entries) {
    if (!entry.isDirectory() || entry.name.includes(OLD)) continue;
    let bytes = 0;
    for (const path of await listFiles(join(weightsDir, STAGING, entry.name)))
      bytes += (await stat(path).catch(() => ({ size: 0 }))).size;
    if (bytes > 0) found.push({ name: entry.name, bytes });
  }
  return found;
}

/** Throws away a model's files, and what an unfinished pull of it left. @returns whether there was anything */
export async function deleteModelFiles(weightsDir: string, name: string): Promise<boolean> {
  const staging = join(weightsDir, STAGING, name);
  const lock = takeProcessLock(`${staging}.lock`);
  if (lock === undefined)
    throw new WeightsError(`${name} is being pulled by another process. Stop it first.`);
  try {
    const folders = [join(weightsDir, name), staging, `${staging}${OLD}`];
    let isThere = false;
    for (const folder of folders) {
      if ((await stat(folder).catch(() => undefined)) === undefined) continue;
      isThere = true;
      await rm(folder, { recursive: true, force: true });
    }
    return isThere;
  } finally {
    lock[Symbol.dispose]();
  }
}

/** A file to bring, from the hub or from this machine. */
interface PlannedFile extends RemoteFile {
  readonly role: FileRole | undefined;
  /** Where it lies on this machine; undefined when it is fetched. */
  readonly local: string | undefined;
}

interface Plan {
  readonly title: string;
  readonly license: string | null;
  readonly terms: ReturnType<typeof classifyLicense>;
  readonly catalog: CatalogModel | undefined;
  readonly files: readonly PlannedFile[];
  readonly record: ModelSourceRecord;
}

async function planPull(options: PullOptions): Promise<Plan> {
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

const UNKNOWN = { license: null, terms: null, catalog: undefined } as const;

async function planCatalog(
  model: CatalogModel,
  { asked, hub, signal, isLicenseAccepted }: PullOptions,
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
  if (files.some(({ path }) => matchesPath(path, GRAPHS)))
    return files.filter(({ path }) => matchesPath(path, WITH_GRAPHS) && path !== RECEIPT);
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

async function listFiles(folder: string): Promise<string[]> {
  const entries = await readdir(folder, { recursive: true, withFileTypes: true }).catch(() => []);
  const paths: string[] = [];
  for (const entry of entries) {
    const path = join(entry.parentPath, entry.name);
    // Links are followed to files: that is how caches of hubs keep them.
    if (entry.isFile() || (entry.isSymbolicLink() && (await stat(path).catch(() => undefined))?.isFile()))
      paths.push(path);
  }
  return paths.sort();
}

/** @throws WeightsError when the licence has to be accepted and was not */
export function requireAcceptance(
  title: string,
  {
    license,
    terms,
    catalog,
  }: {
    readonly license: string | null;
    readonly terms: Plan["terms"];
    readonly catalog?: CatalogModel | undefined;
  },
  { isLicenseAccepted }: { readonly isLicenseAccepted: boolean },
): void {
  if (terms === null || !needsAcceptance(terms) || isLicenseAccepted) return;
  const what =
    terms === "non-commercial" ? "does not allow commercial use" : "has conditions on revenue or deployment";
  const where = catalog?.licenseUrl === undefined ? "" : ` Read it at ${catalog.licenseUrl}.`;
  throw new WeightsError(`${title} is under the ${license}, which ${what}.${where}`, {
    next: ["If you accept it: repeat the command with --accept-license."],
  });
}

function isSame(old: InstalledModel, plan: Plan): boolean {
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

async function requireSpace(plan: Plan, staging: string, options: PullOptions): Promise<void> {
  await mkdir(staging, { recursive: true });
  let needed = 0;
  for (const { path, bytes = 0 } of plan.files) {
    const there = await Promise.all([`${join(staging, path)}.part`, join(staging, path)].map(getSize));
    needed += Math.max(0, bytes - Math.max(...there));
  }
  const free = await (options.readFreeBytes ?? readFreeBytes)(staging);
  if (needed === 0 || needed + SPARE_BYTES <= free) return;
  throw new WeightsError(
    `${options.name} needs ${formatGigabytes(needed)} more on the disk, and ${formatGigabytes(free)} are free in ${options.weightsDir}.`,
    { next: ["Free some space, or keep weights elsewhere with SLUICE_WEIGHTS=DIR. Nothing was fetched."] },
  );
}

async function getSize(path: string): Promise<number> {
  return (await stat(path).catch(() => undefined))?.size ?? 0;
}

/** Bytes that this user may still write on the disk of a folder. */
export async function readFreeBytes(folder: string): Promise<number> {
  const { bavail, bsize } = await statfs(folder);
  return bavail * bsize;
}

function formatGigabytes(bytes: number): string {
  return bytes < 1e8 ? `${(bytes / 1e6).toFixed(1)} MB` : `${(bytes / 1e9).toFixed(1)} GB`;
}

/** Brings all files, several at once. The first failure stops the others; what they have stays. */
async function collect(
  plan: Plan,
  staging: string,
  old: InstalledModel | undefined,
  options: PullOptions,
): Promise<readonly FetchedFile[]> {
  const stopping = new AbortController();
  const signal = AbortSignal.any([options.signal, stopping.signal]);
  const states = plan.files.map(({ path, bytes }) => ({
    path,
    bytes,
    doneBytes: 0,
    state: "waiting" as FileProgress["state"],
  }));
  const isKnown = plan.files.every(({ bytes }) => bytes !== undefined);
  const progress = {
    files: states,
    bytes: isKnown ? plan.files.reduce((sum, { bytes = 0 }) => sum + bytes, 0) : undefined,
    doneBytes: 0,
    fetchedBytes: 0,
  };
  const results: FetchedFile[] = [];
  const waiting = plan.files.map((file, index) => ({ file, index }));
  const work = async (): Promise<void> => {
    for (let next = waiting.shift(); next !== undefined; next = waiting.shift()) {
      const { file, index } = next;
      const state = states[index] as (typeof states)[number];
      state.state = "running";
      const onBytes = (count: number, isFetched: boolean): void => {
        state.doneBytes += count;
        progress.doneBytes += count;
        if (isFetched) progress.fetchedBytes += count;
        options.onProgress(progress);
      };
      const target = join(staging, file.path);
      results[index] =
        (await findStaged(file, target, onBytes)) ??
        (await reuse(file, target, old, options, onBytes)) ??
        (file.local === undefined
          ? await fetchFile(file, target, { hub: options.hub, signal, onBytes })
          : await copyFile(file.local, target, signal, onBytes));
      state.state = "done";
      options.onProgress(progress);
    }
  };
  const workers = Array.from({ length: Math.min(options.parallel ?? 4, plan.files.length) }, () =>
    work().catch((error: unknown) => {
      stopping.abort(error);
      throw error;
    }),
  );
  const ended = await Promise.allSettled(workers);
  options.signal.throwIfAborted();
  if (stopping.signal.aborted) throw stopping.signal.reason;
  if (ended.some(({ status }) => status === "rejected"))
    throw new TypeError("a worker failed without a reason");
  return results;
}

/** A whole file that an earlier pull left here. */
async function findStaged(
  file: PlannedFile,
  target: string,
  onBytes: (count: number, isFetched: boolean) => void,
): Promise<FetchedFile | undefined> {
  const size = (await stat(target).catch(() => undefined))?.size;
  if (size === undefined) return undefined;
  if (file.bytes !== undefined && size === file.bytes && file.local === undefined) {
    const hash = createHash("sha256");
    const git = createHash("sha1").update(`blob ${size}\0`);
    for await (const chunk of createReadStream(target)) {
      hash.update(chunk as Buffer);
      git.update(chunk as Buffer);
    }
    const sha256 = hash.digest("hex");
    const isRight = file.sha256 === undefined ? file.gitOid === git.digest("hex") : file.sha256 === sha256;
    if (isRight) {
      onBytes(size, false);
      return { bytes: size, sha256 };
    }
  }
  await rm(target, { force: true });
  return undefined;
}

/** The same bytes in the installed version: a link is enough. */
async function reuse(
  file: PlannedFile,
  target: string,
  old: InstalledModel | undefined,
  { weightsDir, isForced }: PullOptions,
  onBytes: (count: number, isFetched: boolean) => void,
): Promise<FetchedFile | undefined> {
  if (old === undefined || isForced === true || file.sha256 === undefined) return undefined;
  const same = old.files.find(({ sha256 }) => sha256 === file.sha256);
  if (same === undefined) return undefined;
  await mkdir(dirname(target), { recursive: true });
  const isLinked = await link(join(weightsDir, old.name, same.path), target).then(
    () => true,
    () => false, // Another disk, or the file is gone: it is fetched.
  );
  if (!isLinked) return undefined;
  onBytes(same.bytes, false);
  return { bytes: same.bytes, sha256: same.sha256 };
}

async function copyFile(
  from: string,
  target: string,
  signal: AbortSignal,
  onBytes: (count: number, isFetched: boolean) => void,
): Promise<FetchedFile> {
  await mkdir(dirname(target), { recursive: true });
  const part = `${target}.part`;
  const hash = createHash("sha256");
  let bytes = 0;
  try {
    const file = await open(part, "w");
    try {
      for await (const chunk of createReadStream(from, { highWaterMark: 1 << 20 })) {
        signal.throwIfAborted();
        await file.write(chunk as Buffer);
        hash.update(chunk as Buffer);
        bytes += (chunk as Buffer).length;
        onBytes((chunk as Buffer).length, false);
      }
      await file.sync();
    } finally {
      await file.close();
    }
    await rename(part, target);
  } catch (error) {
    await rm(part, { force: true });
    signal.throwIfAborted();
    throw (error as { code?: string }).code === undefined ? error : describeDiskError(error, part);
  }
  return { bytes, sha256: hash.digest("hex") };
}

/** What belongs to another version of the model. */
async function removeOthers(staging: string, plan: Plan): Promise<void> {
  const wanted = new Set(plan.files.map(({ path }) => join(staging, path)));
  for (const path of await listFiles(staging)) if (!wanted.has(path)) await rm(path, { force: true });
  const folders = await readdir(staging, { recursive: true, withFileTypes: true });
  const paths = folders
    .filter((entry) => entry.isDirectory())
    .map((entry) => join(entry.parentPath, entry.name));
  for (const path of paths.sort().reverse()) await rmdir(path).catch(() => {}); // Not empty: it is needed.
}

/** What the model is, from the catalog or from its files; paths relative to its folder. */
async function describe(plan: Plan, staging: string, options: PullOptions): Promise<ModelDescription> {
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
    family: options.family,
  });
  if (catalog !== undefined) return { ...description, ...takeCatalog(catalog), engine: "onnx" };
  const roles = Object.fromEntries(
    Object.entries(description.roles).map(([role, path]) => [role, relative(staging, path)]),
  );
  return {
    ...description,
    roles,
    license: license ?? description.license,
    terms: terms ?? classifyLicense(description.license),
  };
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

/** Where the version before waits until the new one is in its place; no name of a model has a plus. */
const OLD = "+old";

/** Puts the whole model in its place. A worker that still reads the old one keeps its open files. */
async function replaceFolder(staging: string, target: string): Promise<void> {
  const old = `${staging}${OLD}`;
  await renameIfThere(target, old);
  await rename(staging, target);
  await syncFolder(dirname(target));
  await rm(old, { recursive: true, force: true });
}

/** What a process left that died while it replaced a model: the old version goes back, or away. */
async function settleReplacement(staging: string, target: string): Promise<void> {
  const old = `${staging}${OLD}`;
  if ((await stat(target).catch(() => undefined)) === undefined) await renameIfThere(old, target);
  await rm(old, { recursive: true, force: true });
}

async function renameIfThere(from: string, to: string): Promise<void> {
  await rename(from, to).catch((error: unknown) => {
    if ((error as { code?: string }).code !== "ENOENT") throw error;
  });
}
