import type { Untyped } from "./untyped.ts";

/** What can be uploaded: files, bytes in memory (Node's Buffer among them), and streams of bytes. */
export type Uploadable =
  | Blob
  | ArrayBuffer
  | ArrayBufferView
  | ReadableStream<Uint8Array>
  | AsyncIterable<Uint8Array>;

/** Whether a value in an input stands for bytes. */
export function isUploadable(value: unknown): value is Uploadable {
  if (typeof value !== "object" || value === null) return false;
  return (
    value instanceof Blob ||
    value instanceof ArrayBuffer ||
    ArrayBuffer.isView(value) ||
    isStream(value) ||
    Symbol.asyncIterator in value
  );
}

export function isStream(value: object): value is ReadableStream<Uint8Array> {
  return typeof (value as Untyped).getReader === "function";
}
