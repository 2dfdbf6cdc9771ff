import type { Clock } from "../clock.ts";
import { CursorError } from "../cursor-error.ts";
import type { Database, SqlValue } from "../database/database.ts";
import type { Logger } from "../logger.ts";
import type { BlobStore } from "./blob-store.ts";
import { createFileCollector } from "./collect-files.ts";
import { keepKnownUsers } from "./file-acl.ts";
import { readFileDefaults, writeFileDefaults } from "./file-defaults.ts";
import { createFilePath } from "./file-path.ts";
import { createBlobKey, deleteFile, type FileRow, formatAcl, insertFile, parseFile } from "./file-rows.ts";
import type { FileFilter, FileStore } from "./file-store.ts";

export interface FileStoreParts {
  readonly database: Database;
  readonly blobs: BlobStore;
  readonly clock: Clock;
  readonly logger: Logger;
}

/** Files as rows of the database with their bytes as blobs: the blob is written first, so that a row has its bytes. */
export function createFileStore(parts: FileStoreParts): FileStore {
  const { database, blobs, clock } = parts;
  const collect = createFileCollector(parts);

  return {
    async create(file, content, options) {
      const blob = await blobs.put(createBlobKey("files"), content, options);
      const path = createFilePath(file.fileName, file.contentType);
      try {
        return await database.transaction((tx) =>
          insertFile(tx, file, {
            path,
            blob: { key: blob.key, size: blob.size, sha256: requireHash(blob.sha256) },
            now: clock.now(),
          }),
        );
      } catch (error) {
        await blobs.remove(blob.key).catch(() => false);
        throw error;
      }
    },

    async find(path) {
      const row = await database.read((tx) => tx.get<FileRow>("SELECT * FROM files WHERE path = $1", [path]));
      if (row === undefined || (row.expires_at !== null && row.expires_at <= clock.now())) return undefined;
      return parseFile(row);
    },

    open: (file, range) => blobs.open(file.blobKey, range),
    read: (file) => blobs.read(file.blobKey),

    async remove(path) {
      const row = await database.transaction(async (tx) => {
        const found = await tx.get<FileRow>("SELECT * FROM files WHERE path = $1", [path]);
        return found !== undefined && (await deleteFile(tx, found)) ? found : undefined;
      });
      if (row === undefined) return false;
      await blobs.remove(row.blob_key);
      return true;
    },

    async setAcl(path, acl) {
      const changed = await database.transaction(async (tx) => {
        const known = await keepKnownUsers(tx, acl);
        return await tx.run("UPDATE files SET acl = $1 WHERE path = $2", [formatAcl(known), path]);
      });
      return changed > 0;
    },

    async setExpiry(path, expiresAt) {
      const at = expiresAt === null ? null : Math.round(expiresAt);
      const changed = await database.transaction((tx) =>
        tx.run(
          "UPDATE files SET expires_at = $1 WHERE path = $2 AND (expires_at IS NULL OR expires_at > $3)",
          [at, path, clock.now()],
        ),
      );
      return changed > 0;
    },

    getDefaults: (accountId) => database.read((tx) => readFileDefaults(tx, accountId)),
    setDefaults: (accountId, defaults) =>
      database.transaction((tx) => writeFileDefaults(tx, accountId, defaults)),

    async list(filter) {
      const { where, parameters } = createCondition(filter, clock.now());
      const rows = await database.read((tx) =>
        tx.all<FileRow>(
          `SELECT * FROM files WHERE ${where} ORDER BY created_at DESC, path DESC LIMIT ${filter.limit + 1}`,
          parameters,
        ),
      );
      const page = rows.slice(0, filter.limit);
      const last = page.at(-1);
      const hasMore = rows.length > page.length && last !== undefined;
      return { files: page.map(parseFile), nextCursor: hasMore ? encodeCursor(last) : null };
    },

    async getStoredBytes(accountId) {
      const row = await database.read((tx) =>
        tx.get<{ bytes: number }>(
          `SELECT
             COALESCE((SELECT bytes FROM file_usage WHERE account_id = $1), 0) +
             COALESCE((SELECT SUM(size) FROM upload_parts JOIN uploads ON id = upload_id WHERE account_id = $1), 0)
             AS bytes`,
          [accountId],
        ),
      );
      return Number(row?.bytes ?? 0);
    },

    collect,
  };
}

function requireHash(sha256: string | undefined): string {
  if (sha256 === undefined) throw new TypeError("A blob store must give the hash of what it wrote.");
  return sha256;
}

function createCondition(filter: FileFilter, now: number): { where: string; parameters: SqlValue[] } {
  const parameters: SqlValue[] = [];
  const add = (value: SqlValue): string => `$${parameters.push(value)}`;
  const conditions = [`(expires_at IS NULL OR expires_at > ${add(now)})`];
  if (filter.accountId !== undefined) conditions.push(`account_id = ${add(filter.accountId)}`);
  if (filter.requestId !== undefined) conditions.push(`request_id = ${add(filter.requestId)}`);
  if (filter.kind !== undefined)
    conditions.push(filter.kind === "upload" ? "request_id IS NULL" : "request_id IS NOT NULL");
  if (filter.search !== undefined && filter.search !== "") {
    const pattern = `%${filter.search.toLowerCase().replace(/[\\%_]/g, "\\$&")}%`;
    conditions.push(`lower(file_name) LIKE ${add(pattern)} ESCAPE '\\'`);
  }
  if (filter.media !== undefined) conditions.push(MEDIA_CONDITIONS[filter.media]);
  if (filter.endpointIds !== undefined)
    conditions.push(
      filter.endpointIds.length === 0
        ? "1 = 0"
        : `endpoint_id IN (${filter.endpointIds.map(add).join(", ")})`,
    );
  if (filter.startAt !== undefined) conditions.push(`created_at >= ${add(Math.ceil(filter.startAt))}`);
  if (filter.endAt !== undefined) conditions.push(`created_at < ${add(Math.ceil(filter.endAt))}`);
  if (filter.isKept !== undefined) conditions.push(`expires_at IS ${filter.isKept ? "" : "NOT "}NULL`);
  if (filter.expiresBefore !== undefined)
    conditions.push(`expires_at < ${add(Math.ceil(filter.expiresBefore))}`);
  if (filter.cursor !== undefined) {
    const after = decodeCursor(filter.cursor);
    conditions.push(`(created_at, path) < (${add(after.createdAt)}, ${add(after.path)})`);
  }
  return { where: conditions.join(" AND "), parameters };
}

/** Content types are kept in lower case. */
const MEDIA_CONDITIONS: Readonly<Record<NonNullable<FileFilter["media"]>, string>> = {
  image: "content_type LIKE 'image/%'",
  video: "content_type LIKE 'video/%'",
  audio: "content_type LIKE 'audio/%'",
  other:
    "content_type NOT LIKE 'image/%' AND content_type NOT LIKE 'video/%' AND content_type NOT LIKE 'audio/%'",
};

function encodeCursor(row: FileRow): string {
  return Buffer.from(`${row.created_at}:${row.path}`).toString("base64url");
}

function decodeCursor(cursor: string): { readonly createdAt: number; readonly path: string } {
  const [, createdAt, path] =
    /^(\d{1,15}):(.+)$/s.exec(Buffer.from(cursor, "base64url").toString("utf8")) ?? [];
  if (path === undefined) throw new CursorError();
  return { createdAt: Number(createdAt), path };
}
