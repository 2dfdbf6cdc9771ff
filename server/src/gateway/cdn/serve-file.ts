import { Readable } from "node:stream";
import { getEssence } from "../../files/content-type.ts";
import { decideAccess } from "../../files/file-acl.ts";
import { FILE_PATH } from "../../files/file-path.ts";
import type { AclDecision, StoredFile } from "../../files/file-store.ts";
import type { Call } from "../call.ts";
import type { SurfaceTools } from "../caller.ts";
import type { GatewayContext } from "../context.ts";
import { parseByteRange } from "./byte-range.ts";
import { verifyFileIdentity } from "./file-urls.ts";

/**
 * Answers `GET` and `HEAD` of a stored file (fal model API, "File URLs and serving"): whole, one range, or not
 * modified. Missing, expired and hidden files look the same.
 */
export function createFileServer(
  context: GatewayContext,
  tools: SurfaceTools,
): (call: Call) => Promise<Response> {
  const { files, clock } = context;
  const notFound = (): Response => tools.respond.sentence(404, "Not Found");

  return async function serveFile(call) {
    const path = call.path.slice(1).replace(/\/$/, "");
    const file = FILE_PATH.test(path) ? await files.find(path) : undefined;
    if (file === undefined) return notFound();
    const decision = await findDecision(context, tools, call, file);
    if (decision === "hide") return notFound();
    if (decision === "forbid") return tools.respond.sentence(403, "You are not allowed to read this file.");

    const headers = describeFile(file, clock.now());
    if (isUnmodified(call.request, file)) {
      const { "content-length": _, ...rest } = headers;
      return new Response(null, { status: 304, headers: rest });
    }
    const range = isRangeAsked(call.request, file)
      ? parseByteRange(call.request.headers.get("range"), file.size)
      : undefined;
    if (range === "unsatisfiable")
      return tools.respond.sentence(416, "The range is outside the file.", {
        "content-range": `bytes */${file.size}`,
      });
    if (range !== undefined) {
      headers["content-range"] = `bytes ${range.start}-${range.end}/${file.size}`;
      headers["content-length"] = String(range.end - range.start + 1);
    }
    const status = range === undefined ? 200 : 206;
    if (call.request.method === "HEAD" || file.size === 0) return new Response(null, { status, headers });
    const content = await files.open(file, range);
    if (content === undefined) {
      context.logger.error({ path }, "the bytes of a file are missing from the storage");
      return notFound();
    }
    return new Response(Readable.toWeb(content) as ReadableStream<Uint8Array>, { status, headers });
  };
}

/** A signed URL, an owner's credential, another's, none: the most permissive of what was shown decides. */
async function findDecision(
  context: GatewayContext,
  tools: SurfaceTools,
  call: Call,
  file: StoredFile,
): Promise<AclDecision> {
  const { acl } = file;
  if (acl.default === "allow" && acl.rules.length === 0) return "allow";
  const identity = call.url.searchParams.get("identity");
  if (identity !== null && verifyFileIdentity(context.tokens, file.path, identity)) return "allow";
  const caller = await tools.findCaller(call, { accepts: ["key", "cdn"] });
  if (caller === undefined) return decideAccess(file, null);
  const account = acl.rules.length === 0 ? undefined : await context.keys.findAccount(caller.accountId);
  return decideAccess(file, { accountId: caller.accountId, nickname: account?.nickname });
}

function describeFile(file: StoredFile, now: number): Record<string, string> {
  return {
    "content-type": file.contentType,
    "content-length": String(file.size),
    etag: formatEtag(file),
    "last-modified": new Date(file.createdAt).toUTCString(),
    "accept-ranges": "bytes",
    "cache-control": describeCaching(file, now),
    // Uploads share the origin of the API: nothing in them may act in its name.
    "x-content-type-options": "nosniff",
    "content-security-policy": "sandbox",
    "cross-origin-resource-policy": "cross-origin",
    ...(isActive(file.contentType)
      ? { "content-disposition": `attachment; filename="${file.path.slice(-100).replace(/^.*\//, "")}"` }
      : {}),
  };
}

const MAX_AGE_SECONDS = 5_184_000;

function describeCaching(file: StoredFile, now: number): string {
  if (file.acl.default !== "allow") return "private, no-cache";
  const seconds = file.expiresAt === null ? MAX_AGE_SECONDS : Math.floor((file.expiresAt - now) / 1000);
  return `public, max-age=${Math.min(MAX_AGE_SECONDS, Math.max(0, seconds))}, immutable`;
}

/** Content that a browser would run: HTML, SVG and XML of every kind. */
function isActive(contentType: string): boolean {
  const type = getEssence(contentType);
  return /^text\/(?:html|xml|xsl)$|^application\/(?:xml|xslt|mathml)$|\+xml$|xhtml|^image\/svg/.test(type);
}

function formatEtag(file: StoredFile): string {
  return `"${file.sha256}"`;
}

function isUnmodified(request: Request, file: StoredFile): boolean {
  const tags = request.headers.get("if-none-match");
  if (tags !== null)
    return tags.split(",").some((tag) => {
      const trimmed = tag.trim();
      return trimmed === "*" || trimmed.replace(/^W\//, "") === formatEtag(file);
    });
  const since = Date.parse(request.headers.get("if-modified-since") ?? "");
  return Number.isFinite(since) && Math.floor(file.createdAt / 1000) * 1000 <= since;
}

/** `If-Range` makes a range count only for the content that the caller already has a part of. */
function isRangeAsked(request: Request, file: StoredFile): boolean {
  const condition = request.headers.get("if-range")?.trim();
  if (condition === undefined) return true;
  if (condition.startsWith('"')) return condition === formatEtag(file);
  return Date.parse(condition) === Math.floor(file.createdAt / 1000) * 1000;
}
