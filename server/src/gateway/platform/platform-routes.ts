import { createSurfaceApp, type SurfaceApp } from "../caller.ts";
import type { GatewayContext } from "../context.ts";

/** Routes of the `platform` surface. Empty: every path answers 404. */
export function createPlatformRoutes(context: GatewayContext): SurfaceApp {
  const { app } = createSurfaceApp(context, "platform");
  return app;
}
