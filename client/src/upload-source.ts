import { isStream, isUploadable, type Uploadable } from "./uploadable.ts";

/** Bytes that can be read again, piece by piece. */
export interface SizedSource {
  readonly size: number;
  slice(start: number, end: number): BodyInit;
}

export interface UploadSource {
  readonly bytes: SizedSource | AsyncIterable<Uint8Array>;
  /** Content type, as far as the value tells. */
  readonly type: string | undefined;
  readonly name: string | undefined;
}

export function openUploadSource(value: Uploadable): UploadSource {
  if (value instanceof Blob) {
    // Not `File`: some runtimes have no global of that name.
    const { name } = value as { name?: string };
    return {
      bytes: { size: value.size, slice: (start, end) => value.slice(start, end) },
      type: value.type,
      name,
    };
  }
  if (value instanceof ArrayBuffer || ArrayBuffer.isView(value)) {
    const bytes = ArrayBuffer.isView(value)
      ? new Uint8Array(value.buffer as ArrayBuffer, value.byteOffset, value.byteLength)
      : new Uint8Array(value);
    const source: SizedSource = { size: bytes.length, slice: (start, end) => bytes.subarray(start, end) };
    return { bytes: source, type: detectContentType(bytes), name: undefined };
  }
  if (!isUploadable(value))
    throw new TypeError("Only a Blob, a File, bytes or a stream of bytes can be uploaded");
  return { bytes: isStream(value) ? iterate(value) : value, type: undefined, name: undefined };
}

/** Tells the common kinds of media by their first bytes. */
export function detectContentType(bytes: Uint8Array): string | undefined {
  const head = String.fromCharCode(...bytes.subarray(0, 12));
  return SIGNATURES.find(([pattern]) => pattern.test(head))?.[1];
}

const SIGNATURES: readonly (readonly [RegExp, string])[] = [
  [/^\x89PNG/, "image/png"],
  [/^\xff\xd8\xff/, "image/jpeg"],
  [/^GIF8/, "image/gif"],
  [/^RIFF[\s\S]{4}WEBP/, "image/webp"],
  [/^RIFF[\s\S]{4}WAVE/, "audio/wav"],
  [/^(ID3|\xff[\xf2\xf3\xfb])/, "audio/mpeg"],
  [/^[\s\S]{4}ftypavif/, "image/avif"],
  [/^[\s\S]{4}ftyp/, "video/mp4"],
  [/^[\s\S]E\xdf\xa3/, "video/webm"],
  [/^PK\W{2}/, "application/zip"],
];

/** Not every runtime can iterate over a web stream. */
async function* iterate(stream: ReadableStream<Uint8Array>): AsyncGenerator<Uint8Array> {
  const reader = stream.getReader();
  try {
    for (;;) {
      const { done, value } = await reader.read();
      if (done) return;
      yield value;
    }
  } finally {
    await reader.cancel().catch(() => undefined);
  }
}
