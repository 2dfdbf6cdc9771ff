import { createSurfaceApp, type SurfaceApp } from "../caller.ts";
import type { GatewayContext } from "../context.ts";

/** Routes of the `rest` surface. Empty: every path answers 404. */
export function createRestRoutes(context: GatewayContext): SurfaceApp {
  const { app } = createSurfaceApp(context, "rest");
  return app;
}
