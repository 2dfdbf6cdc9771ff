import { PAYLOAD_PREFIX } from "./payload-store.ts";
import type { QueueContext } from "./queue-context.ts";

/** A blob is written before the row that refers to it: younger ones may be about to get theirs. */
const MIN_AGE_MS = 3_600_000;

/**
 * Removes payload blobs that no row refers to: their commit never came, or the process died between a removal's
 * commit and the blob's. The number removed.
 */
export async function collectOrphans(context: QueueContext): Promise<number> {
  let removed = 0;
  for await (const blob of context.blobs.list(PAYLOAD_PREFIX)) {
    if (blob.modifiedAt > context.clock.now() - MIN_AGE_MS) continue;
    const id = blob.key.slice(PAYLOAD_PREFIX.length).split("/")[0] ?? "";
    const row = await context.database.read((tx) =>
      tx.get(
        `SELECT 1 AS kept FROM requests r JOIN payloads p ON p.request_number = r.number
         WHERE r.id = $1 AND (p.input_blob = $2 OR p.result_blob = $2)`,
        [id, blob.key],
      ),
    );
    if (row === undefined && (await context.blobs.remove(blob.key))) removed++;
  }
  if (removed > 0) context.logger.info({ removed }, "removed payloads that no request refers to");
  return removed;
}
