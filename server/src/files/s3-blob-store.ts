import { createHash } from "node:crypto";
import type { Readable } from "node:stream";
import type { S3Client, S3ClientConfig } from "@aws-sdk/client-s3";
import { assertBlobKey, BlobMissingError, type BlobStore, BlobTooLargeError } from "./blob-store.ts";
import { iterateUntilAborted } from "./iterate-until-aborted.ts";
import { planPieces, type Slice } from "./plan-pieces.ts";

/**
 * Blobs in a bucket of S3 or of anything that speaks its protocol.
 *
 * `url` is `s3://bucket/prefix?region=eu-central-1&endpoint=https://minio.example.org`. Prefix, region and endpoint may
 * be left out; with an endpoint the bucket goes into the path, unless `path_style=false`. Credentials come from where
 * the AWS SDK looks for them: environment, profile, instance role. The SDK is loaded here, not before.
 *
 * @throws StorageUrlError
 */
export async function openS3BlobStore(options: {
  readonly url: string;
  readonly client?: S3ClientConfig;
}): Promise<BlobStore & AsyncDisposable> {
  const { bucket, prefix, config } = parseStorageUrl(options.url);
  const sdk = await loadSdk();
  const client = new sdk.S3Client({ ...config, ...options.client });
  // A wrong name or missing credentials are said now, not when the first file is lost.
  try {
    await client.send(new sdk.ListObjectsV2Command({ Bucket: bucket, Prefix: prefix, MaxKeys: 1 }));
  } catch (cause) {
    client.destroy();
    const { name, message } = cause as Error;
    throw new StorageUrlError(`names a storage that cannot be read (${name}: ${message})`, { cause });
  }
  const toObject = (key: string): { Bucket: string; Key: string } => {
    assertBlobKey(key);
    return { Bucket: bucket, Key: prefix + key };
  };
  const get = async (key: string, range?: { readonly start: number; readonly end: number }) => {
    const object = toObject(key);
    return await orUndefined(
      client.send(
        new sdk.GetObjectCommand({
          ...object,
          ...(range === undefined ? {} : { Range: `bytes=${range.start}-${range.end}` }),
        }),
      ),
    );
  };
  const find: BlobStore["find"] = async (key) => {
    const head = await orUndefined(client.send(new sdk.HeadObjectCommand(toObject(key))));
    if (head === undefined) return undefined;
    return { key, size: head.ContentLength ?? 0, modifiedAt: head.LastModified?.getTime() ?? 0 };
  };

  const copySlice = async (parts: PartWriter, partNumber: number, slice: Slice): Promise<void> => {
    const { Bucket, Key } = toObject(slice.key);
    const source = `${Bucket}/${Key.split("/").map(encodeURIComponent).join("/")}`;
    const copied = orUndefined(
      parts.copy(partNumber, source, `bytes=${slice.start}-${slice.end}`).then(() => true),
    );
    if ((await copied) === undefined) throw new BlobMissingError(slice.key);
  };
  const readSlices = async (slices: readonly Slice[]): Promise<Uint8Array> => {
    const pieces: Uint8Array[] = [];
    for (const slice of slices) {
      const bytes = await (await get(slice.key, slice))?.Body?.transformToByteArray();
      if (bytes === undefined) throw new BlobMissingError(slice.key);
      pieces.push(bytes);
    }
    return Buffer.concat(pieces);
  };

  const blobs: BlobStore & AsyncDisposable = {
    async put(key, content, { maxBytes, signal } = {}) {
      const storage = { sdk, client, object: toObject(key), signal };
      const written = await orAborted(upload(storage, content, maxBytes), signal);
      return { key, ...written, modifiedAt: Date.now() };
    },
    async join(key, sources, { signal } = {}) {
      const size = sources.reduce((sum, source) => sum + source.size, 0);
      if (size === 0) return await blobs.put(key, new Uint8Array());
      const storage = { sdk, client, object: toObject(key), signal };
      const filling = uploadInParts(storage, async (parts) => {
        let partNumber = 0;
        const lanes = planPieces(sources)[Symbol.iterator]();
        const fillLane = async (): Promise<void> => {
          for (const piece of lanes) {
            partNumber += 1;
            if (piece.kind === "copy") await copySlice(parts, partNumber, piece.slice);
            else await parts.send(partNumber, await readSlices(piece.slices));
          }
        };
        await Promise.all(Array.from({ length: JOINS_AT_ONCE }, fillLane));
      });
      await orAborted(filling, signal);
      return { key, size, modifiedAt: Date.now() };
    },
    // The SDK's body is a Node stream in Node.
    open: async (key, range) => (await get(key, range))?.Body as Readable | undefined,
    read: async (key) => await (await get(key))?.Body?.transformToByteArray(),
    find,
    async remove(key) {
      const object = toObject(key);
      if ((await find(key)) === undefined) return false;
      await client.send(new sdk.DeleteObjectCommand(object));
      return true;
    },
    async *list(keyPrefix) {
      let token: string | undefined;
      do {
        const page = await client.send(
          new sdk.ListObjectsV2Command({
            Bucket: bucket,
            Prefix: prefix + keyPrefix,
            ContinuationToken: token,
          }),
        );
        for (const { Key = "", Size = 0, LastModified } of page.Contents ?? [])
          yield { key: Key.slice(prefix.length), size: Size, modifiedAt: LastModified?.getTime() ?? 0 };
        token = page.IsTruncated ? page.NextContinuationToken : undefined;
      } while (token !== undefined);
    },
    getFreeBytes: async () => undefined,
    async [Symbol.asyncDispose]() {
      client.destroy();
    },
  };
  return blobs;
}

/** The storage's URL cannot be used: says what is wrong and what it should look like. */
export class StorageUrlError extends Error {
  constructor(problem: string, options: { cause?: unknown } = {}) {
    super(`SLUICE_STORAGE_URL ${problem}; for example s3://bucket/prefix?region=eu-central-1.`, options);
    this.name = "StorageUrlError";
  }
}

type Sdk = typeof import("@aws-sdk/client-s3");
type ObjectName = { readonly Bucket: string; readonly Key: string };

/** Two parts of this size are held in memory while they are sent; 10,000 of them are the largest blob, 80 GiB. */
const PART_BYTES = 8 * 1024 * 1024;
/** So many pieces of a joined blob are copied or sent at the same time. */
const JOINS_AT_ONCE = 8;

async function loadSdk(): Promise<Sdk> {
  try {
    return await import("@aws-sdk/client-s3");
  } catch (cause) {
    throw new Error(
      "Files in S3 need the package @aws-sdk/client-s3: run `npm install @aws-sdk/client-s3`.",
      {
        cause,
      },
    );
  }
}

function parseStorageUrl(text: string): { bucket: string; prefix: string; config: S3ClientConfig } {
  const url = URL.canParse(text) ? new URL(text) : undefined;
  if (url?.protocol !== "s3:" || url.hostname === "")
    throw new StorageUrlError("must begin with s3://bucket");
  const endpoint = url.searchParams.get("endpoint");
  if (endpoint !== null && !URL.canParse(endpoint))
    throw new StorageUrlError("has an endpoint that is no URL");
  const folder = url.pathname.replace(/^\/+|\/+$/g, "");
  const forcePathStyle = endpoint !== null && url.searchParams.get("path_style") !== "false";
  // Services that only speak the protocol name no region, but the signature needs one.
  const region = url.searchParams.get("region") ?? (endpoint === null ? undefined : "us-east-1");
  return {
    bucket: url.hostname,
    prefix: folder === "" ? "" : `${folder}/`,
    config: {
      ...(endpoint === null ? {} : { endpoint }),
      ...(region === undefined ? {} : { region }),
      forcePathStyle,
      // Newer checksums are not known everywhere; what was written is hashed by us.
      requestChecksumCalculation: "WHEN_REQUIRED",
      responseChecksumValidation: "WHEN_REQUIRED",
    },
  };
}

interface Storage {
  readonly sdk: Sdk;
  readonly client: S3Client;
  readonly object: ObjectName;
  readonly signal: AbortSignal | undefined;
}

/** One request for what fits into a part, else a multipart upload. */
async function upload(
  storage: Storage,
  content: Uint8Array | Readable | AsyncIterable<Uint8Array>,
  maxBytes = Number.POSITIVE_INFINITY,
): Promise<{ size: number; sha256: string }> {
  const { sdk, client, object, signal } = storage;
  signal?.throwIfAborted();
  const hash = createHash("sha256");
  let size = 0;
  const chunks = content instanceof Uint8Array ? [content] : iterateUntilAborted(content, signal);
  const pieces = gather(chunks, (chunk) => {
    size += chunk.byteLength;
    if (size > maxBytes) throw new BlobTooLargeError(maxBytes);
    hash.update(chunk);
  });
  const { value: first = Buffer.of() } = await pieces.next();
  const { value: second } = await pieces.next();
  if (second === undefined) {
    const put = new sdk.PutObjectCommand({ ...object, Body: first, ContentLength: first.length });
    await client.send(put, toSendOptions(signal));
  } else {
    await uploadInParts(storage, async (parts) => {
      await parts.send(1, first);
      await parts.send(2, second);
      let partNumber = 3;
      for await (const piece of pieces) await parts.send(partNumber++, piece);
    });
  }
  return { size, sha256: hash.digest("hex") };
}

/** Pieces of a part's size; only the last may be smaller. */
async function* gather(
  chunks: Iterable<Uint8Array> | AsyncIterable<Uint8Array>,
  onChunk: (chunk: Uint8Array) => void,
): AsyncGenerator<Buffer, void, undefined> {
  let gathered: Uint8Array[] = [];
  let gatheredBytes = 0;
  for await (const chunk of chunks) {
    onChunk(chunk);
    gathered.push(chunk);
    gatheredBytes += chunk.byteLength;
    if (gatheredBytes < PART_BYTES) continue;
    yield Buffer.concat(gathered, gatheredBytes);
    gathered = [];
    gatheredBytes = 0;
  }
  if (gatheredBytes > 0) yield Buffer.concat(gathered, gatheredBytes);
}

interface PartWriter {
  send(partNumber: number, bytes: Uint8Array): Promise<void>;
  /** Copied inside the storage. */
  copy(partNumber: number, source: string, range: string): Promise<void>;
}

/** An object in parts: it becomes visible when `fill` has ended, or not at all. */
async function uploadInParts(
  { sdk, client, object, signal }: Storage,
  fill: (parts: PartWriter) => Promise<void>,
): Promise<void> {
  const options = toSendOptions(signal);
  const { UploadId } = await client.send(new sdk.CreateMultipartUploadCommand(object), options);
  const parts: { PartNumber: number; ETag: string | undefined }[] = [];
  try {
    await fill({
      async send(PartNumber, Body) {
        const part = new sdk.UploadPartCommand({ ...object, UploadId, PartNumber, Body });
        parts.push({ PartNumber, ETag: (await client.send(part, options)).ETag });
      },
      async copy(PartNumber, CopySource, CopySourceRange) {
        const part = new sdk.UploadPartCopyCommand({
          ...object,
          UploadId,
          PartNumber,
          CopySource,
          CopySourceRange,
        });
        parts.push({ PartNumber, ETag: (await client.send(part, options)).CopyPartResult?.ETag });
      },
    });
    parts.sort((a, b) => a.PartNumber - b.PartNumber);
    await client.send(
      new sdk.CompleteMultipartUploadCommand({ ...object, UploadId, MultipartUpload: { Parts: parts } }),
      options,
    );
  } catch (error) {
    const abort = new sdk.AbortMultipartUploadCommand({ ...object, UploadId });
    // What an abort leaves behind costs room only; the bucket's lifecycle rule for unfinished uploads takes it.
    await client.send(abort).catch(() => {});
    throw error;
  }
}

function toSendOptions(signal: AbortSignal | undefined): { abortSignal?: AbortSignal } {
  return signal === undefined ? {} : { abortSignal: signal };
}

/** The SDK has an error of its own for an abort; callers wait for the signal's reason. */
async function orAborted<T>(answer: Promise<T>, signal: AbortSignal | undefined): Promise<T> {
  return await answer.catch((error: unknown) => {
    throw signal?.aborted ? signal.reason : error;
  });
}

async function orUndefined<T>(answer: Promise<T>): Promise<T | undefined> {
  try {
    return await answer;
  } catch (error) {
    const { $metadata } = error as { $metadata?: { httpStatusCode?: number } };
    if ($metadata?.httpStatusCode === 404 && (error as Error).name !== "NoSuchBucket") return undefined;
    throw error;
  }
}
