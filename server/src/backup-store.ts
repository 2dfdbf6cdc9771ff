import { copyFile, mkdir, rename, rm } from "node:fs/promises";
import { join } from "node:path";
import { openDiskBlobStore } from "./files/disk-blob-store.ts";
import type { Store } from "./store.ts";

/**
 * Copies the whole store into a new folder while it is in use: first the rows, as of one moment, then every blob. A
 * blob is written before the row that names it and never changes, so each row of the copy finds its bytes, unless
 * its retention ended meanwhile. Which models answer which endpoints is copied, too; pulled weights are not: they can
 * be pulled again.
 *
 * @param folder must not exist; it appears whole or not at all
 * @throws Error when it exists
 */
export async function backupStore(
  store: Pick<Store, "database" | "blobs" | "dataDir">,
  folder: string,
): Promise<void> {
  const partial = `${folder}.partial-${process.pid}`;
  await mkdir(partial, { mode: 0o700 });
  try {
    await store.database.backup(join(partial, "sluice.db"));
    const copy = await openDiskBlobStore({ dir: join(partial, "blobs") });
    for await (const { key } of store.blobs.list("")) {
      const content = await store.blobs.open(key);
      if (content !== undefined) await copy.put(key, content);
    }
    await copyBindings(store.dataDir, partial);
    // Fails when the folder has come to exist meanwhile and is not empty.
    await rename(partial, folder);
  } catch (error) {
    await rm(partial, { recursive: true, force: true });
    throw error;
  }
}

/** `models.json`, where models are bound. */
async function copyBindings(from: string, to: string): Promise<void> {
  await copyFile(join(from, "models.json"), join(to, "models.json")).catch((error: unknown) => {
    if ((error as { code?: string }).code !== "ENOENT") throw error;
  });
}
