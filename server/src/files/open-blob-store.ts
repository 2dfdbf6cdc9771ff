import type { BlobStore } from "./blob-store.ts";
import { openDiskBlobStore } from "./disk-blob-store.ts";

/** The blob store that the settings name: the bucket of `storageUrl`, or the folder when there is none. */
export async function openBlobStore(options: {
  /** `s3://…`, or null. */
  readonly storageUrl: string | null;
  readonly dir: string;
}): Promise<BlobStore & Partial<AsyncDisposable>> {
  if (options.storageUrl === null) return await openDiskBlobStore({ dir: options.dir });
  const { openS3BlobStore } = await import("./s3-blob-store.ts");
  return await openS3BlobStore({ url: options.storageUrl });
}
