import { sniffContentType } from "./content-type.ts";

/** What the header of a picture says, before anything is decoded. */
export type ImageInspection =
  | { readonly kind: "image"; readonly contentType: string; readonly width: number; readonly height: number }
  /** It begins like a picture of this type, but its header is cut off or says nothing that can be. */
  | { readonly kind: "broken"; readonly contentType: string }
  /** Not a picture, or of a type whose size is not read here. */
  | { readonly kind: "unknown" };

/**
 * Reads width and height of PNG, JPEG, GIF, WebP and BMP from their headers: no allocation, a bounded number of steps,
 * any bytes at all. A small file can claim a size that takes gigabytes to decode; this is how one knows before.
 */
export function inspectImage(bytes: Uint8Array): ImageInspection {
  const contentType = sniffContentType(bytes);
  const read = contentType === undefined ? undefined : READERS.get(contentType);
  if (contentType === undefined || read === undefined) return { kind: "unknown" };
  const size = read(new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength));
  if (size === undefined || size.width < 1 || size.height < 1) return { kind: "broken", contentType };
  return { kind: "image", contentType, ...size };
}

interface Size {
  readonly width: number;
  readonly height: number;
}

const READERS: ReadonlyMap<string, (view: DataView) => Size | undefined> = new Map([
  ["image/png", readPng],
  ["image/jpeg", readJpeg],
  ["image/gif", readGif],
  ["image/webp", readWebp],
  ["image/bmp", readBmp],
]);

/** Signature, then IHDR, which must be first (PNG 3rd edition, 5.6). */
function readPng(view: DataView): Size | undefined {
  if (view.byteLength < 33 || readText(view, 12, 4) !== "IHDR") return undefined;
  return { width: view.getUint32(16), height: view.getUint32(20) };
}

/** Segments up to the first start of frame (ITU T.81, B.2.2). */
function readJpeg(view: DataView): Size | undefined {
  let at = 2;
  while (at + 9 <= view.byteLength) {
    if (view.getUint8(at) !== 0xff) return undefined;
    const marker = view.getUint8(at + 1);
    if (marker === 0xff) {
      at += 1;
      continue;
    }
    const isFrame = marker >= 0xc0 && marker <= 0xcf && marker !== 0xc4 && marker !== 0xc8 && marker !== 0xcc;
    if (isFrame) return { height: view.getUint16(at + 5), width: view.getUint16(at + 7) };
    if (marker === 0xd9 || marker === 0xda) return undefined;
    const isAlone = marker === 0x01 || (marker >= 0xd0 && marker <= 0xd8);
    const length = isAlone ? 0 : view.getUint16(at + 2);
    if (!isAlone && length < 2) return undefined;
    at += 2 + length;
  }
  return undefined;
}

/** The logical screen (GIF89a, 18). */
function readGif(view: DataView): Size | undefined {
  if (view.byteLength < 13) return undefined;
  return { width: view.getUint16(6, true), height: view.getUint16(8, true) };
}

/** The first chunk: VP8X has the canvas, VP8 and VP8L the frame (RFC 9649). */
function readWebp(view: DataView): Size | undefined {
  if (view.byteLength < 30) return undefined;
  switch (readText(view, 12, 4)) {
    case "VP8 ":
      return { width: view.getUint16(26, true) & 0x3fff, height: view.getUint16(28, true) & 0x3fff };
    case "VP8L": {
      const bits = view.getUint32(21, true);
      return { width: (bits & 0x3fff) + 1, height: ((bits >>> 14) & 0x3fff) + 1 };
    }
    case "VP8X":
      return { width: readUint24(view, 24) + 1, height: readUint24(view, 27) + 1 };
    default:
      return undefined;
  }
}

/** BITMAPCOREHEADER has 16-bit sizes, all later headers signed 32-bit ones; a negative height means top first. */
function readBmp(view: DataView): Size | undefined {
  if (view.byteLength < 26) return undefined;
  if (view.getUint32(14, true) === 12)
    return { width: view.getUint16(18, true), height: view.getUint16(20, true) };
  return { width: view.getInt32(18, true), height: Math.abs(view.getInt32(22, true)) };
}

function readUint24(view: DataView, at: number): number {
  return view.getUint16(at, true) | (view.getUint8(at + 2) << 16);
}

function readText(view: DataView, at: number, length: number): string {
  return Buffer.from(view.buffer, view.byteOffset + at, length).toString("latin1");
}
