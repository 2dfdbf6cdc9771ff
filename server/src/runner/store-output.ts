import type { JsonSchema } from "@sluice/runtime/model";
import type { ArtifactMessage } from "@sluice/runtime/worker/messages";
import { createSafeFileName, normalizeContentType } from "../files/content-type.ts";
import { stringifyWithFileLinks } from "../files/file-links.ts";
import type { FileAcl, FileStore } from "../files/file-store.ts";
import type { AccountId, RequestId } from "../ids.ts";
import { type OutputFile, placeFiles } from "./place-files.ts";

/** An output whose artifacts are kept, and how to write it. */
export interface StoredOutput {
  /** Paths of the files that were made. */
  readonly paths: readonly string[];
  /** Bytes of these files. */
  readonly sizes: readonly number[];
  /** Of all pictures together; undefined when there is none. */
  readonly pixels: number | undefined;
  /** True when artifacts are inside the body as data URIs instead. */
  readonly hasInline: boolean;
  /** The output with example URLs, to be checked by its schema. */
  readonly sample: unknown;
  /** The body with file links; `history`: without the bytes of inline artifacts. */
  write(purpose: "answer" | "history"): Uint8Array;
}

export interface StoreOutputOptions {
  readonly files: FileStore;
  readonly schema: JsonSchema;
  readonly accountId: AccountId;
  readonly requestId: RequestId;
  readonly endpointId: string;
  /** Epoch milliseconds; null: the files are kept for ever. */
  readonly expiresAt: number | null;
  readonly acl?: FileAcl;
  readonly signal: AbortSignal;
}

/** Stores the artifacts of an output. When one cannot be stored, or the signal aborts, none is left behind. */
export async function storeOutput(
  output: unknown,
  artifacts: readonly ArtifactMessage[],
  options: StoreOutputOptions,
): Promise<StoredOutput> {
  const places = await storeArtifacts(artifacts, options);
  const format = (url: (place: Place) => string): unknown =>
    placeFiles(
      output,
      options.schema,
      places.map((place) => ({ url: url(place), ...place.file })),
    );
  return {
    paths: places.flatMap((place) => place.path ?? []),
    sizes: places.flatMap((place) => (place.path === null ? [] : place.file.file_size)),
    pixels: countPixels(places),
    hasInline: places.some((place) => place.path === null),
    sample: format((place) =>
      place.path === null ? `data:${place.file.content_type},` : `https://files.test/${place.path}`,
    ),
    write: (purpose) =>
      Buffer.from(
        stringifyWithFileLinks((link) =>
          format((place) => {
            if (place.path !== null) return link(place.path);
            const prefix = `data:${place.file.content_type};base64,`;
            return purpose === "history" ? prefix : prefix + Buffer.from(place.bytes).toString("base64");
          }),
        ),
      ),
  };
}

function countPixels(places: readonly Place[]): number | undefined {
  const counts = places.flatMap(({ file: { width, height } }) =>
    width === undefined || height === undefined ? [] : width * height,
  );
  return counts.length === 0 ? undefined : counts.reduce((sum, count) => sum + count, 0);
}

interface Place {
  /** Null for an inline artifact. */
  readonly path: string | null;
  readonly bytes: Uint8Array;
  readonly file: Omit<OutputFile, "url">;
}

async function storeArtifacts(
  artifacts: readonly ArtifactMessage[],
  options: StoreOutputOptions,
): Promise<readonly Place[]> {
  const outcomes = await Promise.allSettled(artifacts.map((artifact) => storeArtifact(artifact, options)));
  const failed = outcomes.find((outcome) => outcome.status === "rejected");
  const places = outcomes.flatMap((outcome) => (outcome.status === "fulfilled" ? outcome.value : []));
  if (failed === undefined && !options.signal.aborted) return places;
  await removeFiles(
    options.files,
    places.flatMap((place) => place.path ?? []),
  );
  throw failed === undefined ? options.signal.reason : failed.reason;
}

async function storeArtifact(artifact: ArtifactMessage, options: StoreOutputOptions): Promise<Place> {
  const { bytes, width, height, inline = false } = artifact;
  const contentType = normalizeContentType(artifact.contentType);
  const fileName = createSafeFileName(artifact.fileName ?? "output", contentType);
  const size = { ...(width === undefined ? {} : { width }), ...(height === undefined ? {} : { height }) };
  const file = { content_type: contentType, file_name: fileName, file_size: bytes.byteLength, ...size };
  if (inline) return { path: null, bytes, file };
  const { files, accountId, requestId, endpointId, expiresAt, acl, signal } = options;
  const stored = await files.create(
    {
      accountId,
      requestId,
      endpointId,
      fileName,
      contentType,
      expiresAt,
      ...(acl === undefined ? {} : { acl }),
      ...size,
    },
    bytes,
    { signal },
  );
  return { path: stored.path, bytes, file };
}

/** Removes files that no result will name. What cannot be removed is left to the collection of expired files. */
export async function removeFiles(files: FileStore, paths: readonly string[]): Promise<void> {
  await Promise.allSettled(paths.map((path) => files.remove(path)));
}
