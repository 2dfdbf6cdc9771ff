import { CursorError } from "../../cursor-error.ts";
import { createSurfaceApp, type SurfaceApp } from "../caller.ts";
import type { GatewayContext } from "../context.ts";
import { createNotices } from "../events/notices.ts";
import { hideSecrets } from "../hide-secrets.ts";
import { addAccountRoutes } from "./account-routes.ts";
import { addAnalyticsRoutes } from "./analytics-routes.ts";
import { addDeliveryRoutes } from "./delivery-routes.ts";
import { addEventRoutes } from "./event-routes.ts";
import { addFileRoutes } from "./file-routes.ts";
import { addInboxRoutes } from "./inbox-routes.ts";
import { addInstalledModelRoutes } from "./installed-model-routes.ts";
import { addKeyRoutes } from "./key-routes.ts";
import { addModelRoutes } from "./model-routes.ts";
import { createPlatformDocument } from "./platform-document.ts";
import { PlatformError } from "./platform-error.ts";
import { addPriceRoutes } from "./price-routes.ts";
import { addPricingRoutes } from "./pricing-routes.ts";
import { addQueueAdminRoutes } from "./queue-admin-routes.ts";
import { addRequestRoutes } from "./request-routes.ts";
import { addSampleRoutes } from "./sample-routes.ts";
import { addSessionRoutes } from "./session-routes.ts";
import { addSluiceKeyRoutes } from "./sluice-key-routes.ts";
import { addSluiceRequestRoutes } from "./sluice-request-routes.ts";
import { addStorageRoutes } from "./storage-routes.ts";
import { addUsageRoutes } from "./usage-routes.ts";
import { addUsageSumRoutes } from "./usage-sum-routes.ts";
import { addWorkerRoutes } from "./worker-routes.ts";

/**
 * Routes of the `platform` surface: the must-haves of the hosted platform API, what of the rest makes sense on one's
 * own machines, and our own under `/v1/sluice`. A key of scope API sees its own account only, one of scope ADMIN all
 * that the server holds.
 */
export function createPlatformRoutes(context: GatewayContext): SurfaceApp {
  const { app, tools } = createSurfaceApp(context, "platform");
  const notices = createNotices(context.live);
  app.onError((error, c) => {
    if (error instanceof PlatformError)
      return tools.respond.platform(error.status, error.type, error.message);
    if (error instanceof CursorError) return tools.respond.platform(400, "validation_error", error.message);
    context.logger.error(
      { err: error, method: c.req.method, path: hideSecrets(c.env.path) },
      "a platform route failed",
    );
    return tools.respond.platform(500, "server_error", "Internal Server Error");
  });
  app.get("/openapi.json", (c) =>
    tools.respond.json(200, createPlatformDocument(c.env.urls.origin, context.version)),
  );
  addModelRoutes(app, tools, context);
  addPricingRoutes(app, tools, context);
  addRequestRoutes(app, tools, context);
  addUsageRoutes(app, tools, context);
  addAnalyticsRoutes(app, tools, context);
  addKeyRoutes(app, tools, context);
  addSluiceKeyRoutes(app, tools, context);
  addQueueAdminRoutes(app, tools, context, notices);
  addWorkerRoutes(app, tools, context, notices);
  addUsageSumRoutes(app, tools, context);
  addPriceRoutes(app, tools, context, notices);
  addInstalledModelRoutes(app, tools, context);
  addSluiceRequestRoutes(app, tools, context);
  addDeliveryRoutes(app, tools, context);
  addInboxRoutes(app, tools, context, notices);
  addSampleRoutes(app, tools, context);
  addEventRoutes(app, tools, context, notices);
  addSessionRoutes(app, tools, context);
  addStorageRoutes(app, tools, context);
  addFileRoutes(app, tools, context);
  // Last: it answers for everything below the names that this server has not.
  addAccountRoutes(app, tools, context);
  return app;
}
