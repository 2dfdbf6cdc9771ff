import { randomBytes } from "node:crypto";
import type { SqlValue, Statements } from "../database/database.ts";
import type { AccountId, RequestId } from "../ids.ts";
import { keepKnownUsers, PUBLIC_ACL } from "./file-acl.ts";
import type { FileAcl, NewFile, StoredFile } from "./file-store.ts";

/** A row of `files` as the database gives it. */
export interface FileRow {
  readonly path: string;
  readonly blob_key: string;
  readonly account_id: string;
  readonly request_id: string | null;
  readonly endpoint_id: string | null;
  readonly file_name: string;
  readonly content_type: string;
  readonly size: number;
  readonly sha256: string;
  readonly created_at: number;
  readonly expires_at: number | null;
  readonly acl: string | null;
  readonly width: number | null;
  readonly height: number | null;
}

/** Where the bytes of a file are. */
export interface StoredBlob {
  readonly key: string;
  readonly size: number;
  readonly sha256: string;
}

/** Makes the file visible and counts its bytes, in the caller's transaction. */
export async function insertFile(
  tx: Statements,
  file: NewFile,
  stored: { readonly path: string; readonly blob: StoredBlob; readonly now: number },
): Promise<StoredFile> {
  const { path, blob, now } = stored;
  const acl = await keepKnownUsers(tx, file.acl ?? PUBLIC_ACL);
  const row: FileRow = {
    path,
    blob_key: blob.key,
    account_id: file.accountId,
    request_id: file.requestId,
    endpoint_id: file.endpointId ?? null,
    file_name: file.fileName,
    content_type: file.contentType,
    size: blob.size,
    sha256: blob.sha256,
    created_at: now,
    expires_at: file.expiresAt,
    acl: formatAcl(acl),
    width: file.width ?? null,
    height: file.height ?? null,
  };
  const columns = Object.entries(row) as [string, SqlValue][];
  await tx.run(
    `INSERT INTO files (${columns.map(([name]) => name).join(", ")})
     VALUES (${columns.map((_, index) => `$${index + 1}`).join(", ")})`,
    columns.map(([, value]) => value),
  );
  await addUsage(tx, file.accountId, blob.size);
  return parseFile(row);
}

/** Removes the row and its bytes from the count; the blob is the caller's to remove once that is committed. */
export async function deleteFile(
  tx: Statements,
  row: Pick<FileRow, "path" | "account_id" | "size">,
): Promise<boolean> {
  const removed = await tx.run("DELETE FROM files WHERE path = $1", [row.path]);
  if (removed > 0) await addUsage(tx, row.account_id, -row.size);
  return removed > 0;
}

export function parseFile(row: FileRow): StoredFile {
  return {
    path: row.path,
    blobKey: row.blob_key,
    accountId: row.account_id as AccountId,
    requestId: row.request_id as RequestId | null,
    endpointId: row.endpoint_id,
    fileName: row.file_name,
    contentType: row.content_type,
    size: row.size,
    sha256: row.sha256,
    createdAt: row.created_at,
    expiresAt: row.expires_at,
    acl: parseStoredAcl(row.acl),
    width: row.width,
    height: row.height,
  };
}

/** As kept in a row: null stands for the public rule. */
export function formatAcl(acl: FileAcl): string | null {
  return acl.default === "allow" && acl.rules.length === 0 ? null : JSON.stringify(acl);
}

export function parseStoredAcl(text: string | null): FileAcl {
  return text === null ? PUBLIC_ACL : (JSON.parse(text) as FileAcl);
}

export function createBlobKey(prefix: "files" | "parts"): string {
  return `${prefix}/${randomBytes(16).toString("hex")}`;
}

async function addUsage(tx: Statements, accountId: string, bytes: number): Promise<void> {
  await tx.run(
    `INSERT INTO file_usage (account_id, bytes) VALUES ($1, $2)
     ON CONFLICT (account_id) DO UPDATE SET bytes = file_usage.bytes + excluded.bytes`,
    [accountId, bytes],
  );
}
