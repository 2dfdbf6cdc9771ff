import { mkdir, open, rename, rm } from "node:fs/promises";
import { dirname } from "node:path";
import { realDisk } from "./disk.ts";

/** Replaces a file in one step: whoever reads it sees the old text or the new one, after a power cut too. */
export async function writeFileSafely(path: string, text: string): Promise<void> {
  await mkdir(dirname(path), { recursive: true });
  const draft = `${path}.${process.pid}.new`;
  try {
    const file = await open(draft, "w");
    try {
      await file.writeFile(text);
      await file.sync();
    } finally {
      await file.close();
    }
    await rename(draft, path);
  } catch (error) {
    await rm(draft, { force: true });
    throw error;
  }
  await realDisk.syncFolder(dirname(path));
}
