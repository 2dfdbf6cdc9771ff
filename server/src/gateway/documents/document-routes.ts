import { createSurfaceApp, type SurfaceApp } from "../caller.ts";
import type { GatewayContext } from "../context.ts";
import { createEndpointDocument } from "./endpoint-document.ts";
import { formatEndpointText } from "./endpoint-text.ts";
import { formatIndexText } from "./index-text.ts";

/**
 * Routes of the `docs` surface, all public: the queue document of an endpoint and the plain-text pages (fal model API,
 * "OpenAPI and metadata conventions").
 */
export function createDocumentRoutes(context: GatewayContext): SurfaceApp {
  const { catalog } = context;
  const { app, tools } = createSurfaceApp(context, "docs");
  const { respond } = tools;

  app.get("/api/openapi/queue/openapi.json", (c) => {
    const entry = catalog.find(c.req.query("endpoint_id") ?? "");
    // The hosted service answers an unknown id with null.
    if (entry === undefined) return respond.json(404, null);
    return respond.json(200, createEndpointDocument(entry, c.env.urls));
  });

  app.get("/llms.txt", (c) => respondText(formatIndexText(catalog, c.env.urls)));

  app.get("/models/*", (c) => {
    const endpointId = findEndpointId(c.req.path);
    const entry = endpointId === undefined ? undefined : catalog.find(endpointId);
    if (entry === undefined) return respond.sentence(404, "Not Found");
    return respondText(formatEndpointText(entry, c.env.urls));
  });

  return app;
}

function findEndpointId(path: string): string | undefined {
  return /^\/models\/(.+)\/llms\.txt$/.exec(path)?.[1];
}

function respondText(text: string): Response {
  return new Response(text, { headers: { "content-type": "text/plain; charset=utf-8" } });
}
