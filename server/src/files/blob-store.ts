import type { Readable } from "node:stream";

/**
 * Bytes by key: a folder on disk or a bucket. Keys are `[a-z0-9/_-]`, made by us, never by a caller.
 * A blob never changes once written.
 */
export interface BlobStore {
  /**
   * Writes the blob; when it resolves the bytes are on disk (file and folder synced), whole, under their key.
   * A write that fails or is aborted leaves nothing under the key. Writing an existing key replaces it.
   */
  put(
    key: string,
    content: Uint8Array | Readable | AsyncIterable<Uint8Array>,
    options?: PutBlobOptions,
  ): Promise<BlobInfo>;
  /**
   * Makes one blob of others, in this order, without moving their bytes through this process where the storage can do
   * without. The sources stay; afterwards the blob does not need them. What {@link put} says of the moment of its
   * end, of failures and of existing keys is true here too. A source may be of any size, none at all included.
   *
   * @throws BlobMissingError when a source is absent, or goes meanwhile
   */
  join(
    key: string,
    sources: readonly BlobSource[],
    options?: { readonly signal?: AbortSignal },
  ): Promise<BlobInfo>;
  /** Undefined when absent. `range` is inclusive on both ends and already checked against the size. */
  open(key: string, range?: { readonly start: number; readonly end: number }): Promise<Readable | undefined>;
  /** Undefined when absent. Whole content in memory: for small blobs. */
  read(key: string): Promise<Uint8Array | undefined>;
  find(key: string): Promise<BlobInfo | undefined>;
  /** True when there was one. */
  remove(key: string): Promise<boolean>;
  /** Every key with this prefix, for collecting orphans. */
  list(prefix: string): AsyncIterable<BlobInfo>;
  /** Free space in bytes; undefined when it is not limited. */
  getFreeBytes(): Promise<number | undefined>;
}

export interface PutBlobOptions {
  /** Fails with {@link BlobTooLargeError} as soon as more arrives. */
  readonly maxBytes?: number;
  readonly signal?: AbortSignal;
}

/** A blob that becomes a piece of another; `size` as its `put` said. */
export interface BlobSource {
  readonly key: string;
  readonly size: number;
}

export interface BlobInfo {
  readonly key: string;
  readonly size: number;
  /** Lower-case hex; only from `put`. */
  readonly sha256?: string;
  readonly modifiedAt: number;
}

export class BlobTooLargeError extends Error {
  readonly maxBytes: number;
  constructor(maxBytes: number) {
    super(`The content is larger than ${maxBytes} bytes.`);
    this.name = "BlobTooLargeError";
    this.maxBytes = maxBytes;
  }
}

/** A blob that was to be read is not there. */
export class BlobMissingError extends Error {
  readonly key: string;
  constructor(key: string, options: { cause?: unknown } = {}) {
    super(`There is no blob ${key}.`, options);
    this.name = "BlobMissingError";
    this.key = key;
  }
}

/** @throws TypeError for a key that no blob can have. Keys are ours, so that this is a mistake in the program. */
export function assertBlobKey(key: string): void {
  if (!/^[a-z0-9_-]+(\/[a-z0-9_-]+)*$/.test(key) || key.length > 200)
    throw new TypeError(`Not a blob key: ${key}`);
}
