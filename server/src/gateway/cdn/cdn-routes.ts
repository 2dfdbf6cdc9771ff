import { createSurfaceApp, type SurfaceApp } from "../caller.ts";
import type { GatewayContext } from "../context.ts";

/** Routes of the `cdn` surface. Empty: every path answers 404. */
export function createCdnRoutes(context: GatewayContext): SurfaceApp {
  const { app } = createSurfaceApp(context, "cdn");
  return app;
}
