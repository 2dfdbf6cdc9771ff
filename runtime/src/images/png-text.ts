import { crc32 } from "node:zlib";

const SIGNATURE_BYTES = 8;
/** Length, tag, 13 bytes of content, checksum. */
const HEADER_BYTES = 25;

/**
 * Adds an uncompressed `iTXt` chunk (UTF-8) to a PNG file, right after its header. libvips writes XMP as `zTXt`,
 * which the XMP specification does not allow and readers do not look into.
 */
export function addPngText(png: Uint8Array, keyword: string, text: string): Uint8Array {
  const start = SIGNATURE_BYTES + HEADER_BYTES;
  // Keyword, then: end of keyword, not compressed, compression method, no language, no translated keyword.
  const body = Buffer.concat([Buffer.from(keyword, "latin1"), Buffer.alloc(5), Buffer.from(text, "utf8")]);
  return Buffer.concat([png.subarray(0, start), createPngChunk("iTXt", body), png.subarray(start)]);
}

export function createPngChunk(tag: string, body: Uint8Array): Uint8Array {
  const chunk = Buffer.alloc(body.length + 12);
  chunk.writeUInt32BE(body.length, 0);
  chunk.write(tag, 4, "latin1");
  chunk.set(body, 8);
  chunk.writeUInt32BE(crc32(chunk.subarray(4, body.length + 8)), body.length + 8);
  return chunk;
}
