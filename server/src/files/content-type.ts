/**
 * Content types by name and by content. The tables hold what model APIs pass around; anything else is
 * `application/octet-stream` with the extension it came with.
 */

/** Content type of a file name by its extension; undefined when it has none that is known. */
export function findContentType(fileName: string): string | undefined {
  return BY_EXTENSION.get(getExtension(fileName));
}

/**
 * Makes a file name safe for a URL path and gives it an extension that fits the content type, because callers and
 * models look at it: only `[A-Za-z0-9._-]`, at most 100 characters, never empty.
 */
export function createSafeFileName(fileName: string, contentType: string): string {
  const name = fileName.slice(-400).replace(/^.*[/\\]/s, "");
  const extension = getExtension(name);
  const type = getEssence(contentType);
  const fitting = EXTENSIONS.get(type);
  const fits = fitting === undefined || fitting.includes(extension) || type.split("/")[1] === extension;
  // An extension of another type is replaced; one that nobody knows is part of the name.
  const isReplaced = extension !== "" && (fits || BY_EXTENSION.has(extension));
  const ending = sanitize(fits ? extension : (fitting[0] ?? "")).slice(0, 20);
  const suffix = ending === "" ? "" : `.${ending}`;
  const stem = sanitize(isReplaced ? name.slice(0, -extension.length - 1) : name);
  return `${(stem === "" ? "file" : stem).slice(0, MAX_NAME - suffix.length)}${suffix}`;
}

function sanitize(text: string): string {
  return text.replace(/[^A-Za-z0-9._-]+/g, "_").replace(/^[._]+/, "");
}

/** The type without parameters, lower case: `text/html; charset=utf-8` → `text/html`. */
export function getEssence(contentType: string): string {
  return (contentType.split(";", 1)[0] ?? "").trim().toLowerCase();
}

/** The content type as a header may carry it; `application/octet-stream` for what is not one. */
export function normalizeContentType(text: string | null | undefined): string {
  const trimmed = text?.trim() ?? "";
  return trimmed.length <= 200 && CONTENT_TYPE.test(trimmed) ? trimmed : DEFAULT_CONTENT_TYPE;
}

export const DEFAULT_CONTENT_TYPE = "application/octet-stream";

/**
 * Content type by the first bytes; undefined when they are of no known kind. 512 bytes are enough. A picture that
 * calls itself something else is still the picture: models decide by this, not by what a caller or server declared.
 */
export function sniffContentType(bytes: Uint8Array): string | undefined {
  const head = Buffer.from(bytes.buffer, bytes.byteOffset, Math.min(bytes.byteLength, 512));
  const text = head.toString("latin1");
  for (const [offset, magic, type] of MAGIC) if (text.startsWith(magic, offset)) return type;
  if (text.startsWith("RIFF")) return RIFF.get(text.slice(8, 12));
  if (text.startsWith("ftyp", 4)) return findBrand(text);
  if (text.startsWith("\x1a\x45\xdf\xa3")) return text.includes("webm") ? "video/webm" : "video/x-matroska";
  if (head[0] === 0xff && ((head[1] ?? 0) & 0xe6) === 0xe2) return "audio/mpeg";
  const start = text.replace(/^\xef\xbb\xbf/, "").trimStart();
  if (/^(?:<\?xml[^>]*>\s*)?(?:<!--[\s\S]*?-->\s*)*(?:<!doctype svg[^>]*>\s*)?<svg[\s>]/i.test(start))
    return "image/svg+xml";
  if (/^(?:<!doctype html|<html)[\s>]/i.test(start)) return "text/html";
  return undefined;
}

const MAX_NAME = 100;
const CONTENT_TYPE =
  /^[\w!#$&^.+-]+\/[\w!#$&^.+-]+(?:\s*;\s*[\w!#$&^.+-]+=(?:[\w!#$&^.+-]+|"[\x20-\x7e]*"))*$/;

const EXTENSIONS: ReadonlyMap<string, readonly string[]> = new Map([
  ["image/jpeg", ["jpeg", "jpg", "jpe", "jfif"]],
  ["image/png", ["png"]],
  ["image/webp", ["webp"]],
  ["image/gif", ["gif"]],
  ["image/avif", ["avif"]],
  ["image/heic", ["heic"]],
  ["image/heif", ["heif"]],
  ["image/jxl", ["jxl"]],
  ["image/bmp", ["bmp"]],
  ["image/tiff", ["tiff", "tif"]],
  ["image/svg+xml", ["svg"]],
  ["image/x-icon", ["ico"]],
  ["audio/mpeg", ["mp3"]],
  ["audio/wav", ["wav"]],
  ["audio/x-wav", ["wav"]],
  ["audio/flac", ["flac"]],
  ["audio/ogg", ["ogg", "oga", "opus"]],
  ["audio/mp4", ["m4a"]],
  ["audio/x-m4a", ["m4a"]],
  ["audio/aac", ["aac"]],
  ["audio/webm", ["webm", "weba"]],
  ["video/mp4", ["mp4", "m4v"]],
  ["video/webm", ["webm"]],
  ["video/quicktime", ["mov"]],
  ["video/x-matroska", ["mkv"]],
  ["video/x-msvideo", ["avi"]],
  ["text/plain", ["txt", "text", "log", "md"]],
  ["text/html", ["html", "htm"]],
  ["text/css", ["css"]],
  ["text/csv", ["csv"]],
  ["text/markdown", ["md"]],
  ["text/javascript", ["js", "mjs"]],
  ["text/xml", ["xml"]],
  ["application/xml", ["xml"]],
  ["application/xhtml+xml", ["xhtml"]],
  ["application/json", ["json"]],
  ["application/pdf", ["pdf"]],
  ["application/zip", ["zip", "npz"]],
  ["application/gzip", ["gz", "tgz"]],
  ["application/x-tar", ["tar"]],
  ["application/wasm", ["wasm"]],
  ["model/gltf-binary", ["glb"]],
  ["model/gltf+json", ["gltf"]],
]);

const BY_EXTENSION: ReadonlyMap<string, string> = new Map(
  // Backwards, so that the first type of the table keeps an extension that several have.
  [...EXTENSIONS].reverse().flatMap(([type, extensions]) => extensions.map((extension) => [extension, type])),
);

const MAGIC: readonly (readonly [offset: number, magic: string, type: string])[] = [
  [0, "\x89PNG\r\n\x1a\n", "image/png"],
  [0, "\xff\xd8\xff", "image/jpeg"],
  [0, "GIF87a", "image/gif"],
  [0, "GIF89a", "image/gif"],
  [0, "BM", "image/bmp"],
  [0, "II*\0", "image/tiff"],
  [0, "MM\0*", "image/tiff"],
  [0, "\0\0\x01\0", "image/x-icon"],
  [0, "\xff\x0a", "image/jxl"],
  [0, "\0\0\0\x0cJXL \r\n\x87\n", "image/jxl"],
  [0, "ID3", "audio/mpeg"],
  [0, "fLaC", "audio/flac"],
  [0, "OggS", "audio/ogg"],
  [0, "%PDF-", "application/pdf"],
  [0, "PK\x03\x04", "application/zip"],
  [0, "PK\x05\x06", "application/zip"],
  [0, "\x1f\x8b\x08", "application/gzip"],
  [257, "ustar", "application/x-tar"],
  [0, "glTF", "model/gltf-binary"],
];

const RIFF: ReadonlyMap<string, string> = new Map([
  ["WEBP", "image/webp"],
  ["WAVE", "audio/wav"],
  ["AVI ", "video/x-msvideo"],
]);

function findBrand(text: string): string {
  const brand = text.slice(8, 12);
  if (brand === "avif" || brand === "avis") return "image/avif";
  if (/^(?:heic|heix|hevc|hevx)$/.test(brand)) return "image/heic";
  if (/^(?:mif1|msf1)$/.test(brand)) return text.slice(16, 64).includes("avif") ? "image/avif" : "image/heif";
  if (brand === "qt  ") return "video/quicktime";
  if (/^M4[AB]/.test(brand)) return "audio/mp4";
  return "video/mp4";
}

function getExtension(fileName: string): string {
  return /\.([A-Za-z0-9_+-]+)$/.exec(fileName)?.[1]?.toLowerCase() ?? "";
}
