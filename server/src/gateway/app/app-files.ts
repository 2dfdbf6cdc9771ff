import { createHash } from "node:crypto";
import { readdir, readFile } from "node:fs/promises";
import { extname, join, relative, sep } from "node:path";
import { promisify } from "node:util";
import { brotliCompress, constants, gzip } from "node:zlib";

/** The built web app in memory: a few hundred kilobytes that every page load asks for. */
export interface AppFiles {
  /** The page that every route of the app starts from. */
  readonly page: AppFile;
  /** By path below the app's folder: `assets/index-1a2b3c4d.js`. */
  find(path: string): AppFile | undefined;
}

export interface AppFile {
  readonly contentType: string;
  /** Without quotes; differs whenever the bytes do. */
  readonly hash: string;
  /** The name changes with the bytes, so a copy is good for ever. */
  readonly isImmutable: boolean;
  readonly bytes: Uint8Array;
  /** The same bytes compressed, where that makes them smaller; made once, when first asked for. */
  compress(encoding: "br" | "gzip"): Promise<Uint8Array>;
}

/**
 * Reads what `npm run build -w @sluice/dashboard` wrote.
 * @returns undefined when the folder or its `index.html` is missing: the app was not built
 */
export async function openAppFiles(folder: string): Promise<AppFiles | undefined> {
  const entries = await readdir(folder, { recursive: true, withFileTypes: true }).catch(() => []);
  const files = new Map<string, AppFile>();
  for (const entry of entries) {
    const type = CONTENT_TYPES.get(extname(entry.name));
    if (!entry.isFile() || type === undefined) continue;
    const path = join(entry.parentPath, entry.name);
    const name = relative(folder, path).split(sep).join("/");
    files.set(name, createAppFile(await readFile(path), type, name.startsWith("assets/")));
  }
  const page = files.get("index.html");
  return page === undefined ? undefined : { page, find: (path) => files.get(path) };
}

const CONTENT_TYPES: ReadonlyMap<string, string> = new Map([
  [".html", "text/html; charset=utf-8"],
  [".js", "text/javascript; charset=utf-8"],
  [".css", "text/css; charset=utf-8"],
  [".svg", "image/svg+xml"],
  [".woff2", "font/woff2"],
]);

function createAppFile(bytes: Uint8Array, contentType: string, isImmutable: boolean): AppFile {
  const made = new Map<string, Promise<Uint8Array>>();
  return {
    contentType,
    isImmutable,
    bytes,
    hash: createHash("sha256").update(bytes).digest("base64url").slice(0, 22),
    compress(encoding) {
      let compressed = made.get(encoding);
      compressed ??= encoding === "br" ? brotli(bytes, BROTLI) : deflate(bytes, { level: 9 });
      made.set(encoding, compressed);
      return compressed;
    },
  };
}

const brotli = promisify(brotliCompress);
const deflate = promisify(gzip);
/** Quality 9 compresses the app in tens of milliseconds; 11 takes a second for two percent. */
const BROTLI = { params: { [constants.BROTLI_PARAM_QUALITY]: 9 } };
