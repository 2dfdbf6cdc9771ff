import type { SurfaceApp, SurfaceTools } from "../caller.ts";
import type { GatewayContext } from "../context.ts";
import { createAppDocument } from "./app-document.ts";

/** `GET /applications/{owner}/{alias}/metadata` of the `rest` surface: the app's document, public. */
export function addAppRoutes(app: SurfaceApp, context: GatewayContext, { respond }: SurfaceTools): void {
  app.get("/applications/:owner/:alias/metadata", (c) => {
    const name = `${c.req.param("owner")}/${c.req.param("alias")}`;
    const document = createAppDocument(context.catalog, name, c.env.urls);
    return document === undefined
      ? respond.sentence(404, `Application "${c.req.param("alias")}" not found`)
      : respond.json(200, document);
  });
}
