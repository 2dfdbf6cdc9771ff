import { mkdir, readdir, rename, rm, rmdir, stat } from "node:fs/promises";
import { dirname, join } from "node:path";
import { collectFiles, type PullProgress } from "./collect-files.ts";
import { describePulled } from "./describe-pulled.ts";
import { type Disk, formatGigabytes, realDisk } from "./disk.ts";
import type { FetchedFile } from "./fetch-file.ts";
import type { Hub } from "./hub.ts";
import {
  findInstalledModel,
  type InstalledModel,
  type ModelSourceRecord,
  RECEIPT,
} from "./installed-models.ts";
import { requireAcceptance } from "./license-terms.ts";
import { listFiles, listFolders } from "./list-files.ts";
import { checkModelName } from "./model-source.ts";
import { isSame, type Plan, type PullRequest, planPull } from "./plan-pull.ts";
import { takeProcessLock } from "./process-lock.ts";
import { requireOwnPlaces } from "./safe-path.ts";
import { WeightsError } from "./weights-error.ts";
import { writeFileSafely } from "./write-file-safely.ts";

export interface PullOptions extends PullRequest {
  /** Folder of all pulled models. */
  readonly weightsDir: string;
  readonly hub: Hub;
  readonly signal: AbortSignal;
  readonly onProgress: (progress: PullProgress) => void;
  /** Of a single file, when its tensors do not tell. */
  readonly family?: string | undefined;
  /** Fetches again what is there already. */
  readonly isForced?: boolean;
  /** Files at once; default 4. */
  readonly parallel?: number;
  /** Default the real one. */
  readonly disk?: Disk;
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
  const { name, weightsDir, hub, signal, onProgress, parallel, disk = realDisk } = options;
  const staging = join(weightsDir, STAGING, name);
  const target = join(weightsDir, name);
  const lock = takeModelLock(weightsDir, name);
  if (lock === undefined)
    throw new WeightsError(`${name} is being pulled by another process.`, {
      next: ["Wait for it, or stop it and pull again: it goes on where it stopped."],
    });
  try {
    await settleReplacement(staging, target);
    if (await isForeign(target))
      throw new WeightsError(`${target} was not pulled, and would be replaced.`, {
        next: [
          "Pull under another name (--name NAME), or move it away. `sluice models add FOLDER` takes it as it is.",
        ],
      });
    const plan = await planPull(options);
    requireAcceptance(plan.title, plan, options);
    requireOwnPlaces(plan.files.map(({ path }) => path));
    const installed = await findInstalledModel(weightsDir, name).catch(() => undefined);
    const old = options.isForced === true ? undefined : installed;
    if (old !== undefined && isOfOthers(old.source, plan.record))
      throw new WeightsError(`"${name}" is the name of a model of ${listRepositories(old.source)}.`, {
        next: ["Pull under another name (--name NAME), or take its place (--force)."],
      });
    const isOfFamily = options.family === undefined || options.family === old?.family;
    if (old !== undefined && isOfFamily && isSame(old, plan) && (await isWhole(old, target)))
      return { model: old, isNew: false };
    await requireSpace(plan, staging, { name, disk, old });
    const files = await collectFiles(plan.files, staging, {
      hub,
      signal,
      onProgress,
      parallel,
      old: old && { model: old, folder: target },
    });
    const paths = plan.files.map(({ path }) => path);
    // What tells of which version a file is goes last: if it is not the model that it should be, it may be asked for again.
    await removeOthers(staging, [...paths, ...paths.map((path) => `${path}.part.etag`)]);
    const description = await describePulled(plan, staging, options.family);
    // A file may state a licence that its source did not.
    requireAcceptance(plan.title, description, options);
    await removeOthers(staging, paths);
    const model: InstalledModel = {
      ...description,
      name,
      source: plan.record,
      files: plan.files.map(({ path }, i) => ({ path, ...(files[i] as FetchedFile) })),
      bytes: files.reduce((sum, file) => sum + file.bytes, 0),
      pulledAt: new Date().toISOString(),
    };
    await writeFileSafely(join(staging, RECEIPT), `${JSON.stringify(model, null, 2)}\n`);
    await replaceFolder(staging, target, disk);
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

/**
 * Throws away a pulled model's files, and what an unfinished pull of it left.
 * @returns whether there was anything
 * @throws WeightsError for what is no name: a path could lead to other files
 */
export async function deleteModelFiles(weightsDir: string, name: string): Promise<boolean> {
  checkModelName(name);
  const staging = join(weightsDir, STAGING, name);
  const lock = takeModelLock(weightsDir, name);
  if (lock === undefined)
    throw new WeightsError(`${name} is being pulled by another process. Stop it first.`);
  try {
    const model = join(weightsDir, name);
    const folders = [...((await isForeign(model)) ? [] : [model]), staging, `${staging}${OLD}`];
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

/** The sole right to change a model's folder, or undefined. @throws WeightsError when nothing can be written */
function takeModelLock(weightsDir: string, name: string): Disposable | undefined {
  try {
    return takeProcessLock(join(weightsDir, STAGING, `${name}.lock`));
  } catch (cause) {
    throw new WeightsError(`${weightsDir} cannot be written: ${(cause as Error).message}.`, {
      next: ["Make it writable, or keep weights elsewhere with SLUICE_WEIGHTS=DIR."],
      cause,
    });
  }
}

/** Whether something lies where a model goes that no pull brought: it is someone's own. */
async function isForeign(folder: string): Promise<boolean> {
  const names = await readdir(folder).catch((error: unknown) =>
    (error as { code?: string }).code === "ENOENT" ? [] : [""],
  );
  return names.length > 0 && !names.includes(RECEIPT);
}

/** Whether both come from repositories, none of them the same: then it is not a newer version of the model. */
function isOfOthers(old: ModelSourceRecord, asked: ModelSourceRecord): boolean {
  if (old.asked === asked.asked || old.repositories.length === 0 || asked.repositories.length === 0)
    return false;
  const ids = new Set(old.repositories.map(({ id }) => id));
  return !asked.repositories.some(({ id }) => ids.has(id));
}

function listRepositories({ repositories }: ModelSourceRecord): string {
  return repositories.map(({ id }) => id).join(" and ");
}

/** Whether every file of an installed model lies there in its length; to hash them all would take minutes. */
async function isWhole({ files }: InstalledModel, folder: string): Promise<boolean> {
  const found = await Promise.all(files.map(({ path }) => stat(join(folder, path)).catch(() => undefined)));
  return files.every(({ bytes }, i) => bytes === found[i]?.size);
}

async function requireSpace(
  plan: Plan,
  staging: string,
  {
    name,
    disk,
    old,
  }: { readonly name: string; readonly disk: Disk; readonly old: InstalledModel | undefined },
): Promise<void> {
  await mkdir(staging, { recursive: true });
  const linked = new Set(old?.files.map(({ sha256 }) => sha256));
  let needed = 0;
  for (const { path, bytes = 0, sha256 } of plan.files) {
    if (sha256 !== undefined && linked.has(sha256)) continue;
    const there = await Promise.all([`${join(staging, path)}.part`, join(staging, path)].map(getSize));
    needed += Math.max(0, bytes - Math.max(...there));
  }
  const free = await disk.readFreeBytes(staging);
  if (needed === 0 || needed + SPARE_BYTES <= free) return;
  throw new WeightsError(
    `${name} needs ${formatGigabytes(needed)} more on the disk, and ${formatGigabytes(free)} are free in ${dirname(dirname(staging))}.`,
    { next: ["Free some space, or keep weights elsewhere with SLUICE_WEIGHTS=DIR. Nothing was fetched."] },
  );
}

async function getSize(path: string): Promise<number> {
  return (await stat(path).catch(() => undefined))?.size ?? 0;
}

/** What belongs to another version of the model. */
async function removeOthers(staging: string, paths: readonly string[]): Promise<void> {
  const wanted = new Set(paths.map((path) => join(staging, path)));
  for (const path of await listFiles(staging)) if (!wanted.has(path)) await rm(path, { force: true });
  for (const path of await listFolders(staging)) await rmdir(path).catch(() => {}); // Not empty: it is needed.
}

/** Where the version before waits until the new one is in its place; no name of a model has a plus. */
const OLD = "+old";

/**
 * Puts the whole model in its place. A worker that still reads the old one keeps its open files. Files were synced when
 * they got their names; now the names are, before the folder gets its own: a power cut leaves all of it or nothing.
 */
async function replaceFolder(staging: string, target: string, disk: Disk): Promise<void> {
  const old = `${staging}${OLD}`;
  for (const folder of [...(await listFolders(staging)), staging]) await disk.syncFolder(folder);
  await renameIfThere(target, old);
  await rename(staging, target);
  await disk.syncFolder(dirname(target));
  await disk.syncFolder(dirname(dirname(target)));
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
