import type { FileHandle } from "node:fs/promises";

/** https://sqlite.org/fileformat2.html#walformat: the file's header, then frames of a header and a page. */
const HEADER_BYTES = 32;
const FRAME_HEADER_BYTES = 24;
/** The database's default, which this program never changes. */
const PAGE_BYTES = 4_096;

/**
 * Whether the write-ahead log holds at least this many frames. The file does not shrink when the log starts over,
 * so its size says nothing; a frame counts when it carries the salt of the log's present header.
 */
export async function hasWalFrame(wal: FileHandle, frames: number): Promise<boolean> {
  const header = Buffer.alloc(HEADER_BYTES);
  const frame = Buffer.alloc(FRAME_HEADER_BYTES);
  const position = HEADER_BYTES + (frames - 1) * (FRAME_HEADER_BYTES + PAGE_BYTES);
  if ((await wal.read(frame, 0, FRAME_HEADER_BYTES, position)).bytesRead < FRAME_HEADER_BYTES) return false;
  if ((await wal.read(header, 0, HEADER_BYTES, 0)).bytesRead < HEADER_BYTES) return false;
  return header.subarray(16, 24).equals(frame.subarray(8, 16));
}
