import type { Context } from "hono";
import { PUBLIC_ACL } from "../../files/file-acl.ts";
import type { StoredFile } from "../../files/file-store.ts";
import { getExpiry } from "../../files/lifecycle.ts";
import { createUploadStore, type Upload } from "../../files/upload-store.ts";
import type { SurfaceApp, SurfaceEnv, SurfaceTools } from "../caller.ts";
import type { GatewayContext } from "../context.ts";
import { nameUpload, readLifecycleHeader } from "./describe-upload.ts";
import { formatFileUrl, formatUploadUrl, parseUploadGrant } from "./file-urls.ts";
import { readJsonBody } from "./read-json-body.ts";
import { parsePartNumber, readParts } from "./read-parts.ts";
import type { UploadReceiver } from "./receive-upload.ts";

/**
 * Where bytes arrive, in the three dialects of the fal model API ("Storage and CDN"):
 *
 * - `PUT /uploads/{grant}`: one piece, for the URL that `initiate` hands out;
 * - `PUT /uploads/{grant}/{n}` and `POST …/complete`: parts, for `initiate-multipart`; a `POST …/{n}` answers with
 *   the URL of that part, for callers that ask first;
 * - `POST /files/upload` and `/files/upload/multipart` with a CDN token, its parts under `{file}/multipart/{id}/…`.
 */
export function addUploadRoutes(
  app: SurfaceApp,
  context: GatewayContext,
  tools: SurfaceTools,
  receiver: UploadReceiver,
): void {
  const { respond } = tools;
  const { tokens, files, settings, clock } = context;
  const count = ({ size }: StoredFile): void => context.metrics.countFile({ kind: "upload", bytes: size });
  const uploads = createUploadStore({ ...context, onFile: count });
  const requireUploader = tools.requireCaller({ accepts: ["key", "cdn"] });
  const closed = (): Response => respond.sentence(403, "Upload URL expired");

  const answerStored = (file: StoredFile): Response => respond.json(200, {}, { etag: `"${file.sha256}"` });

  const takePart = async (c: Context<SurfaceEnv>, upload: Upload, text: string): Promise<Response> => {
    const partNumber = parsePartNumber(text);
    if (partNumber === undefined) return respond.sentence(400, "The part number must be 1 to 10000.");
    return await receiver.receive(c.env, upload.maxBytes, async (content, options) => {
      const part = await uploads.writePart(upload, partNumber, content, options);
      if (part === "closed") return closed();
      const etag = `"${part.sha256}"`;
      return respond.json(200, { partNumber, etag }, { etag });
    });
  };

  const complete = async (c: Context<SurfaceEnv>, upload: Upload): Promise<Response> => {
    const body = await readJsonBody(c.env.request);
    if (body.kind === "too_large") return respond.sentence(413, "Request body too large");
    const parts = readParts(body.kind === "json" ? body.value : undefined);
    if (typeof parts === "string") return respond.sentence(400, parts);
    return await receiver.receive(c.env, upload.maxBytes, async (_, options) => {
      const outcome = await uploads.complete(upload, parts, options);
      if (outcome.kind === "missing_part")
        return respond.sentence(400, `Part ${outcome.partNumber} is missing.`);
      if (outcome.kind === "changed_part")
        return respond.sentence(400, `Part ${outcome.partNumber} is not the one that was uploaded.`);
      return respond.json(200, { access_url: formatFileUrl(c.env.urls, outcome.path) });
    });
  };

  /** The upload of a signed URL; a single one takes no parts and the other way round. */
  const findGranted = async (grant: string, kind: Upload["kind"]): Promise<Upload | undefined> => {
    const id = parseUploadGrant(tokens, grant);
    const upload = id === undefined ? undefined : await uploads.find(id);
    return upload?.kind === kind ? upload : undefined;
  };

  app.put("/uploads/:grant", async (c) => {
    const upload = await findGranted(c.req.param("grant"), "single");
    if (upload === undefined || upload.isComplete) return closed();
    return await receiver.receive(c.env, upload.maxBytes, async (content, options) => {
      const file = await uploads.write(upload, content, options);
      return file === "closed" ? closed() : answerStored(file);
    });
  });

  app.put("/uploads/:grant/:part", async (c) => {
    const upload = await findGranted(c.req.param("grant"), "multipart");
    return upload === undefined ? closed() : await takePart(c, upload, c.req.param("part"));
  });

  app.post("/uploads/:grant/:action", async (c) => {
    const upload = await findGranted(c.req.param("grant"), "multipart");
    if (upload === undefined) return closed();
    const action = c.req.param("action");
    if (action === "complete") return await complete(c, upload);
    const partNumber = parsePartNumber(action);
    if (partNumber === undefined) return respond.sentence(404, "Not Found");
    if (upload.isComplete) return closed();
    return respond.json(200, { upload_url: `${formatUploadUrl(tokens, c.env.urls, upload)}/${partNumber}` });
  });

  app.post("/files/upload", requireUploader, async (c) => {
    const owner = c.get("caller");
    const asked = readLifecycleHeader(c.env.request);
    if (typeof asked === "string") return respond.sentence(400, asked);
    const lifecycle = { ...(await files.getDefaults(owner.accountId)), ...asked };
    const room = await receiver.findRoom(owner);
    if (room instanceof Response) return room;
    const { fileName, contentType } = nameUploadByHeaders(c.env.request);
    return await receiver.receive(c.env, room.maxBytes, async (content, options) => {
      const file = await files.create(
        {
          accountId: owner.accountId,
          requestId: null,
          fileName,
          contentType,
          expiresAt: getExpiry(lifecycle, clock.now(), settings.fileRetentionMs),
          ...(lifecycle.acl === undefined ? {} : { acl: lifecycle.acl }),
        },
        content,
        options,
      );
      count(file);
      return respond.json(200, { access_url: formatFileUrl(c.env.urls, file.path) });
    });
  });

  app.post("/files/upload/multipart", requireUploader, async (c) => {
    const owner = c.get("caller");
    const asked = readLifecycleHeader(c.env.request);
    if (typeof asked === "string") return respond.sentence(400, asked);
    const lifecycle = { ...(await files.getDefaults(owner.accountId)), ...asked };
    const room = await receiver.findRoom(owner);
    if (room instanceof Response) return room;
    const { fileName, contentType } = nameUploadByHeaders(c.env.request);
    const upload = await uploads.begin({
      accountId: owner.accountId,
      fileName,
      contentType,
      kind: "multipart",
      expiresAfterMs: getExpiry(lifecycle, 0, settings.fileRetentionMs),
      acl: lifecycle.acl ?? PUBLIC_ACL,
      maxBytes: room.maxBytes,
    });
    return respond.json(200, { access_url: formatFileUrl(c.env.urls, upload.path), uploadId: upload.id });
  });

  /** The upload that a token's account began for this path. */
  const findOwn = async (c: Context<SurfaceEnv>): Promise<Upload | undefined> => {
    const upload = await uploads.find(c.req.param("id") ?? "");
    const path = `files/b/${c.req.param("folder")}/${c.req.param("name")}`;
    const isOwn = upload?.path === path && upload.accountId === c.get("caller").accountId;
    return isOwn && upload.kind === "multipart" ? upload : undefined;
  };

  app.put("/files/b/:folder/:name/multipart/:id/:part", requireUploader, async (c) => {
    const upload = await findOwn(c);
    return upload === undefined ? closed() : await takePart(c, upload, c.req.param("part"));
  });

  app.post("/files/b/:folder/:name/multipart/:id/complete", requireUploader, async (c) => {
    const upload = await findOwn(c);
    return upload === undefined ? closed() : await complete(c, upload);
  });
}

function nameUploadByHeaders({ headers }: Request): { fileName: string; contentType: string } {
  return nameUpload(headers.get("x-fal-file-name"), headers.get("content-type"));
}
