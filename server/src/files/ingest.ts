import { createErrorDetail, getErrorStatus, type ModelErrorType } from "@sluice/protocol";
import type { FileReply } from "@sluice/runtime/worker/messages";
import type { AccountId } from "../ids.ts";
import type { Settings } from "../settings.ts";
import {
  DEFAULT_CONTENT_TYPE,
  findContentType,
  normalizeContentType,
  sniffContentType,
} from "./content-type.ts";
import { parseDataUri } from "./data-uri.ts";
import {
  DEFAULT_DOWNLOAD_RULES,
  type Download,
  DownloadError,
  type DownloadRules,
  download,
} from "./download.ts";
import { decideAccess } from "./file-acl.ts";
import { parseFileUrl } from "./file-path.ts";
import type { FileStore, StoredFile } from "./file-store.ts";
import { inspectImage } from "./inspect-image.ts";
import { isPublicAddress, isPublicOrPrivateAddress } from "./public-address.ts";

export interface IngestParts {
  readonly files: FileStore;
  readonly settings: Pick<Settings, "allowPrivateInputs">;
  /** Nickname of an account, for access rules that name one. */
  readonly findAccount: (accountId: AccountId) => Promise<{ readonly nickname: string } | undefined>;
  /** Says whether `identity` of a signed URL opens this file. */
  readonly verifyIdentity: (path: string, identity: string) => boolean;
  /** Replaces rules of downloads. */
  readonly download?: Partial<DownloadRules>;
}

export interface IngestOptions {
  /** Path of the field, named in errors. */
  readonly loc: readonly (string | number)[];
  readonly maxBytes: number;
  /** Whose request it is: decides which stored files may be read. */
  readonly accountId: AccountId;
  readonly signal?: AbortSignal;
}

/** Turns what a caller put into a file field into bytes. Refusals are replies; what is thrown is a failure of ours. */
export type Ingest = (value: unknown, options: IngestOptions) => Promise<FileReply>;

/**
 * Accepts a text or an object with `url` (fal model API, "Inputs that refer to files"): an http(s) URL, fetched under
 * the rules of {@link download}; a `data:` URI of at most 10 MiB; a URL of a file that is stored here, in any form,
 * read without the network when its access rules let the caller's account. The content type is what the first bytes
 * say, else what was declared.
 */
export function createIngest(parts: IngestParts): Ingest {
  const isAllowed = parts.settings.allowPrivateInputs ? isPublicOrPrivateAddress : isPublicAddress;
  const rules = { ...DEFAULT_DOWNLOAD_RULES, isAllowed, ...parts.download };

  return async function ingest(value, options) {
    const text = findUrl(value);
    if (text === undefined) return refuse(options, "value_error", "value must be a valid URL");
    const found = /^data:/i.test(text)
      ? readDataUri(text, options)
      : ((await readStored(text, parts, options)) ?? (await readRemote(text, rules, options)));
    return found.ok ? checkPixels(found, options) : found;
  };
}

const MIB = 1024 * 1024;
const MAX_DATA_BYTES = 10 * MIB;
const MAX_URL_LENGTH = 2_048;
/** A picture with more is refused whatever the model would do with it: decoded, it would take 400 MB. */
const MAX_PIXELS = 100_000_000;

function findUrl(value: unknown): string | undefined {
  const text = typeof value === "object" && value !== null ? (value as { url?: unknown }).url : value;
  return typeof text === "string" ? text.trim() : undefined;
}

function readDataUri(text: string, options: IngestOptions): FileReply {
  const limit = Math.min(options.maxBytes, MAX_DATA_BYTES);
  const data = parseDataUri(text, limit);
  if (data === "too_large") return refuseSize(options, limit);
  if (data === "malformed") return refuse(options, "value_error", "value must be a valid data URI");
  return {
    ok: true,
    bytes: data.bytes,
    contentType: chooseType(data.bytes, data.contentType, ""),
    source: `${text.slice(0, Math.min(text.indexOf(",") + 1, 80))}… (${data.bytes.byteLength} bytes)`,
  };
}

/** Undefined when the URL names no file of this server. */
async function readStored(
  text: string,
  parts: IngestParts,
  options: IngestOptions,
): Promise<FileReply | undefined> {
  const path = /^https?:\/\//i.test(text) ? parseFileUrl(text) : undefined;
  const file = path === undefined ? undefined : await parts.files.find(path);
  if (file === undefined) return undefined;
  const identity = new URL(text).searchParams.get("identity");
  const isSigned = identity !== null && parts.verifyIdentity(file.path, identity);
  const decision = isSigned ? "allow" : await decide(file, parts, options.accountId);
  if (decision === "hide") return refuseDownload(options, "there is no such file");
  if (decision === "forbid")
    return refuseDownload(options, "its owner does not allow this account to read it");
  if (file.size > options.maxBytes) return refuseSize(options, options.maxBytes);
  const bytes = await parts.files.read(file);
  if (bytes === undefined) return refuseDownload(options, "there is no such file");
  const { contentType, fileName } = file;
  return {
    ok: true,
    bytes,
    contentType: chooseType(bytes, contentType, fileName),
    source: file.path,
    fileName,
  };
}

async function decide(
  file: StoredFile,
  { findAccount }: IngestParts,
  accountId: AccountId,
): Promise<ReturnType<typeof decideAccess>> {
  const account = file.acl.rules.length === 0 ? undefined : await findAccount(accountId);
  return decideAccess(file, { accountId, nickname: account?.nickname });
}

async function readRemote(
  text: string,
  rules: Omit<DownloadRules, "maxBytes">,
  options: IngestOptions,
): Promise<FileReply> {
  const isUrl = /^https?:\/\//i.test(text) && text.length <= MAX_URL_LENGTH && URL.canParse(text);
  if (!isUrl) return refuse(options, "value_error", "value must be a valid URL");
  let found: Download;
  try {
    found = await download(new URL(text), { ...rules, maxBytes: options.maxBytes }, options.signal);
  } catch (error) {
    if (!(error instanceof DownloadError)) throw error;
    return error.kind === "too_large"
      ? refuseSize(options, options.maxBytes)
      : refuseDownload(options, error.message);
  }
  const { bytes, contentType, url } = found;
  const fileName = url.pathname.split("/").at(-1) ?? "";
  return {
    ok: true,
    bytes,
    contentType: chooseType(bytes, contentType, fileName),
    // Without the query: it often holds a signature.
    source: `${url.origin}${url.pathname}`,
    ...(fileName === "" ? {} : { fileName }),
  };
}

function chooseType(bytes: Uint8Array, declared: string | null, fileName: string): string {
  const type = sniffContentType(bytes) ?? normalizeContentType(declared);
  return type === DEFAULT_CONTENT_TYPE ? (findContentType(fileName) ?? type) : type;
}

function checkPixels(found: Extract<FileReply, { ok: true }>, options: IngestOptions): FileReply {
  const image = inspectImage(found.bytes);
  if (image.kind !== "image" || image.width * image.height <= MAX_PIXELS) return found;
  const side = Math.floor(Math.sqrt(MAX_PIXELS));
  return refuse(
    options,
    "image_too_large",
    `The picture has ${image.width}×${image.height} pixels, ${MAX_PIXELS} are accepted in all; make it smaller.`,
    { max_height: side, max_width: side },
  );
}

function refuseSize(options: IngestOptions, maxBytes: number): FileReply {
  return refuse(options, "file_too_large", undefined, { max_size: maxBytes });
}

function refuseDownload(options: IngestOptions, reason: string): FileReply {
  return refuse(options, "file_download_error", `The file could not be downloaded: ${reason}.`);
}

function refuse(
  { loc }: IngestOptions,
  type: ModelErrorType,
  msg: string | undefined,
  ctx?: Readonly<Record<string, unknown>>,
): FileReply {
  return { ok: false, detail: [createErrorDetail(type, loc, { msg, ctx })], status: getErrorStatus(type) };
}
