import type { BlobSource } from "./blob-store.ts";

/** Some bytes of a blob, `start` and `end` inclusive. */
export interface Slice {
  readonly key: string;
  readonly start: number;
  readonly end: number;
}

/** A part of a multipart upload: copied inside the storage, or read and sent, because it is too small to be copied. */
export type Piece =
  | { readonly kind: "copy"; readonly slice: Slice }
  | { readonly kind: "send"; readonly slices: readonly Slice[] };

/** S3: every part but the last has at least 5 MiB, and one copy takes 5 GiB at most. */
const MIN_PART_BYTES = 5 * 1024 ** 2;
const MAX_COPY_BYTES = 5 * 1024 ** 3;

/** How blobs of any sizes become the parts of one object of S3, with as few bytes read as can be. */
export function planPieces(sources: readonly BlobSource[]): Piece[] {
  const pieces: Piece[] = [];
  let small: Slice[] = [];
  let smallBytes = 0;
  const sendSmall = (): void => {
    if (smallBytes > 0) pieces.push({ kind: "send", slices: small });
    small = [];
    smallBytes = 0;
  };
  const filled = sources.filter(({ size }) => size > 0);
  for (const [index, { key, size }] of filled.entries()) {
    const isLast = index === filled.length - 1;
    for (let start = 0; start < size; ) {
      const rest = size - start;
      const isCopied = smallBytes === 0 && (rest >= MIN_PART_BYTES || isLast);
      const length = isCopied ? measureCopy(rest) : Math.min(rest, MIN_PART_BYTES - smallBytes);
      const slice = { key, start, end: start + length - 1 };
      start += length;
      if (isCopied) {
        pieces.push({ kind: "copy", slice });
        continue;
      }
      small.push(slice);
      smallBytes += length;
      if (smallBytes === MIN_PART_BYTES) sendSmall();
    }
  }
  sendSmall();
  return pieces;
}

/** Leaves nothing, or enough for another part. */
function measureCopy(bytes: number): number {
  return bytes <= MAX_COPY_BYTES ? bytes : Math.min(MAX_COPY_BYTES, bytes - MIN_PART_BYTES);
}
