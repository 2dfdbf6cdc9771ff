import { readdir, stat } from "node:fs/promises";
import { join } from "node:path";

/** Paths of all files below a folder, sorted; none when it is not there. */
export async function listFiles(folder: string): Promise<string[]> {
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

/** Paths of all folders below a folder; those inside of others first. */
export async function listFolders(folder: string): Promise<string[]> {
  const entries = await readdir(folder, { recursive: true, withFileTypes: true });
  const folders = entries.filter((entry) => entry.isDirectory());
  return folders
    .map((entry) => join(entry.parentPath, entry.name))
    .sort()
    .reverse();
}
