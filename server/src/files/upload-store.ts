import { createHash } from "node:crypto";
import type { Readable } from "node:stream";
import type { Clock } from "../clock.ts";
import type { Database } from "../database/database.ts";
import type { AccountId } from "../ids.ts";
import { BlobMissingError, type BlobStore, BlobTooLargeError } from "./blob-store.ts";
import { createFilePath, createUnguessableId } from "./file-path.ts";
import { createBlobKey, formatAcl, insertFile, parseStoredAcl, type StoredBlob } from "./file-rows.ts";
import type { FileAcl, StoredFile } from "./file-store.ts";

/**
 * Uploads that come in more than one call: a path is promised first, the bytes follow in one piece or in numbered
 * parts. Everything is in the database and in blobs, so that an upload goes on after a restart.
 *
 * An upload is written once: the first write (or completion) that commits makes the file, every other one is told
 * that the upload is closed.
 */
export interface UploadStore {
  begin(upload: NewUpload): Promise<Upload>;
  /** Undefined when unknown or collected. One that has expired or is complete is still found for a while. */
  find(id: string): Promise<Upload | undefined>;
  /** The whole content of a single upload. */
  write(upload: Upload, content: Content, options?: WriteOptions): Promise<StoredFile | "closed">;
  /** One part; a part written again replaces the earlier one. */
  writePart(
    upload: Upload,
    partNumber: number,
    content: Content,
    options?: WriteOptions,
  ): Promise<UploadPart | "closed">;
  /** Puts the parts together in the order of their numbers. Idempotent: a complete upload answers with its file. */
  complete(upload: Upload, parts: readonly GivenPart[], options?: WriteOptions): Promise<CompleteOutcome>;
}

type Content = Uint8Array | Readable | AsyncIterable<Uint8Array>;

export interface NewUpload {
  readonly accountId: AccountId;
  /** As the caller gave it. */
  readonly fileName: string;
  readonly contentType: string;
  readonly kind: "single" | "multipart";
  /** Time from completion to the file's expiry; null: never. */
  readonly expiresAfterMs: number | null;
  readonly acl: FileAcl;
  /** Largest size of the file, by the limits of the key that begins it; null: no limit of its own. */
  readonly maxBytes: number | null;
}

export interface Upload extends NewUpload {
  readonly id: string;
  /** Where the file will be. */
  readonly path: string;
  readonly createdAt: number;
  /** Epoch ms after which nothing is accepted. */
  readonly expiresAt: number;
  readonly isComplete: boolean;
}

export interface WriteOptions {
  /** Largest size of the whole file. @see BlobTooLargeError */
  readonly maxBytes?: number;
  readonly signal?: AbortSignal;
}

export interface UploadPart {
  readonly partNumber: number;
  readonly size: number;
  readonly sha256: string;
}

/** A part as the caller lists it; the hash is compared when there is one. */
export interface GivenPart {
  readonly partNumber: number;
  readonly sha256?: string | undefined;
}

export type CompleteOutcome =
  | { readonly kind: "complete"; readonly path: string }
  | { readonly kind: "missing_part"; readonly partNumber: number }
  | { readonly kind: "changed_part"; readonly partNumber: number };

/** How long a single upload may be begun, in milliseconds. */
export const UPLOAD_LIFETIME_MS = 3_600_000;
/** How long parts are accepted: large files come over slow lines. */
export const MULTIPART_LIFETIME_MS: number = 24 * 3_600_000;
export const MAX_PARTS = 10_000;

export function createUploadStore(parts: {
  readonly database: Database;
  readonly blobs: BlobStore;
  readonly clock: Clock;
  /** Called once for each file that an upload has become. */
  readonly onFile?: (file: StoredFile) => void;
}): UploadStore {
  const { database, blobs, clock, onFile } = parts;

  const store = async (key: string, content: Content, options: WriteOptions = {}): Promise<StoredBlob> => {
    const { size, sha256 = "" } = await blobs.put(key, content, options);
    return { key, size, sha256 };
  };

  /** Commits what refers to the blob; without a commit the blob goes again. */
  const commit = async <T>(blob: StoredBlob, work: () => Promise<T | "closed">): Promise<T | "closed"> => {
    let outcome: T | "closed" = "closed";
    try {
      outcome = await work();
    } finally {
      if (outcome === "closed") await blobs.remove(blob.key).catch(() => false);
    }
    return outcome;
  };

  const finish = async (upload: Upload, blob: StoredBlob): Promise<StoredFile | "closed"> => {
    const outcome = await commit(blob, () =>
      database.transaction(async (tx) => {
        const now = clock.now();
        const claimed = await tx.run(
          "UPDATE uploads SET completed_at = $1 WHERE id = $2 AND completed_at IS NULL",
          [now, upload.id],
        );
        if (claimed === 0) return "closed";
        const used = await tx.all<PartRow>("SELECT * FROM upload_parts WHERE upload_id = $1", [upload.id]);
        await tx.run("DELETE FROM upload_parts WHERE upload_id = $1", [upload.id]);
        const { accountId, fileName, contentType, expiresAfterMs, acl, path } = upload;
        const expiresAt = expiresAfterMs === null ? null : now + expiresAfterMs;
        const fields = { accountId, requestId: null, fileName, contentType, expiresAt, acl };
        return { file: await insertFile(tx, fields, { path, blob, now }), used };
      }),
    );
    if (outcome === "closed") return "closed";
    onFile?.(outcome.file);
    for (const part of outcome.used) await blobs.remove(part.blob_key);
    return outcome.file;
  };

  const isOpen = (upload: Upload): boolean => !upload.isComplete && clock.now() < upload.expiresAt;

  const find = async (id: string): Promise<Upload | undefined> => {
    const row = await database.read((tx) => tx.get<UploadRow>("SELECT * FROM uploads WHERE id = $1", [id]));
    return row === undefined ? undefined : parseUpload(row);
  };

  const listParts = (id: string): Promise<PartRow[]> =>
    database.read((tx) =>
      tx.all<PartRow>("SELECT * FROM upload_parts WHERE upload_id = $1 ORDER BY part_number", [id]),
    );

  return {
    async begin(fields) {
      const now = clock.now();
      const upload: Upload = {
        ...fields,
        id: createUnguessableId(),
        path: createFilePath(fields.fileName, fields.contentType),
        createdAt: now,
        expiresAt: now + (fields.kind === "single" ? UPLOAD_LIFETIME_MS : MULTIPART_LIFETIME_MS),
        isComplete: false,
      };
      await database.transaction((tx) =>
        tx.run(
          `INSERT INTO uploads (id, path, account_id, file_name, content_type, kind, expires_after_ms, acl, max_bytes, created_at, expires_at)
           VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11)`,
          [
            upload.id,
            upload.path,
            upload.accountId,
            upload.fileName,
            upload.contentType,
            upload.kind,
            upload.expiresAfterMs,
            formatAcl(upload.acl),
            upload.maxBytes,
            now,
            upload.expiresAt,
          ],
        ),
      );
      return upload;
    },

    find,

    async write(upload, content, options) {
      if (!isOpen(upload)) return "closed";
      return await finish(upload, await store(createBlobKey("files"), content, options));
    },

    async writePart(upload, partNumber, content, { maxBytes = Number.POSITIVE_INFINITY, signal } = {}) {
      if (!isOpen(upload)) return "closed";
      const others = (await listParts(upload.id)).filter((part) => part.part_number !== partNumber);
      const room = maxBytes - sumSizes(others);
      if (room < 0) throw new BlobTooLargeError(maxBytes);
      const blob = await store(createBlobKey("parts"), content, {
        maxBytes: room,
        ...(signal === undefined ? {} : { signal }),
      }).catch((error: unknown) => {
        throw error instanceof BlobTooLargeError ? new BlobTooLargeError(maxBytes) : error;
      });
      const outcome = await commit(blob, () =>
        database.transaction(async (tx) => {
          // Written, not only read: this orders the part against a completion that runs beside it.
          const open = await tx.run(
            "UPDATE uploads SET completed_at = NULL WHERE id = $1 AND completed_at IS NULL",
            [upload.id],
          );
          if (open === 0) return "closed";
          const replaced = await tx.get<PartRow>(
            "SELECT * FROM upload_parts WHERE upload_id = $1 AND part_number = $2",
            [upload.id, partNumber],
          );
          await tx.run(
            `INSERT INTO upload_parts (upload_id, part_number, blob_key, size, sha256) VALUES ($1, $2, $3, $4, $5)
             ON CONFLICT (upload_id, part_number)
             DO UPDATE SET blob_key = excluded.blob_key, size = excluded.size, sha256 = excluded.sha256`,
            [upload.id, partNumber, blob.key, blob.size, blob.sha256],
          );
          return { replaced };
        }),
      );
      if (outcome === "closed") return "closed";
      if (outcome.replaced !== undefined) await blobs.remove(outcome.replaced.blob_key);
      return { partNumber, size: blob.size, sha256: blob.sha256 };
    },

    async complete(upload, given, { maxBytes = Number.POSITIVE_INFINITY, signal } = {}) {
      const done = { kind: "complete", path: upload.path } as const;
      if (upload.isComplete) return done;
      const stored = await listParts(upload.id);
      const chosen = chooseParts(stored, given);
      if (!Array.isArray(chosen)) return chosen;
      if (sumSizes(chosen) > maxBytes) throw new BlobTooLargeError(maxBytes);
      const key = createBlobKey("files");
      try {
        const sources = chosen.map((part) => ({ key: part.blob_key, size: part.size }));
        const { size } = await blobs.join(key, sources, signal === undefined ? {} : { signal });
        // "closed" here means that another completion was first: its file is the answer to both.
        await finish(upload, { key, size, sha256: hashParts(chosen) });
      } catch (error) {
        if (!(error instanceof BlobMissingError)) throw error;
        // Replaced, or used up by another completion.
        if (!(await find(upload.id))?.isComplete)
          return { kind: "changed_part", partNumber: findPart(chosen, error.key) };
      }
      return done;
    },
  };
}

interface UploadRow {
  readonly id: string;
  readonly path: string;
  readonly account_id: string;
  readonly file_name: string;
  readonly content_type: string;
  readonly kind: string;
  readonly expires_after_ms: number | null;
  readonly acl: string | null;
  readonly max_bytes: number | null;
  readonly created_at: number;
  readonly expires_at: number;
  readonly completed_at: number | null;
}

interface PartRow {
  readonly part_number: number;
  readonly blob_key: string;
  readonly size: number;
  readonly sha256: string;
}

function parseUpload(row: UploadRow): Upload {
  return {
    id: row.id,
    path: row.path,
    accountId: row.account_id as AccountId,
    fileName: row.file_name,
    contentType: row.content_type,
    kind: row.kind === "single" ? "single" : "multipart",
    expiresAfterMs: row.expires_after_ms,
    acl: parseStoredAcl(row.acl),
    maxBytes: row.max_bytes,
    createdAt: row.created_at,
    expiresAt: row.expires_at,
    isComplete: row.completed_at !== null,
  };
}

/** The listed parts in the order of their numbers, which must be 1, 2, … without a gap. */
function chooseParts(
  stored: readonly PartRow[],
  given: readonly GivenPart[],
): PartRow[] | Exclude<CompleteOutcome, { kind: "complete" }> {
  const byNumber = new Map(stored.map((part) => [part.part_number, part]));
  const listed = new Map(given.map((part) => [part.partNumber, part]));
  const chosen: PartRow[] = [];
  const last = Math.max(1, ...listed.keys());
  for (let partNumber = 1; partNumber <= last; partNumber += 1) {
    const asked = listed.get(partNumber);
    const part = byNumber.get(partNumber);
    if (asked === undefined || part === undefined) return { kind: "missing_part", partNumber };
    if (asked.sha256 !== undefined && asked.sha256 !== part.sha256)
      return { kind: "changed_part", partNumber };
    chosen.push(part);
  }
  return chosen;
}

/** Names the whole by its parts, which are not read again: their hashes hashed, and their number. */
function hashParts(parts: readonly PartRow[]): string {
  const [only] = parts;
  if (parts.length === 1 && only !== undefined) return only.sha256;
  const hash = createHash("sha256");
  for (const part of parts) hash.update(part.sha256, "hex");
  return `${hash.digest("hex")}-${parts.length}`;
}

function findPart(parts: readonly PartRow[], blobKey: string): number {
  return parts.find((part) => part.blob_key === blobKey)?.part_number ?? 1;
}

function sumSizes(parts: readonly PartRow[]): number {
  return parts.reduce((sum, part) => sum + part.size, 0);
}
