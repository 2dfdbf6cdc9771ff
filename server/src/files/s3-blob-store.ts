import { createHash } from "node:crypto";
import type { Readable } from "node:stream";
import type { S3Client, S3ClientConfig } from "@aws-sdk/client-s3";
import { assertBlobKey, type BlobStore, BlobTooLargeError, type PutBlobOptions } from "./blob-store.ts";
import { iterateUntilAborted } from "./iterate-until-aborted.ts";

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

  return {
    async put(key, content, putOptions = {}) {
      const object = toObject(key);
      const written = await upload(sdk, client, object, content, putOptions);
      return { key, ...written, modifiedAt: Date.now() };
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

/** Parts of this size are held in memory while they are sent; 10,000 of them are the largest blob, 80 GiB. */
const PART_BYTES = 8 * 1024 * 1024;

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

/** One request for what fits into a part, else a multipart upload, which becomes visible at its end or not at all. */
async function upload(
  sdk: Sdk,
  client: S3Client,
  object: ObjectName,
  content: Uint8Array | Readable | AsyncIterable<Uint8Array>,
  { maxBytes = Number.POSITIVE_INFINITY, signal }: PutBlobOptions,
): Promise<{ size: number; sha256: string }> {
  const hash = createHash("sha256");
  let size = 0;
  const send = signal === undefined ? {} : { abortSignal: signal };
  signal?.throwIfAborted();
  let uploadId: string | undefined;
  const parts: { PartNumber: number; ETag: string | undefined }[] = [];
  const sendPart = async (part: Uint8Array): Promise<void> => {
    uploadId ??= (await client.send(new sdk.CreateMultipartUploadCommand(object), send)).UploadId;
    const PartNumber = parts.length + 1;
    const { ETag } = await client.send(
      new sdk.UploadPartCommand({ ...object, UploadId: uploadId, PartNumber, Body: part }),
      send,
    );
    parts.push({ PartNumber, ETag });
  };
  try {
    let gathered: Uint8Array[] = [];
    let gatheredBytes = 0;
    const chunks = content instanceof Uint8Array ? [content] : iterateUntilAborted(content, signal);
    for await (const chunk of chunks) {
      size += chunk.byteLength;
      if (size > maxBytes) throw new BlobTooLargeError(maxBytes);
      hash.update(chunk);
      gathered.push(chunk);
      gatheredBytes += chunk.byteLength;
      if (gatheredBytes < PART_BYTES) continue;
      await sendPart(Buffer.concat(gathered, gatheredBytes));
      gathered = [];
      gatheredBytes = 0;
    }
    const rest = Buffer.concat(gathered, gatheredBytes);
    if (uploadId === undefined) {
      await client.send(
        new sdk.PutObjectCommand({ ...object, Body: rest, ContentLength: rest.length }),
        send,
      );
    } else {
      if (rest.length > 0) await sendPart(rest);
      await client.send(
        new sdk.CompleteMultipartUploadCommand({
          ...object,
          UploadId: uploadId,
          MultipartUpload: { Parts: parts },
        }),
        send,
      );
    }
    return { size, sha256: hash.digest("hex") };
  } catch (error) {
    if (uploadId !== undefined) {
      const abort = new sdk.AbortMultipartUploadCommand({ ...object, UploadId: uploadId });
      // What an abort leaves behind costs room only; the bucket's lifecycle rule for unfinished uploads takes it.
      await client.send(abort).catch(() => {});
    }
    // The SDK has an error of its own for an abort; callers wait for the signal's reason.
    throw signal?.aborted ? signal.reason : error;
  }
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
