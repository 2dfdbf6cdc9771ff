import { type FileHandle, open, statfs } from "node:fs/promises";
import { WeightsError } from "./weights-error.ts";

/** What a pull asks of the disk besides reading and writing. */
export interface Disk {
  /** Bytes that this user may still write on the disk of a folder. */
  readFreeBytes(folder: string): Promise<number>;
  /** Makes new names and renames in a folder last. */
  syncFolder(folder: string): Promise<void>;
}

export const realDisk: Disk = {
  async readFreeBytes(folder) {
    const { bavail, bsize } = await statfs(folder);
    return bavail * bsize;
  },
  async syncFolder(path) {
    // Some systems cannot open folders; there it is left to them.
    const folder = await open(path, "r").catch(() => undefined);
    if (folder === undefined) return;
    await folder.sync().catch(() => {}); // Not every file system syncs folders.
    await folder.close();
  },
};

/** One write may take a part of the bytes only, for instance the last that fit on the disk. */
export async function writeAll(
  file: Pick<FileHandle, "write">,
  bytes: Uint8Array,
  position: number,
): Promise<void> {
  for (let done = 0; done < bytes.length; )
    done += (await file.write(bytes, done, bytes.length - done, position + done)).bytesWritten;
}

export function isDiskError(error: unknown): boolean {
  return ["ENOSPC", "EDQUOT", "EROFS", "EACCES", "EIO"].includes((error as { code?: string }).code ?? "");
}

export function describeDiskError(cause: unknown, path: string): WeightsError {
  const { code } = cause as { code?: string };
  const isFull = code === "ENOSPC" || code === "EDQUOT";
  return new WeightsError(
    isFull ? `The disk is full while ${path} is written.` : `${path} cannot be written: ${code}.`,
    {
      next: isFull
        ? [
            "Free some space, or keep weights elsewhere with SLUICE_WEIGHTS=DIR.",
            "Then pull again: it goes on where it stopped.",
          ]
        : ["Make the folder writable, or keep weights elsewhere with SLUICE_WEIGHTS=DIR."],
      cause,
    },
  );
}

export function formatGigabytes(bytes: number): string {
  return bytes < 1e8 ? `${(bytes / 1e6).toFixed(1)} MB` : `${(bytes / 1e9).toFixed(1)} GB`;
}
