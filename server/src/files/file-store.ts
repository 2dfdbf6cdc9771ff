import type { Readable } from "node:stream";
import type { AccountId, RequestId } from "../ids.ts";
import type { FileLifecycle } from "./lifecycle.ts";

/**
 * Files that callers see: bytes with a public path, a content type, an owner, an access rule and an expiry.
 * Metadata are rows of the database, bytes are blobs. A file is visible only once both are durable.
 */
export interface FileStore {
  /** Stores the bytes and makes the file visible. */
  create(
    file: NewFile,
    content: Uint8Array | Readable | AsyncIterable<Uint8Array>,
    options?: CreateFileOptions,
  ): Promise<StoredFile>;
  /** Undefined when absent or expired. `path` is the part after the CDN mount: `files/b/{8 hex}/{name}`. */
  find(path: string): Promise<StoredFile | undefined>;
  open(
    file: StoredFile,
    range?: { readonly start: number; readonly end: number },
  ): Promise<Readable | undefined>;
  read(file: StoredFile): Promise<Uint8Array | undefined>;
  remove(path: string): Promise<boolean>;
  /** Replaces the rules; those that name no account are dropped. False when there is no such file. */
  setAcl(path: string, acl: FileAcl): Promise<boolean>;
  /** Sets when the file expires, epoch ms; null: never. False when there is no such file. */
  setExpiry(path: string, expiresAt: number | null): Promise<boolean>;
  /** What this account wants for its new files where a call says nothing: the settings it has made. */
  getDefaults(accountId: AccountId): Promise<FileLifecycle>;
  /** Replaces them all; an absent member leaves it to the server. Rules that name no account are dropped. */
  setDefaults(accountId: AccountId, defaults: FileLifecycle): Promise<void>;
  /** Newest first. @throws CursorError for a cursor that no page gave out */
  list(filter: FileFilter): Promise<FilePage>;
  /** Bytes of the files this account keeps, unfinished uploads included. */
  getStoredBytes(accountId: AccountId): Promise<number>;
  /**
   * Removes expired files and abandoned uploads, and from time to time blobs without a row and rows without a blob;
   * the number removed. Called every minute or so by one process.
   */
  collect(): Promise<number>;
}

export interface NewFile {
  readonly accountId: AccountId;
  /** The request that made it; null for uploads. */
  readonly requestId: RequestId | null;
  /** The endpoint whose output it is. */
  readonly endpointId?: string;
  /** As the caller gave it; sanitised for the path. */
  readonly fileName: string;
  readonly contentType: string;
  /** Epoch ms; null never. */
  readonly expiresAt: number | null;
  /** Default: readable by everyone who knows the URL. */
  readonly acl?: FileAcl;
  readonly width?: number;
  readonly height?: number;
}

export interface CreateFileOptions {
  readonly maxBytes?: number;
  readonly signal?: AbortSignal;
}

export interface StoredFile {
  /** `files/b/{8 hex}/{21 characters}_{name}`: unguessable. */
  readonly path: string;
  /** Where its bytes are; not for callers. */
  readonly blobKey: string;
  readonly accountId: AccountId;
  readonly requestId: RequestId | null;
  readonly endpointId: string | null;
  readonly fileName: string;
  readonly contentType: string;
  readonly size: number;
  /**
   * Names the content. SHA-256 of the bytes, lower-case hex; for a file that came in several parts, SHA-256 of the
   * hashes of its parts, `-` and their number.
   */
  readonly sha256: string;
  readonly createdAt: number;
  readonly expiresAt: number | null;
  readonly acl: FileAcl;
  readonly width: number | null;
  readonly height: number | null;
}

export type AclDecision = "allow" | "forbid" | "hide";

export interface FileAcl {
  readonly default: AclDecision;
  readonly rules: readonly { readonly user: string; readonly decision: AclDecision }[];
}

export interface FileFilter {
  readonly accountId?: AccountId;
  readonly requestId?: RequestId;
  /** Part of the file's name, in any case. */
  readonly search?: string;
  readonly kind?: "upload" | "output";
  /** By the first half of the content type; `other` is everything but pictures, video and sound. */
  readonly media?: "image" | "video" | "audio" | "other";
  readonly endpointIds?: readonly string[];
  /** On createdAt, epoch ms: inclusive start, exclusive end. */
  readonly startAt?: number;
  readonly endAt?: number;
  /** Those that are kept for ever, or those that expire. */
  readonly isKept?: boolean;
  /** Those that expire before this time, epoch ms. */
  readonly expiresBefore?: number;
  readonly limit: number;
  readonly cursor?: string;
}

export interface FilePage {
  readonly files: readonly StoredFile[];
  readonly nextCursor: string | null;
}
