import { createArchiveStore, measureZip, zipFiles } from "../../files/archives.ts";
import type { FileFilter, StoredFile } from "../../files/file-store.ts";
import type { Caller } from "../../keys/caller.ts";
import type { Call } from "../call.ts";
import type { SurfaceApp, SurfaceTools } from "../caller.ts";
import { formatFileUrl, parseFileUrl, signFileUrl } from "../cdn/file-urls.ts";
import type { GatewayContext } from "../context.ts";
import { limitToCaller, maySee } from "./limit-to-caller.ts";
import { PlatformError } from "./platform-error.ts";
import { readJson } from "./read-json.ts";
import {
  formatPage,
  invalid,
  readChoice,
  readEndpointIds,
  readFlag,
  readId,
  readLimit,
  readTime,
} from "./read-query.ts";

/** Most files that one call changes or packs. */
const MAX_FILES = 1_000;
const MAX_SEARCH = 200;
/** A hundred years: what a file's expiry may be at most, in seconds. */
const MAX_EXPIRY_SECONDS = 100 * 366 * 86_400;
/** How long the link to a file that is not public reads it. */
const SIGNED_MS = 3_600_000;

/**
 * `/v1/sluice/files`: outputs and uploads with their expiry; deleting them, changing when they expire and downloading
 * many at once. A key of scope ADMIN sees every account's files, any other its own account's only.
 */
export function addFileRoutes(app: SurfaceApp, tools: SurfaceTools, context: GatewayContext): void {
  const { files, tokens, clock } = context;
  const { respond, requireCaller } = tools;
  const archives = createArchiveStore(context);

  app.get("/sluice/files", requireCaller(), async (c) => {
    const page = await files.list(readFilter(c.env.url.searchParams, c.get("caller")));
    return respond.json(200, {
      files: page.files.map((file) => format(c.env, file)),
      ...formatPage(page.nextCursor),
    });
  });

  app.post("/sluice/files/delete", requireCaller(), async (c) => {
    const { found, missing } = await findFiles(c.get("caller"), await readJson(c.env.request));
    const outcomes = await Promise.all(found.map(({ path }) => files.remove(path)));
    return respond.json(200, { deleted: outcomes.filter(Boolean).length, missing });
  });

  app.post("/sluice/files/expiry", requireCaller(), async (c) => {
    const body = await readJson(c.env.request);
    const expiresAt = readExpiry(body["expires_in_seconds"], clock.now());
    const { found, missing } = await findFiles(c.get("caller"), body);
    await Promise.all(found.map(({ path }) => files.setExpiry(path, expiresAt)));
    return respond.json(200, {
      files: found.map((file) => format(c.env, { ...file, expiresAt })),
      missing,
    });
  });

  app.post("/sluice/files/archives", requireCaller(), async (c) => {
    const { found, missing } = await findFiles(c.get("caller"), await readJson(c.env.request));
    if (found.length === 0) throw new PlatformError("not_found", "There is none of these files.");
    const archive = await archives.create(
      c.get("caller").accountId,
      found.map(({ path }) => path),
    );
    return respond.json(201, {
      url: `${c.env.urls.origin}/v1/sluice/files/archives/${archive.id}`,
      expires_at: new Date(archive.expiresAt).toISOString(),
      files: found.length,
      missing,
    });
  });

  // Without a key: its id is as hard to guess as the paths of the files in it, and a link must be enough to download.
  app.get("/sluice/files/archives/:archiveId", async (c) => {
    const archive = await archives.find(c.req.param("archiveId"));
    const found = archive === undefined ? [] : await findAll(archive.paths);
    if (found.length === 0)
      throw new PlatformError("not_found", "There is no such archive any more; choose its files again.");
    const headers = {
      "content-type": "application/zip",
      "content-length": String(measureZip(found)),
      "content-disposition": `attachment; filename="${formatArchiveName(clock.now())}"`,
      "cache-control": "no-store",
      "x-content-type-options": "nosniff",
    };
    const body = c.env.request.method === "HEAD" ? null : zipFiles(files, found);
    return new Response(body, { headers });
  });

  async function findAll(paths: readonly string[]): Promise<readonly StoredFile[]> {
    const found = await Promise.all(paths.map((path) => files.find(path)));
    return found.filter((file) => file !== undefined);
  }

  /** The files that `urls` names as far as the caller may see them, and the URLs of the others. */
  async function findFiles(
    caller: Caller,
    { urls }: Readonly<Record<string, unknown>>,
  ): Promise<{ readonly found: readonly StoredFile[]; readonly missing: readonly string[] }> {
    if (!Array.isArray(urls) || urls.length === 0 || urls.length > MAX_FILES)
      throw invalid(`"urls" must be a list of 1 to ${MAX_FILES} URLs of files of this server.`);
    const wrong = urls.find((url) => typeof url !== "string");
    if (wrong !== undefined) throw invalid(`"urls" must hold texts, not ${JSON.stringify(wrong)}.`);
    const found: StoredFile[] = [];
    const missing: string[] = [];
    const unique = [...new Set(urls as string[])];
    const looked = await Promise.all(
      unique.map(async (url) => {
        const path = parseFileUrl(url);
        return path === undefined ? undefined : await files.find(path);
      }),
    );
    for (const [index, file] of looked.entries()) {
      if (file !== undefined && maySee(caller, file.accountId)) found.push(file);
      else missing.push(unique[index] ?? "");
    }
    return { found, missing };
  }

  function format({ urls }: Call, file: StoredFile): Readonly<Record<string, unknown>> {
    const isPublic = file.acl.default === "allow";
    return {
      url: formatFileUrl(urls, file.path),
      signed_url: isPublic ? null : signFileUrl(tokens, urls, file.path, clock.now() + SIGNED_MS),
      file_name: file.fileName,
      content_type: file.contentType,
      file_size: file.size,
      kind: file.requestId === null ? "upload" : "output",
      account_id: file.accountId,
      request_id: file.requestId,
      endpoint_id: file.endpointId,
      created_at: new Date(file.createdAt).toISOString(),
      expires_at: file.expiresAt === null ? null : new Date(file.expiresAt).toISOString(),
      width: file.width,
      height: file.height,
    };
  }
}

function readFilter(query: URLSearchParams, caller: Caller): FileFilter {
  const search = query.get("q") ?? "";
  if (search.length > MAX_SEARCH || search.includes("\0"))
    throw invalid(`"q" must be a text of at most ${MAX_SEARCH} characters.`);
  const kind = readChoice(query, "kind", ["upload", "output"]);
  const media = readChoice(query, "media", ["image", "video", "audio", "other"]);
  const endpointIds = readEndpointIds(query);
  const requestId = readId(query, "request_id") as FileFilter["requestId"];
  const [startAt, endAt] = [readTime(query, "start"), readTime(query, "end")];
  const isKept = query.has("expires") ? !readFlag(query, "expires", false) : undefined;
  const expiresBefore = readTime(query, "expires_before");
  const cursor = query.get("cursor") ?? "";
  return {
    limit: readLimit(query, { fallback: 50, max: 500 }),
    ...limitToCaller(caller),
    ...(search === "" ? {} : { search }),
    ...(kind === undefined ? {} : { kind }),
    ...(media === undefined ? {} : { media }),
    ...(endpointIds.length === 0 ? {} : { endpointIds }),
    ...(requestId === undefined ? {} : { requestId }),
    ...(startAt === undefined ? {} : { startAt }),
    ...(endAt === undefined ? {} : { endAt }),
    ...(isKept === undefined ? {} : { isKept }),
    ...(expiresBefore === undefined ? {} : { expiresBefore }),
    ...(cursor === "" ? {} : { cursor }),
  };
}

/** Epoch ms; null: never. */
function readExpiry(seconds: unknown, now: number): number | null {
  if (seconds === null) return null;
  if (
    typeof seconds !== "number" ||
    !Number.isInteger(seconds) ||
    seconds < 1 ||
    seconds > MAX_EXPIRY_SECONDS
  )
    throw invalid(
      `"expires_in_seconds" must be a whole number of seconds from 1 to ${MAX_EXPIRY_SECONDS}, or null for never.`,
    );
  return now + seconds * 1000;
}

function formatArchiveName(now: number): string {
  return `files-${new Date(now).toISOString().slice(0, 19).replaceAll(":", "").replace("T", "-")}.zip`;
}
