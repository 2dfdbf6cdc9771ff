import { abortable, openScope, type Scope } from "./abort.ts";
import { ApiError } from "./api-error.ts";
import type { RequiredConfig } from "./config.ts";
import { mapLimited } from "./map-limited.ts";
import { readData } from "./read-response.ts";
import { BULK_MS, type Call, QUICK_MS, send } from "./send.ts";
import { buildLifecycleHeaders, type StorageSettings } from "./storage-settings.ts";
import { getSurfaceUrl } from "./surfaces.ts";
import { detectContentType, openUploadSource, type SizedSource, type UploadSource } from "./upload-source.ts";
import type { Uploadable } from "./uploadable.ts";

export type UploadProgress = {
  uploadedBytes: number;
  /** Unknown for a stream until it has ended. */
  totalBytes: number | undefined;
};

/** Where an upload stands. Plain data: keep it, and hand it back as `resume` to go on after a crash. */
export type UploadSession = {
  uploadUrl: string;
  fileUrl: string;
  totalBytes: number;
  partBytes: number;
  parts: { partNumber: number; etag: string }[];
};

export type UploadOptions = {
  /** How long the file is kept, and who may read it. */
  lifecycle?: StorageSettings | undefined;
  /** Name of the file; that of a `File` by default. */
  fileName?: string | undefined;
  /** Unset: that of the `Blob`, else told by the first bytes. */
  contentType?: string | undefined;
  /** Called at the start and after each part (10 MiB). */
  onProgress?: ((progress: UploadProgress) => void) | undefined;
  /** Called when an upload in parts begins and after each part. */
  onSession?: ((session: UploadSession) => void) | undefined;
  /** Goes on where an upload of the same bytes stopped. */
  resume?: UploadSession | undefined;
  abortSignal?: AbortSignal | undefined;
  /** Milliseconds for the whole upload. */
  timeout?: number | undefined;
};

const PART_BYTES = 10 * 1024 * 1024;
const PARALLEL_PARTS = 4;

/**
 * Uploads bytes and returns the URL of the file. Up to 10 MiB go in one piece, more in parts, four at a time; each
 * part is tried again on its own. Memory holds the parts in flight at most, whatever the size.
 */
export async function uploadFile(
  config: RequiredConfig,
  value: Uploadable,
  options: UploadOptions = {},
): Promise<string> {
  const scope = openScope(
    options.abortSignal,
    options.timeout,
    `The upload took longer than ${options.timeout}ms`,
  );
  try {
    const upload = uploadSource({ config, options, scope }, openUploadSource(value));
    // A stream that says nothing more cannot be hurried: the wait for it is given up.
    return await abortable(upload, scope.signal);
  } catch (error) {
    scope.abort(error);
    throw error;
  } finally {
    scope.close();
  }
}

interface Upload {
  readonly config: RequiredConfig;
  readonly options: UploadOptions;
  readonly scope: Scope;
}

async function uploadSource(upload: Upload, source: UploadSource): Promise<string> {
  const { bytes } = source;
  if ("slice" in bytes) {
    const isOnePiece = bytes.size <= PART_BYTES && upload.options.resume === undefined;
    return isOnePiece ? uploadWhole(upload, source, bytes) : uploadParts(upload, source, bytes);
  }
  if (upload.options.resume !== undefined)
    throw new TypeError("A stream cannot be resumed: it cannot be read again");
  const parts = cutIntoParts(bytes);
  const first = await parts.next();
  const head = first.done ? new Uint8Array() : first.value;
  const described = { ...source, type: detectContentType(head) };
  if (head.length < PART_BYTES) return uploadWhole(upload, described, createMemorySource(head));
  return uploadStream(upload, described, head, parts);
}

async function uploadWhole(upload: Upload, source: UploadSource, bytes: SizedSource): Promise<string> {
  const { options, scope, config } = upload;
  options.onProgress?.({ uploadedBytes: 0, totalBytes: bytes.size });
  for (let failures = 0; ; failures++) {
    const { upload_url, file_url } = await initiate(upload, source, "initiate");
    try {
      await send(
        config,
        {
          method: "PUT",
          url: upload_url,
          headers: { "content-type": getType(upload, source) },
          body: bytes.slice(0, bytes.size),
          ...DIRECT,
          signal: scope.signal,
        },
        readData,
      );
      options.onProgress?.({ uploadedBytes: bytes.size, totalBytes: bytes.size });
      return file_url;
    } catch (error) {
      // An upload URL may serve once only: when a try was lost on the way, the next one may be refused.
      const isSpent = error instanceof ApiError && [403, 404, 409, 410].includes(error.status);
      if (!isSpent || failures > 0) throw error;
    }
  }
}

async function uploadParts(upload: Upload, source: UploadSource, bytes: SizedSource): Promise<string> {
  const session = upload.options.resume ?? (await begin(upload, source, bytes));
  if (session === undefined) return uploadWhole(upload, source, bytes);
  if (session.totalBytes !== bytes.size) {
    throw new TypeError(`The upload to resume has ${session.totalBytes} bytes, this file has ${bytes.size}`);
  }
  const done = new Map(session.parts.map((part) => [part.partNumber, part.etag]));
  const count = Math.ceil(bytes.size / session.partBytes);
  const missing = Array.from({ length: count }, (_, index) => index + 1).filter(
    (number) => !done.has(number),
  );
  const report = () => {
    const sizes = [...done.keys()].map((number) => getPartSize(session, number));
    const uploadedBytes = sizes.reduce((sum, size) => sum + size, 0);
    upload.options.onProgress?.({ uploadedBytes, totalBytes: bytes.size });
    upload.options.onSession?.({ ...session, parts: listParts(done) });
  };
  report();
  await mapLimited(missing, PARALLEL_PARTS, async (number) => {
    const start = (number - 1) * session.partBytes;
    const body = bytes.slice(start, start + getPartSize(session, number));
    done.set(number, await putPart(upload, session.uploadUrl, number, body));
    report();
  });
  return complete(upload, session, done);
}

async function uploadStream(
  upload: Upload,
  source: UploadSource,
  head: Uint8Array,
  rest: AsyncGenerator<Uint8Array>,
): Promise<string> {
  const reply = await initiate(upload, source, "initiate-multipart");
  const session = { uploadUrl: reply.upload_url, fileUrl: reply.file_url };
  const done = new Map<number, string>();
  let uploadedBytes = 0;
  upload.options.onProgress?.({ uploadedBytes, totalBytes: undefined });
  await mapLimited(prepend(head, rest), PARALLEL_PARTS, async (part, index) => {
    done.set(index + 1, await putPart(upload, session.uploadUrl, index + 1, part as BodyInit));
    uploadedBytes += part.length;
    upload.options.onProgress?.({ uploadedBytes, totalBytes: undefined });
  });
  upload.options.onProgress?.({ uploadedBytes, totalBytes: uploadedBytes });
  return complete(upload, session, done);
}

/** Starts an upload in parts; undefined where the server, or a proxy on the way, does not offer it. */
async function begin(
  upload: Upload,
  source: UploadSource,
  bytes: SizedSource,
): Promise<UploadSession | undefined> {
  try {
    const reply = await initiate(upload, source, "initiate-multipart");
    const { upload_url: uploadUrl, file_url: fileUrl } = reply;
    return { uploadUrl, fileUrl, totalBytes: bytes.size, partBytes: PART_BYTES, parts: [] };
  } catch (error) {
    if (error instanceof ApiError && [400, 404, 405, 501].includes(error.status)) return undefined;
    throw error;
  }
}

function initiate(
  upload: Upload,
  source: UploadSource,
  operation: "initiate" | "initiate-multipart",
): Promise<{ upload_url: string; file_url: string }> {
  const { config, options, scope } = upload;
  const type = getType(upload, source);
  const call: Call = {
    method: "POST",
    url: `${getSurfaceUrl(config.url, "rest")}/storage/upload/${operation}?storage_type=fal-cdn-v3`,
    headers: buildLifecycleHeaders("x-fal-object-lifecycle", options.lifecycle),
    body: JSON.stringify({
      content_type: type,
      file_name: options.fileName || source.name || createName(type),
    }),
    signal: scope.signal,
    attemptTimeoutMs: QUICK_MS,
  };
  return send(config, call, readData);
}

async function putPart(upload: Upload, uploadUrl: string, number: number, body: BodyInit): Promise<string> {
  const call: Call = {
    method: "PUT",
    url: insertPath(uploadUrl, `/${number}`),
    headers: { "content-type": "application/octet-stream" },
    body,
    ...DIRECT,
    signal: upload.scope.signal,
  };
  return send(upload.config, call, async (response) => {
    const data = await readData(response);
    const etag = data?.etag ?? response.headers.get("etag");
    if (!etag)
      throw new ApiError({ message: `Part ${number} got no ETag`, status: response.status, body: data });
    return etag;
  });
}

async function complete(
  upload: Upload,
  session: Pick<UploadSession, "uploadUrl" | "fileUrl">,
  done: ReadonlyMap<number, string>,
): Promise<string> {
  const call: Call = {
    method: "POST",
    url: insertPath(session.uploadUrl, "/complete"),
    headers: { "content-type": "application/json" },
    body: JSON.stringify({ parts: listParts(done) }),
    ...DIRECT,
    signal: upload.scope.signal,
  };
  await send(upload.config, call, readData);
  return session.fileUrl;
}

/** Calls to upload URLs: repeated more patiently than others, because so much is already there. */
const DIRECT = {
  isDirect: true,
  attemptTimeoutMs: BULK_MS,
  retry: {
    maxRetries: 8,
    baseDelay: 250,
    maxDelay: 10_000,
    retryableStatusCodes: [408, 429, 500, 502, 503, 504],
  },
} as const satisfies Partial<Call>;

/** Cuts a stream of chunks of any size into parts of equal size; the last one may be smaller. */
async function* cutIntoParts(chunks: AsyncIterable<Uint8Array>): AsyncGenerator<Uint8Array> {
  let part = new Uint8Array(PART_BYTES);
  let filled = 0;
  for await (const chunk of chunks) {
    const bytes = typeof chunk === "string" ? new TextEncoder().encode(chunk) : chunk;
    for (let at = 0; at < bytes.length; ) {
      const piece = bytes.subarray(at, at + PART_BYTES - filled);
      part.set(piece, filled);
      filled += piece.length;
      at += piece.length;
      if (filled === PART_BYTES) {
        yield part;
        part = new Uint8Array(PART_BYTES);
        filled = 0;
      }
    }
  }
  if (filled > 0) yield part.subarray(0, filled);
}

async function* prepend<T>(first: T, rest: AsyncGenerator<T>): AsyncGenerator<T> {
  try {
    yield first;
    yield* rest;
  } finally {
    await rest.return(undefined);
  }
}

function createMemorySource(bytes: Uint8Array): SizedSource {
  return { size: bytes.length, slice: (start, end) => bytes.subarray(start, end) as BodyInit };
}

function getPartSize(session: UploadSession, number: number): number {
  return Math.min(session.partBytes, session.totalBytes - (number - 1) * session.partBytes);
}

function listParts(done: ReadonlyMap<number, string>): UploadSession["parts"] {
  return [...done]
    .map(([partNumber, etag]) => ({ partNumber, etag }))
    .sort((a, b) => a.partNumber - b.partNumber);
}

function insertPath(url: string, segment: string): string {
  const parsed = new URL(url);
  parsed.pathname += segment;
  return parsed.href;
}

function getType(upload: Upload, source: UploadSource): string {
  return upload.options.contentType || source.type || "application/octet-stream";
}

/** A name whose ending tells the type: models look at it. */
function createName(type: string): string {
  const subtype = type.split("/")[1]?.split(/[-;+]/)[0] || "bin";
  return `${Date.now()}.${ENDINGS[subtype] ?? subtype}`;
}

/** Where the ending is not the name of the type. */
const ENDINGS: Readonly<Record<string, string>> = { octet: "bin", plain: "txt", quicktime: "mov", x: "bin" };
