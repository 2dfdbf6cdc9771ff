import { createSurfaceApp, type SurfaceApp } from "../caller.ts";
import type { GatewayContext } from "../context.ts";

/** Routes of the `docs` surface. Empty: every path answers 404. */
export function createDocumentRoutes(context: GatewayContext): SurfaceApp {
  const { app } = createSurfaceApp(context, "docs");
  return app;
}
