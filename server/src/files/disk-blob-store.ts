import { createHash, randomBytes } from "node:crypto";
import type { Dir } from "node:fs";
import * as fileSystem from "node:fs/promises";
import { type FileHandle, open, opendir, rm, stat, statfs } from "node:fs/promises";
import { dirname, join, resolve } from "node:path";
import type { Readable } from "node:stream";
import { buffer } from "node:stream/consumers";
import {
  assertBlobKey,
  type BlobInfo,
  BlobMissingError,
  type BlobSource,
  type BlobStore,
  BlobTooLargeError,
} from "./blob-store.ts";
import { concatenateBlobs } from "./concatenate-blobs.ts";
import { iterateUntilAborted } from "./iterate-until-aborted.ts";
import { measureSegments, nameSegment, openSegments } from "./segments.ts";

/**
 * Blobs in a folder of this machine.
 *
 * The blob `a/b/name` is the file `DIR/a/b/=xx/name`, where `xx` are the first two hex digits of SHA-256 of `name`,
 * so that no folder grows large; `=` cannot be part of a key. Bytes are written to `DIR/=incoming`, synced,
 * renamed into place, and the folder is synced: a key is absent or whole at every moment, power cuts included.
 *
 * A blob that was joined of others is a folder of that name instead, with links to the files of its pieces
 * (`segments.ts`): no byte is copied. It is made, synced and renamed in the same way.
 *
 * One process owns the folder: leftovers of interrupted writes are removed here, at open.
 */
export async function openDiskBlobStore(options: {
  readonly dir: string;
  /** The calls that decide what survives a power cut; a test brings a disk that forgets. Default: the real ones. */
  readonly disk?: Disk;
}): Promise<BlobStore> {
  const { disk = fileSystem } = options;
  const dir = resolve(options.dir);
  const incoming = join(dir, "=incoming");
  await rm(incoming, { recursive: true, force: true });
  await disk.mkdir(incoming, { recursive: true });
  const syncFolder = createFolderSync(disk);
  const ensureFolder = createFolders(dir, disk, syncFolder);
  await syncFolder(dir);

  /** Moves what was written under its name, for good. */
  const publish = async (temporary: string, target: string): Promise<void> => {
    await ensureFolder(dirname(target));
    await disk.rename(temporary, target).catch(async (error: unknown) => {
      // Only a file takes the place of a file. Anything else that has the name goes first.
      if (!(await isFolder(target)) && !(await isFolder(temporary))) throw error;
      await setAside(target);
      await disk.rename(temporary, target);
    });
    await syncFolder(dirname(target));
  };

  /** Removes a folder: at once as far as anyone sees. */
  const setAside = async (path: string): Promise<void> => {
    const aside = join(incoming, randomBytes(12).toString("hex"));
    await disk.rename(path, aside);
    await rm(aside, { recursive: true, force: true });
  };

  /** False when this disk has no links. */
  const linkSegments = async (
    folder: string,
    sources: readonly BlobSource[],
    signal: AbortSignal | undefined,
  ): Promise<boolean> => {
    let offset = 0;
    for (const { key, size } of sources) {
      signal?.throwIfAborted();
      if (size === 0) continue;
      try {
        await disk.link(locate(dir, key), join(folder, nameSegment(offset)));
      } catch (cause) {
        if (isMissing(cause)) throw new BlobMissingError(key, { cause });
        // Of a joined blob there is no one file to link to; and some file systems know no second name.
        if (NO_LINK.has((cause as NodeJS.ErrnoException).code ?? "")) return false;
        throw cause;
      }
      offset += size;
    }
    return true;
  };

  const blobs: BlobStore = {
    async put(key, content, { maxBytes = Number.POSITIVE_INFINITY, signal } = {}) {
      const target = locate(dir, key);
      const temporary = join(incoming, randomBytes(12).toString("hex"));
      try {
        signal?.throwIfAborted();
        const handle = await disk.open(temporary, "wx", 0o600);
        let written: { readonly size: number; readonly sha256: string };
        try {
          written = await writeAll(handle, content, maxBytes, signal);
          signal?.throwIfAborted();
          await handle.sync();
        } finally {
          await handle.close();
        }
        await publish(temporary, target);
        return { key, ...written, modifiedAt: (await stat(target)).mtimeMs };
      } catch (error) {
        await rm(temporary, { force: true });
        throw error;
      }
    },

    async join(key, sources, { signal } = {}) {
      const target = locate(dir, key);
      const size = sources.reduce((sum, source) => sum + source.size, 0);
      if (size === 0) return await blobs.put(key, new Uint8Array());
      const temporary = join(incoming, randomBytes(12).toString("hex"));
      try {
        await disk.mkdir(temporary, { recursive: true });
        if (!(await linkSegments(temporary, sources, signal))) {
          await rm(temporary, { recursive: true });
          return await blobs.put(
            key,
            concatenateBlobs(blobs, sources),
            signal === undefined ? {} : { signal },
          );
        }
        await syncFolder(temporary);
        await publish(temporary, target);
        return { key, size, modifiedAt: (await stat(target)).mtimeMs };
      } catch (error) {
        await rm(temporary, { recursive: true, force: true });
        throw error;
      }
    },

    async open(key, range) {
      const path = locate(dir, key);
      if (await isFolder(path)) return await orUndefined(openSegments(path, range));
      const handle = await orUndefined(open(path, "r"));
      return handle?.createReadStream(range === undefined ? {} : { start: range.start, end: range.end });
    },

    async read(key) {
      const content = await blobs.open(key);
      return content === undefined ? undefined : await buffer(content);
    },

    async find(key) {
      return describe(key, locate(dir, key));
    },

    async remove(key) {
      const path = locate(dir, key);
      try {
        await rm(path);
      } catch (error) {
        if (isMissing(error)) return false;
        if (!(await isFolder(path))) throw error;
        await setAside(path);
      }
      return true;
    },

    list: (prefix) => listBlobs(dir, "", prefix),

    async getFreeBytes() {
      const { bavail, bsize } = await statfs(dir);
      return bavail * bsize;
    },
  };
  return blobs;
}

export type Disk = Pick<typeof fileSystem, "open" | "mkdir" | "rename" | "link">;

const NO_LINK: ReadonlySet<string> = new Set(["EPERM", "ENOTSUP", "EOPNOTSUPP", "ENOSYS", "EMLINK", "EXDEV"]);

/** Chunks of a network stream are a few kilobytes: they are gathered to write this much at once. */
const GATHER_BYTES = 256 * 1024;

async function writeAll(
  handle: FileHandle,
  content: Uint8Array | Readable | AsyncIterable<Uint8Array>,
  maxBytes: number,
  signal: AbortSignal | undefined,
): Promise<{ size: number; sha256: string }> {
  const hash = createHash("sha256");
  let size = 0;
  let gathered: Uint8Array[] = [];
  let gatheredBytes = 0;
  const flush = async (): Promise<void> => {
    // A short write (disk nearly full) leaves the rest to the next round, which then fails with the reason.
    let rest = Buffer.concat(gathered, gatheredBytes);
    gathered = [];
    gatheredBytes = 0;
    while (rest.length > 0) rest = rest.subarray((await handle.write(rest)).bytesWritten);
  };
  const chunks = content instanceof Uint8Array ? [content] : iterateUntilAborted(content, signal);
  for await (const chunk of chunks) {
    size += chunk.byteLength;
    if (size > maxBytes) throw new BlobTooLargeError(maxBytes);
    hash.update(chunk);
    gathered.push(chunk);
    gatheredBytes += chunk.byteLength;
    if (gatheredBytes >= GATHER_BYTES) await flush();
  }
  await flush();
  return { size, sha256: hash.digest("hex") };
}

function locate(dir: string, key: string): string {
  assertBlobKey(key);
  const slash = key.lastIndexOf("/");
  const name = key.slice(slash + 1);
  const shard = createHash("sha256").update(name).digest("hex").slice(0, 2);
  return join(dir, key.slice(0, slash + 1), `=${shard}`, name);
}

/**
 * Makes folders, and syncs the whole chain up to the root the first time each is asked for: a folder that exists may
 * have been made by another writer, or by a process that died, without being synced into its parent yet.
 */
function createFolders(
  root: string,
  disk: Disk,
  syncFolder: (path: string) => Promise<void>,
): (path: string) => Promise<void> {
  const ensured = new Map<string, Promise<void>>();
  return function ensure(path: string): Promise<void> {
    const known = ensured.get(path);
    if (known !== undefined) return known;
    const making = makeAndSync(path);
    ensured.set(path, making);
    making.catch(() => ensured.delete(path));
    return making;
  };

  async function makeAndSync(path: string): Promise<void> {
    await disk.mkdir(path, { recursive: true });
    for (let folder = path; folder !== root && folder !== dirname(folder); folder = dirname(folder))
      await syncFolder(dirname(folder));
  }
}

/** Syncs folders; calls for one folder that arrive while it is being synced share the next sync. */
function createFolderSync(disk: Disk): (path: string) => Promise<void> {
  const running = new Map<string, Promise<void>>();
  const waiting = new Map<string, Promise<void>>();
  return function syncFolder(path: string): Promise<void> {
    const current = running.get(path);
    if (current === undefined) {
      const sync = syncNow(path, disk).finally(() => running.delete(path));
      running.set(path, sync);
      return sync;
    }
    const next: Promise<void> =
      waiting.get(path) ??
      current
        .catch(() => {})
        .then(() => {
          waiting.delete(path);
          return syncFolder(path);
        });
    waiting.set(path, next);
    return next;
  };
}

async function syncNow(path: string, disk: Disk): Promise<void> {
  // Windows has no handle of a folder to sync; its renames are journalled.
  if (process.platform === "win32") return;
  const handle = await disk.open(path, "r");
  try {
    await handle.sync();
  } finally {
    await handle.close();
  }
}

async function* listBlobs(folder: string, key: string, prefix: string): AsyncGenerator<BlobInfo> {
  let entries: Dir;
  try {
    entries = await opendir(folder);
  } catch (error) {
    if (isMissing(error)) return;
    throw error;
  }
  for await (const entry of entries) {
    if (!entry.isDirectory()) continue;
    const path = join(folder, entry.name);
    if (entry.name === "=incoming") continue;
    if (entry.name.startsWith("=")) {
      yield* listShard(path, key, prefix);
    } else {
      const inner = `${key}${entry.name}/`;
      if (inner.startsWith(prefix) || prefix.startsWith(inner)) yield* listBlobs(path, inner, prefix);
    }
  }
}

async function* listShard(folder: string, key: string, prefix: string): AsyncGenerator<BlobInfo> {
  for await (const entry of await opendir(folder)) {
    const blobKey = key + entry.name;
    if (!blobKey.startsWith(prefix)) continue;
    const info = await describe(blobKey, join(folder, entry.name));
    if (info !== undefined) yield info;
  }
}

async function describe(key: string, path: string): Promise<BlobInfo | undefined> {
  try {
    const found = await stat(path);
    const size = found.isDirectory() ? await measureSegments(path) : found.size;
    return { key, size, modifiedAt: found.mtimeMs };
  } catch (error) {
    if (isMissing(error)) return undefined;
    throw error;
  }
}

/** Undefined when a file or folder is missing. */
async function orUndefined<T>(found: Promise<T>): Promise<T | undefined> {
  return await found.catch((error: unknown) => {
    if (isMissing(error)) return undefined;
    throw error;
  });
}

async function isFolder(path: string): Promise<boolean> {
  return await stat(path).then(
    (found) => found.isDirectory(),
    () => false,
  );
}

function isMissing(error: unknown): boolean {
  const { code } = error as NodeJS.ErrnoException;
  return code === "ENOENT" || code === "ENOTDIR";
}
