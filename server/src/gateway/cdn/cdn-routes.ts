import { createSurfaceApp, type SurfaceApp } from "../caller.ts";
import type { GatewayContext } from "../context.ts";
import { parseFileUrl, signFileUrl } from "./file-urls.ts";
import { readJsonBody } from "./read-json-body.ts";
import { createUploadReceiver } from "./receive-upload.ts";
import { createFileServer } from "./serve-file.ts";
import { addUploadRoutes } from "./upload-routes.ts";

/** Routes of the `cdn` surface: files are read, signed and uploaded here (fal model API, "Storage and CDN"). */
export function createCdnRoutes(context: GatewayContext): SurfaceApp {
  const { app, tools } = createSurfaceApp(context, "cdn");
  const { respond } = tools;
  const serveFile = createFileServer(context, tools);
  addUploadRoutes(app, context, tools, createUploadReceiver(context, respond));

  app.get("/files/b/:folder/:name", async (c) => await serveFile(c.env));

  app.post("/files/b/:folder/:name/sign", tools.requireCaller({ accepts: ["key", "cdn"] }), async (c) => {
    const path = parseFileUrl(`/files/b/${c.req.param("folder")}/${c.req.param("name")}`);
    const file = path === undefined ? undefined : await context.files.find(path);
    if (file === undefined || file.accountId !== c.get("caller").accountId)
      return respond.sentence(404, "Not Found");
    const seconds = readDuration(await readJsonBody(c.env.request));
    if (seconds === undefined)
      return respond.sentence(400, `"duration" must be 1 to ${MAX_SIGNED_SECONDS} seconds.`);
    const expiresAt = context.clock.now() + seconds * 1000;
    return new Response(signFileUrl(context.tokens, c.env.urls, file.path, expiresAt), {
      headers: { "content-type": "text/plain; charset=utf-8" },
    });
  });

  app.all("/files/b/:folder/:name", () =>
    respond.sentence(405, "Method Not Allowed", { allow: "GET, HEAD, OPTIONS" }),
  );
  return app;
}

const MAX_SIGNED_SECONDS = 7 * 86_400;

function readDuration(body: Awaited<ReturnType<typeof readJsonBody>>): number | undefined {
  if (body.kind === "empty") return 86_400;
  const { duration = 86_400 } = (body.kind === "json" ? (body.value ?? {}) : { duration: NaN }) as {
    duration?: unknown;
  };
  return typeof duration === "number" && duration >= 1 && duration <= MAX_SIGNED_SECONDS
    ? duration
    : undefined;
}
