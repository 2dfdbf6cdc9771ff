import { createErrorDetail } from "@sluice/protocol";
import type { Context } from "hono";
import { PUBLIC_ACL, parseFileAcl } from "../../files/file-acl.ts";
import type { StoredFile } from "../../files/file-store.ts";
import { getExpiry } from "../../files/lifecycle.ts";
import { createUploadStore, type Upload } from "../../files/upload-store.ts";
import type { SurfaceApp, SurfaceEnv, SurfaceTools } from "../caller.ts";
import { nameUpload, readLifecycleHeader } from "../cdn/describe-upload.ts";
import { formatFileUrl, formatUploadUrl, parseFileUrl } from "../cdn/file-urls.ts";
import { createUploadReceiver } from "../cdn/receive-upload.ts";
import type { GatewayContext } from "../context.ts";
import { readFields } from "./read-fields.ts";

/**
 * - `POST /storage/upload/initiate` and `initiate-multipart`, whatever the `storage_type`: `{upload_url, file_url}`;
 *   `complete-multipart` is an older name of the latter;
 * - `GET` and `PUT /storage/files/acl?url=`: who may read a file of one's own.
 */
export function addStorageRoutes(app: SurfaceApp, context: GatewayContext, tools: SurfaceTools): void {
  const { respond, requireCaller } = tools;
  const { tokens, files, settings } = context;
  const uploads = createUploadStore(context);
  const receiver = createUploadReceiver(context, respond);

  const initiate = async (c: Context<SurfaceEnv>, kind: Upload["kind"]): Promise<Response> => {
    const owner = c.get("caller");
    const asked = readLifecycleHeader(c.env.request);
    if (typeof asked === "string") return respond.sentence(400, asked);
    const lifecycle = { ...(await files.getDefaults(owner.accountId)), ...asked };
    const fields = await readFields(c.env.request, respond);
    if (fields instanceof Response) return fields;
    for (const name of ["file_name", "content_type"]) {
      const value = fields[name] ?? "";
      if (typeof value !== "string")
        return respond.list([createErrorDetail("string_type", ["body", name], { input: value })]);
    }
    const room = await receiver.findRoom(owner);
    if (room instanceof Response) return room;
    const upload = await uploads.begin({
      accountId: owner.accountId,
      ...nameUpload(fields["file_name"] as string | null, fields["content_type"] as string | null),
      kind,
      expiresAfterMs: getExpiry(lifecycle, 0, settings.fileRetentionMs),
      acl: lifecycle.acl ?? PUBLIC_ACL,
      maxBytes: room.maxBytes,
    });
    return respond.json(200, {
      upload_url: formatUploadUrl(tokens, c.env.urls, upload),
      file_url: formatFileUrl(c.env.urls, upload.path),
    });
  };

  app.post("/storage/upload/initiate", requireCaller(), (c) => initiate(c, "single"));
  for (const name of ["initiate-multipart", "complete-multipart"])
    app.post(`/storage/upload/${name}`, requireCaller(), (c) => initiate(c, "multipart"));

  /** A file of the caller's own; everything else looks as if it were not there. */
  const findOwn = async (c: Context<SurfaceEnv>): Promise<StoredFile | undefined> => {
    const path = parseFileUrl(c.env.url.searchParams.get("url") ?? "");
    const file = path === undefined ? undefined : await files.find(path);
    return file?.accountId === c.get("caller").accountId ? file : undefined;
  };

  app.get("/storage/files/acl", requireCaller(), async (c) => {
    const file = await findOwn(c);
    return file === undefined ? respond.sentence(404, "Not Found") : respond.json(200, file.acl);
  });

  app.put("/storage/files/acl", requireCaller(), async (c) => {
    const file = await findOwn(c);
    if (file === undefined) return respond.sentence(404, "Not Found");
    const fields = await readFields(c.env.request, respond);
    if (fields instanceof Response) return fields;
    const acl = parseFileAcl(fields);
    if (typeof acl === "string")
      return respond.list([createErrorDetail("value_error", ["body"], { msg: acl, input: fields })]);
    await files.setAcl(file.path, acl);
    const applied = await files.find(file.path);
    return applied === undefined ? respond.sentence(404, "Not Found") : respond.json(200, applied.acl);
  });
}
