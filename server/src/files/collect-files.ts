import type { BlobInfo } from "./blob-store.ts";
import type { FileStoreParts } from "./create-file-store.ts";
import { deleteFile, type FileRow } from "./file-rows.ts";

/**
 * Removes what nobody can reach any more. Rows go first, in one commit, blobs after it: what dies in between leaves
 * blobs without a row, which the comparison of both sides finds later. That comparison reads every name, so it runs
 * an hour after the start and then every six hours.
 */
export function createFileCollector(parts: FileStoreParts): () => Promise<number> {
  const { clock } = parts;
  let nextComparisonAt = clock.now() + HOUR_MS;
  return async function collect() {
    let removed = (await collectExpiredFiles(parts)) + (await collectAbandonedUploads(parts));
    if (clock.now() >= nextComparisonAt) {
      nextComparisonAt = clock.now() + 6 * HOUR_MS;
      removed += (await collectBlobsWithoutRow(parts)) + (await collectRowsWithoutBlob(parts));
    }
    return removed;
  };
}

const HOUR_MS = 3_600_000;
const BATCH = 200;
/** Younger than this, a blob may still be waiting for its row. */
const GRACE_MS = HOUR_MS;

async function collectExpiredFiles({ database, blobs, clock }: FileStoreParts): Promise<number> {
  let removed = 0;
  while (true) {
    const rows = await database.transaction(async (tx) => {
      const expired = await tx.all<FileRow>(
        `SELECT * FROM files WHERE expires_at IS NOT NULL AND expires_at <= $1 ORDER BY expires_at LIMIT ${BATCH}`,
        [clock.now()],
      );
      for (const row of expired) await deleteFile(tx, row);
      return expired;
    });
    for (const row of rows) await blobs.remove(row.blob_key);
    removed += rows.length;
    if (rows.length < BATCH) return removed;
  }
}

/** Uploads are kept an hour longer than their URL works, so that a late writer is told that it has expired. */
async function collectAbandonedUploads({ database, blobs, clock }: FileStoreParts): Promise<number> {
  let removed = 0;
  while (true) {
    const { uploads, parts } = await database.transaction(async (tx) => {
      const abandoned = await tx.all<{ id: string; completed_at: number | null }>(
        `SELECT id, completed_at FROM uploads WHERE expires_at <= $1 ORDER BY expires_at LIMIT ${BATCH}`,
        [clock.now() - HOUR_MS],
      );
      const left: { blob_key: string }[] = [];
      for (const { id } of abandoned) {
        left.push(
          ...(await tx.all<{ blob_key: string }>("SELECT blob_key FROM upload_parts WHERE upload_id = $1", [
            id,
          ])),
        );
        await tx.run("DELETE FROM upload_parts WHERE upload_id = $1", [id]);
        await tx.run("DELETE FROM uploads WHERE id = $1", [id]);
      }
      return { uploads: abandoned, parts: left };
    });
    for (const part of parts) await blobs.remove(part.blob_key);
    removed += uploads.filter((upload) => upload.completed_at === null).length;
    if (uploads.length < BATCH) return removed;
  }
}

async function collectBlobsWithoutRow({ database, blobs, clock, logger }: FileStoreParts): Promise<number> {
  const orphans: string[] = [];
  let seen = 0;
  const check = async (batch: readonly BlobInfo[]): Promise<void> => {
    if (batch.length === 0) return;
    const marks = batch.map((_, index) => `$${index + 1}`).join(", ");
    const keys = batch.map(({ key }) => key);
    const rows = await database.read((tx) =>
      tx.all<{ blob_key: string }>(
        `SELECT blob_key FROM files WHERE blob_key IN (${marks})
         UNION ALL SELECT blob_key FROM upload_parts WHERE blob_key IN (${marks})`,
        keys,
      ),
    );
    const known = new Set(rows.map((row) => row.blob_key));
    orphans.push(...keys.filter((key) => !known.has(key)));
    seen += batch.length;
  };
  for (const prefix of ["files/", "parts/"]) {
    let batch: BlobInfo[] = [];
    for await (const blob of blobs.list(prefix)) {
      if (blob.modifiedAt > clock.now() - GRACE_MS) continue;
      batch.push(blob);
      if (batch.length < BATCH) continue;
      await check(batch);
      batch = [];
    }
    await check(batch);
  }
  if (isSuspicious(orphans.length, seen)) {
    logger.error(
      { orphans: orphans.length, blobs: seen },
      "most stored blobs belong to no file, so none is removed: is this the right database for this storage?",
    );
    return 0;
  }
  for (const key of orphans) await blobs.remove(key);
  return orphans.length;
}

async function collectRowsWithoutBlob({ database, blobs, clock, logger }: FileStoreParts): Promise<number> {
  const broken: FileRow[] = [];
  let seen = 0;
  let after = "";
  while (true) {
    const rows = await database.read((tx) =>
      tx.all<FileRow>(`SELECT * FROM files WHERE path > $1 ORDER BY path LIMIT ${BATCH}`, [after]),
    );
    for (const row of rows)
      if (row.created_at <= clock.now() - GRACE_MS && (await blobs.find(row.blob_key)) === undefined)
        broken.push(row);
    seen += rows.length;
    after = rows.at(-1)?.path ?? after;
    if (rows.length < BATCH) break;
  }
  if (isSuspicious(broken.length, seen)) {
    logger.error(
      { missing: broken.length, files: seen },
      "the bytes of most files are missing, so their records are kept: is the storage mounted?",
    );
    return 0;
  }
  if (broken.length > 0)
    logger.warn({ missing: broken.length }, "the bytes of some files are missing; their records are removed");
  for (const row of broken) await database.transaction((tx) => deleteFile(tx, row));
  return broken.length;
}

/** Losing half of everything is a wrong folder or bucket, not litter: an operator must look first. */
function isSuspicious(found: number, seen: number): boolean {
  return found >= 10 && found * 2 > seen;
}
