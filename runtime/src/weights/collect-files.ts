import { createHash } from "node:crypto";
import { createReadStream } from "node:fs";
import { link, mkdir, open, rename, rm, stat } from "node:fs/promises";
import { dirname, join } from "node:path";
import { describeDiskError, writeAll } from "./disk.ts";
import { type FetchedFile, type FetchOptions, fetchFile } from "./fetch-file.ts";
import type { Hub } from "./hub.ts";
import type { InstalledModel } from "./installed-models.ts";
import type { PlannedFile } from "./plan-pull.ts";
import { WeightsError } from "./weights-error.ts";

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

export interface CollectOptions {
  readonly hub: Hub;
  readonly signal: AbortSignal;
  readonly onProgress: (progress: PullProgress) => void;
  /** An installed version: what is the same is linked. */
  readonly old: { readonly model: InstalledModel; readonly folder: string } | undefined;
  /** Files at once; default 4. */
  readonly parallel?: number | undefined;
}

/** Brings all files, several at once. The first failure stops the others; what they have stays. */
export async function collectFiles(
  files: readonly PlannedFile[],
  staging: string,
  options: CollectOptions,
): Promise<readonly FetchedFile[]> {
  const stopping = new AbortController();
  const signal = AbortSignal.any([options.signal, stopping.signal]);
  const states = files.map(({ path, bytes }) => ({
    path,
    bytes,
    doneBytes: 0,
    state: "waiting" as FileProgress["state"],
  }));
  const isKnown = files.every(({ bytes }) => bytes !== undefined);
  const progress = {
    files: states,
    bytes: isKnown ? files.reduce((sum, { bytes = 0 }) => sum + bytes, 0) : undefined,
    doneBytes: 0,
    fetchedBytes: 0,
  };
  const results: FetchedFile[] = [];
  const waiting = files.map((file, index) => ({ file, index }));
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
      const how: FetchOptions = { hub: options.hub, signal, onBytes };
      results[index] =
        (await findStaged(file, target, how)) ??
        (await reuse(file, target, options.old, how)) ??
        (file.local === undefined
          ? await fetchFile(file, target, how)
          : await copyFile(file.local, target, how));
      state.state = "done";
      options.onProgress(progress);
    }
  };
  const workers = Array.from({ length: Math.min(options.parallel ?? 4, files.length) }, () =>
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

/**
 * A whole file that lies here already. One that is not what is wanted is removed; where only the source can say so, it
 * counts as begun.
 */
async function findStaged(
  file: PlannedFile,
  target: string,
  { signal, onBytes }: FetchOptions,
): Promise<FetchedFile | undefined> {
  const size = (await stat(target).catch(() => undefined))?.size;
  if (size === undefined) return undefined;
  if (file.bytes !== undefined && size === file.bytes && file.local === undefined) {
    const hash = createHash("sha256");
    const git = createHash("sha1").update(`blob ${size}\0`);
    for await (const chunk of createReadStream(target)) {
      signal.throwIfAborted();
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
  if (file.bytes === undefined) await rename(target, `${target}.part`);
  else await rm(target, { force: true });
  return undefined;
}

/** The same bytes in the installed version: a link is enough, if they are still what its receipt says. */
async function reuse(
  file: PlannedFile,
  target: string,
  old: CollectOptions["old"],
  how: FetchOptions,
): Promise<FetchedFile | undefined> {
  if (old === undefined || file.sha256 === undefined) return undefined;
  const same = old.model.files.find(({ sha256 }) => sha256 === file.sha256);
  if (same === undefined) return undefined;
  await mkdir(dirname(target), { recursive: true });
  await link(join(old.folder, same.path), target).catch(() => {}); // Another disk, or the file is gone: it is fetched.
  return await findStaged(file, target, how);
}

async function copyFile(
  from: string,
  target: string,
  { signal, onBytes }: FetchOptions,
): Promise<FetchedFile> {
  await mkdir(dirname(target), { recursive: true });
  const part = `${target}.part`;
  const hash = createHash("sha256");
  let bytes = 0;
  try {
    const file = await open(part, "w");
    try {
      for await (const chunk of readChunks(from)) {
        signal.throwIfAborted();
        await writeAll(file, chunk, bytes);
        hash.update(chunk);
        bytes += chunk.length;
        onBytes(chunk.length, false);
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

async function* readChunks(path: string): AsyncGenerator<Buffer> {
  try {
    yield* createReadStream(path, { highWaterMark: 1 << 20 });
  } catch (cause) {
    throw new WeightsError(`${path} cannot be read: ${(cause as { code?: string }).code}.`, { cause });
  }
}
