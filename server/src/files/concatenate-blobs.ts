import { BlobMissingError, type BlobSource, type BlobStore } from "./blob-store.ts";

/**
 * The bytes of blobs one after the other: for a storage that cannot join them itself.
 *
 * @throws BlobMissingError
 */
export async function* concatenateBlobs(
  blobs: Pick<BlobStore, "open">,
  sources: readonly BlobSource[],
): AsyncGenerator<Uint8Array, void, undefined> {
  for (const { key, size } of sources) {
    if (size === 0) continue;
    const content = await blobs.open(key);
    if (content === undefined) throw new BlobMissingError(key);
    yield* content as AsyncIterable<Uint8Array>;
  }
}
