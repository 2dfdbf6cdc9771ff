import { createHash, type Hash } from "node:crypto";
import { constants } from "node:fs";
import { type FileHandle, mkdir, open, readFile, rename, rm, writeFile } from "node:fs/promises";
import { dirname } from "node:path";
import { describeDiskError, isDiskError, writeAll } from "./disk.ts";
import { type Hub, openRemote, type RemoteFile, sleep } from "./hub.ts";
import { type FileVersion, isAtEnd, readAnswer } from "./read-answer.ts";
import { WeightsError } from "./weights-error.ts";

export interface FetchedFile {
  readonly bytes: number;
  readonly sha256: string;
}

export interface FetchOptions {
  readonly hub: Hub;
  readonly signal: AbortSignal;
  /** Told of bytes that are on disk now: those of an earlier try, then every piece. Negative when some were thrown away. */
  readonly onBytes: (count: number, isFetched: boolean) => void;
}

/**
 * Fetches a file to `target` in a way that may be cut off at any point. Bytes go to `target.part`; a later call goes on
 * at its end if the file is still the same there (If-Range with its ETag), and begins again where a server answers that
 * with anything else (`readAnswer`). Length and hashes are checked while the bytes pass, and only a whole, right file
 * gets its name. The ETag stays beside it, for one who looks later whether it is still the same.
 *
 * @throws WeightsError: it is not there, it is not what was promised, the disk is full; the signal's reason
 */
export async function fetchFile(
  file: RemoteFile,
  target: string,
  { hub, signal, onBytes }: FetchOptions,
): Promise<FetchedFile> {
  const part = `${target}.part`;
  const mark = `${target}.part.etag`;
  await mkdir(dirname(target), { recursive: true });
  // Not for appending: Windows shortens no file that is open for that.
  const handle = await open(part, constants.O_RDWR | constants.O_CREAT);
  try {
    const progress = await readPart(handle, file, signal);
    onBytes(progress.bytes, false);
    const restart = async (): Promise<void> => {
      onBytes(-progress.bytes, false);
      await handle.truncate(0);
      Object.assign(progress, createProgress(file));
    };
    let tries = 0;
    let furthest = progress.bytes;
    let wasResumed = progress.bytes > 0;
    let canResume = true;
    let lastError: unknown = new Error("it ends too early");
    for (;;) {
      try {
        if (!canResume && progress.bytes > 0) await restart();
        const isWhole = await fetchRest(file, handle, progress, { hub, signal, onBytes, mark, restart });
        if (isWhole) {
          const problem = findProblem(file, progress);
          if (problem === undefined) break;
          await restart();
          // What lay here from before may be what is wrong.
          if (!wasResumed) throw problem;
          wasResumed = false;
        }
      } catch (error) {
        signal.throwIfAborted();
        if (error instanceof WeightsError) throw error;
        if (isDiskError(error)) throw describeDiskError(error, part);
        if (error instanceof UnusablePart) canResume = false;
        lastError = error;
      }
      tries = progress.bytes > furthest ? 0 : tries + 1;
      furthest = Math.max(furthest, progress.bytes);
      if (tries >= TRIES) throw describeBreak(file, lastError);
      if (tries > 0) await sleep((hub.retryMs ?? RETRY_MS) * 2 ** tries, signal);
    }
    await handle.sync();
    await rename(part, target);
    return { bytes: progress.bytes, sha256: progress.sha256.digest("hex") };
  } catch (error) {
    if (isDiskError(error)) throw describeDiskError(error, part);
    throw error;
  } finally {
    await handle.close();
  }
}

const TRIES = 5;
const RETRY_MS = 1_000;
const IDLE_MS = 60_000;

interface Progress {
  bytes: number;
  sha256: Hash;
  /** Only where the length is known beforehand: git puts it first. */
  git: Hash | undefined;
}

function createProgress({ bytes, gitOid }: RemoteFile): Progress {
  const isGit = gitOid !== undefined && bytes !== undefined;
  return {
    bytes: 0,
    sha256: createHash("sha256"),
    git: isGit ? createHash("sha1").update(`blob ${bytes}\0`) : undefined,
  };
}

/** Reads what an earlier try left, because hashes begin at the first byte. */
async function readPart(handle: FileHandle, file: RemoteFile, signal: AbortSignal): Promise<Progress> {
  const progress = createProgress(file);
  const { size } = await handle.stat();
  const chunk = Buffer.alloc(1 << 20);
  while (progress.bytes < size) {
    signal.throwIfAborted();
    const { bytesRead } = await handle.read(chunk, 0, chunk.length, progress.bytes);
    if (bytesRead === 0) break;
    add(progress, chunk.subarray(0, bytesRead));
  }
  return progress;
}

function add(progress: Progress, chunk: Uint8Array): void {
  progress.bytes += chunk.length;
  progress.sha256.update(chunk);
  progress.git?.update(chunk);
}

/** One answer's worth. @returns whether the file is whole now */
async function fetchRest(
  file: RemoteFile,
  handle: FileHandle,
  progress: Progress,
  options: FetchOptions & { readonly mark: string; readonly restart: () => Promise<void> },
): Promise<boolean> {
  const { hub, signal, onBytes, mark, restart } = options;
  if (progress.bytes > 0 && progress.bytes === file.bytes) return true;
  if (file.bytes !== undefined && progress.bytes > file.bytes) await restart();
  const version = progress.bytes === 0 ? undefined : await readMark(mark);
  // Without a strong ETag nobody can say whether it is still the same file, except a hash that is known beforehand.
  if (progress.bytes > 0 && version === undefined && file.sha256 === undefined) await restart();
  const headers: Record<string, string> =
    progress.bytes === 0
      ? {}
      : {
          range: `bytes=${progress.bytes}-`,
          ...(version === undefined ? {} : { "if-range": version.etag }),
        };

  const idle = new AbortController();
  const idleMs = hub.idleMs ?? IDLE_MS;
  const giveUp = (): void => idle.abort(new Error(`nothing came for ${idleMs} ms`));
  const response = await openRemote(hub, file.url, {
    signal: AbortSignal.any([signal, idle.signal]),
    headers,
  });
  const asked = { from: progress.bytes, bytes: file.bytes, version, isHashed: file.sha256 !== undefined };
  if (isAtEnd(response, asked)) {
    await response.body?.cancel();
    return true;
  }
  const answer = readAnswer(response, asked);
  if (answer.kind === "unusable") {
    await response.body?.cancel();
    if (progress.bytes > 0) throw new UnusablePart(answer.why);
    throw describeMisfit(file, `is not sent as it was asked for: ${answer.why}`);
  }
  if (answer.from !== progress.bytes) await restart();
  await writeMark(mark, answer.version);
  const end = answer.end ?? file.bytes;
  let timer = setTimeout(giveUp, idleMs);
  try {
    for await (const chunk of response.body ?? []) {
      clearTimeout(timer);
      if (end !== undefined && progress.bytes + chunk.length > end) {
        if (answer.from > 0) throw new UnusablePart("more is sent than was announced");
        await restart();
        throw describeMisfit(file, `is longer than the ${end} bytes that were announced`);
      }
      await writeAll(handle, chunk, progress.bytes);
      add(progress, chunk);
      onBytes(chunk.length, true);
      timer = setTimeout(giveUp, idleMs);
    }
  } finally {
    clearTimeout(timer);
  }
  return progress.bytes >= (answer.total ?? progress.bytes);
}

/** Which version of the file the part beside it is of: its ETag, then its length if that was told. */
async function readMark(path: string): Promise<FileVersion | undefined> {
  const text = await readFile(path, "utf8").catch(() => "");
  const [, etag, bytes] = /^(".*")(?:\n(\d+))?$/.exec(text) ?? [];
  return etag === undefined ? undefined : { etag, bytes: bytes === undefined ? undefined : Number(bytes) };
}

async function writeMark(path: string, version: FileVersion | undefined): Promise<void> {
  if (version === undefined) return await rm(path, { force: true });
  const { etag, bytes } = version;
  await writeFile(path, bytes === undefined ? etag : `${etag}\n${bytes}`);
}

/** An answer to a request for a part that cannot be trusted: the file is asked for from its beginning. */
class UnusablePart extends Error {}

function describeMisfit(file: RemoteFile, problem: string): WeightsError {
  return new WeightsError(`${file.url} ${problem}.`, {
    next: ["Its source is damaged or was changed. Try again later, or another mirror (SLUICE_HUB)."],
  });
}

function findProblem(file: RemoteFile, progress: Progress): WeightsError | undefined {
  const sha256 = progress.sha256.copy().digest("hex");
  const gitOid = progress.git?.copy().digest("hex");
  const isRight =
    (file.sha256 === undefined || file.sha256 === sha256) &&
    (file.gitOid === undefined || gitOid === undefined || file.gitOid === gitOid);
  if (isRight) return undefined;
  const [found, expected] = file.sha256 === undefined ? [gitOid, file.gitOid] : [sha256, file.sha256];
  return new WeightsError(
    `${file.path} is not what it should be: its hash is ${found}, expected was ${expected}. It was thrown away.`,
    {
      next: [
        "Pull again. If it happens twice, its source is damaged or was changed:",
        "take another mirror (SLUICE_HUB) or another revision.",
      ],
    },
  );
}

function describeBreak(file: RemoteFile, error: unknown): WeightsError {
  const why = error instanceof Error ? error.message : String(error);
  return new WeightsError(`The connection breaks again and again while ${file.path} is fetched: ${why}.`, {
    next: ["What was fetched is kept. Pull again to go on."],
    cause: error,
  });
}
