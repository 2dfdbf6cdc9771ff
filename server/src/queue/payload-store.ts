import type { BlobStore } from "../files/blob-store.ts";
import type { QueueContext } from "./queue-context.ts";

/** Payloads up to this size are kept in the row. */
const INLINE_BYTES = 32 * 1024;

/** Blobs of the queue: `requests/{request id}/{which}`. */
export const PAYLOAD_PREFIX = "requests/";

/** Where a payload is: in the row or in a blob. */
export interface PlacedPayload {
  readonly inline: Uint8Array | null;
  readonly blob: string | null;
}

/**
 * Finds a place for a payload before the commit that refers to it: a blob is whole and on the disk when this
 * resolves. If the commit does not come, the blob is collected later as an orphan.
 *
 * @param which distinguishes the payloads of one request; results carry their lease's token, so that an attempt
 * that lost its lease can never replace the bytes of its successor.
 */
export async function placePayload(
  context: Pick<QueueContext, "blobs">,
  requestId: string,
  which: string,
  body: Uint8Array | null,
): Promise<PlacedPayload> {
  if (body === null || body.byteLength <= INLINE_BYTES) return { inline: body, blob: null };
  const blob = `${PAYLOAD_PREFIX}${requestId}/${which}`;
  await context.blobs.put(blob, body);
  return { inline: null, blob };
}

/** The bytes; undefined when the blob is gone. */
export async function readPayload(
  blobs: BlobStore,
  inline: Uint8Array | null,
  blob: string | null,
): Promise<Uint8Array | undefined> {
  if (blob !== null) return blobs.read(blob);
  return inline ?? undefined;
}

/** Removes blobs that no row refers to any more. A failure is only logged: the collection of orphans tries again. */
export async function removeBlobs(
  context: Pick<QueueContext, "blobs" | "logger">,
  keys: readonly (string | null)[],
): Promise<void> {
  for (const key of keys) {
    if (key === null) continue;
    try {
      await context.blobs.remove(key);
    } catch (error) {
      context.logger.warn({ err: error, blob: key }, "could not remove a payload");
    }
  }
}
