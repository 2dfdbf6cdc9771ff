import { existsSync } from "node:fs";
import { type FileHandle, link, mkdir, open, rename } from "node:fs/promises";
import { basename, dirname, join, resolve } from "node:path";
import type { Disk } from "../disk-blob-store.ts";

/**
 * A disk that keeps, at a power cut, only what was synced: a file's bytes up to its last sync, a folder's names as of
 * its last sync. The real calls are made too, so that the program sees what it wrote.
 */
export interface ForgetfulDisk extends Disk {
  /** The files that a power cut now would leave under `root`, by their path inside it. */
  listSurvivors(): ReadonlyMap<string, Buffer>;
  /** Names that came to point to bytes which were not synced yet: after a power cut, torn files. */
  readonly torn: readonly string[];
}

interface Inode {
  written: Buffer;
  synced: Buffer;
}

interface Folder {
  now: Map<string, Inode | Folder>;
  synced: Map<string, Inode | Folder>;
}

/** @param root exists, and its own name is safe */
export function createForgetfulDisk(root: string): ForgetfulDisk {
  const folders = new Map<string, Folder>([[resolve(root), createFolder()]]);
  const torn: string[] = [];

  const folderOf = (path: string): Folder => {
    const folder = folders.get(dirname(path));
    if (folder === undefined) throw new Error(`${dirname(path)} was not made through this disk`);
    return folder;
  };
  const noteFolder = (path: string): void => {
    if (folders.has(path)) return;
    noteFolder(dirname(path));
    const folder = createFolder();
    folderOf(path).now.set(basename(path), folder);
    folders.set(path, folder);
  };
  const watch = (handle: FileHandle, node: Inode | Folder): FileHandle =>
    new Proxy(handle, {
      get(target, name) {
        if (name === "write")
          return async (bytes: Buffer) => {
            const result = await target.write(bytes);
            if ("written" in node)
              node.written = Buffer.concat([node.written, bytes.subarray(0, result.bytesWritten)]);
            return result;
          };
        if (name === "sync")
          return async () => {
            await target.sync();
            if ("written" in node) node.synced = node.written;
            else node.synced = new Map(node.now);
          };
        const member: unknown = Reflect.get(target, name, target);
        return typeof member === "function" ? member.bind(target) : member;
      },
    });

  const disk = {
    async open(path: string, flags: string, mode?: number): Promise<FileHandle> {
      const handle = await open(path, flags, mode);
      const folder = folders.get(path);
      if (folder !== undefined) return watch(handle, folder);
      if (flags !== "wx") return handle;
      const node: Inode = { written: Buffer.of(), synced: Buffer.of() };
      folderOf(path).now.set(basename(path), node);
      return watch(handle, node);
    },
    async mkdir(path: string, options: { recursive: true }): Promise<string | undefined> {
      const first = existsSync(path) ? undefined : await mkdir(path, options);
      noteFolder(path);
      return first;
    },
    async rename(from: string, to: string): Promise<void> {
      await rename(from, to);
      const node = folderOf(from).now.get(basename(from));
      if (node === undefined) throw new Error(`${from} was not made through this disk`);
      folderOf(from).now.delete(basename(from));
      folderOf(to).now.set(basename(to), node);
      if (!isSynced(node)) torn.push(to);
      if ("written" in node) return;
      folders.delete(from);
      folders.set(to, node);
    },
    async link(from: string, to: string): Promise<void> {
      await link(from, to);
      const node = folderOf(from).now.get(basename(from));
      if (node === undefined) throw new Error(`${from} was not made through this disk`);
      folderOf(to).now.set(basename(to), node);
    },
  };
  return {
    // Only the forms of the calls that the blob store uses.
    ...(disk as unknown as Disk),
    torn,
    listSurvivors() {
      const found = new Map<string, Buffer>();
      const walk = (folder: Folder, path: string): void => {
        for (const [name, node] of folder.synced)
          if ("written" in node) found.set(join(path, name), node.synced);
          else walk(node, join(path, name));
      };
      walk(folders.get(resolve(root)) ?? createFolder(), "");
      return found;
    },
  };
}

/** Of a folder: that it would have all its files, whole. */
function isSynced(node: Inode | Folder): boolean {
  if ("written" in node) return node.written.equals(node.synced);
  return [...node.now].every(([name, inner]) => node.synced.get(name) === inner && isSynced(inner));
}

function createFolder(): Folder {
  return { now: new Map(), synced: new Map() };
}
