import { type FileHandle, open, readdir, stat } from "node:fs/promises";
import { join } from "node:path";
import { Readable } from "node:stream";

/**
 * A folder whose files, one after the other, are one content. Each is named after the offset of its first byte, in 16
 * digits, so that names sort as the bytes do and a range is found without a look at every file. None is empty.
 */
export function nameSegment(offset: number): string {
  return offset.toString().padStart(16, "0");
}

/** Size of the whole content in bytes. */
export async function measureSegments(folder: string): Promise<number> {
  const last = (await listSegments(folder)).at(-1);
  return last === undefined ? 0 : last.offset + (await stat(last.path)).size;
}

/** @param range inclusive on both ends and inside the content. Default: everything */
export async function openSegments(
  folder: string,
  range: { readonly start: number; readonly end: number } = { start: 0, end: Number.MAX_SAFE_INTEGER },
): Promise<Readable> {
  const segments = await listSegments(folder);
  const pieces = segments.flatMap(({ path, offset }, index) => {
    const start = Math.max(0, range.start - offset);
    const next = segments[index + 1]?.offset ?? Number.POSITIVE_INFINITY;
    return offset > range.end || next <= range.start ? [] : [{ path, start, end: range.end - offset }];
  });
  // Opened before anything is answered: what is gone by then is absent, not broken.
  const [first] = pieces;
  const opened = first === undefined ? undefined : await open(first.path, "r");
  const stream = Readable.from(readPieces(pieces, opened), { objectMode: false });
  // A stream that is left before its first read never begins, and so would not end its file either.
  stream.once("close", () => void opened?.close().catch(() => {}));
  return stream;
}

interface Piece {
  readonly path: string;
  readonly start: number;
  readonly end: number;
}

/** One file is open at a time. A piece that goes away while others are read breaks the stream: it is never short. */
async function* readPieces(
  pieces: readonly Piece[],
  first: FileHandle | undefined,
): AsyncGenerator<Uint8Array, void, undefined> {
  let handle = first;
  try {
    for (const { path, start, end } of pieces) {
      handle ??= await open(path, "r");
      yield* handle.createReadStream({ start, end, highWaterMark: 256 * 1024 });
      handle = undefined;
    }
  } finally {
    await handle?.close().catch(() => {});
  }
}

async function listSegments(folder: string): Promise<{ readonly path: string; readonly offset: number }[]> {
  const names = (await readdir(folder)).sort();
  return names.map((name) => ({ path: join(folder, name), offset: Number(name) }));
}
