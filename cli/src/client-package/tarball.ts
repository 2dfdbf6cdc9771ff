import { gzipSync } from "node:zlib";

export interface TarEntry {
  /** At most 100 bytes, as in `package/dist/index.js`. */
  readonly path: string;
  readonly bytes: Uint8Array;
}

const BLOCK = 512;
/** As npm writes it: the same files give the same bytes whenever they are packed. */
const MODIFIED_AT = 499_162_500;

/** Files as a gzipped tar archive (ustar), in the order given. @throws RangeError for a path that is too long */
export function createTarball(entries: readonly TarEntry[]): Uint8Array {
  const blocks = entries.flatMap(({ path, bytes }) => {
    const padding = new Uint8Array((BLOCK - (bytes.byteLength % BLOCK)) % BLOCK);
    return [createHeader(path, bytes.byteLength), bytes, padding];
  });
  return gzipSync(Buffer.concat([...blocks, new Uint8Array(2 * BLOCK)]), { level: 9 });
}

function createHeader(path: string, size: number): Uint8Array {
  const header = Buffer.alloc(BLOCK);
  if (Buffer.byteLength(path) > 100) throw new RangeError(`${path} is too long for a tar archive`);
  const octal = (value: number, length: number): string => `${value.toString(8).padStart(length - 1, "0")}\0`;
  header.write(path, 0);
  header.write(octal(0o644, 8), 100);
  header.write(octal(0, 8), 108);
  header.write(octal(0, 8), 116);
  header.write(octal(size, 12), 124);
  header.write(octal(MODIFIED_AT, 12), 136);
  header.write("        ", 148); // the checksum counts as spaces
  header.write("0", 156);
  header.write("ustar\x0000", 257, "latin1");
  let sum = 0;
  for (const byte of header) sum += byte;
  header.write(`${sum.toString(8).padStart(6, "0")}\0 `, 148);
  return header;
}
