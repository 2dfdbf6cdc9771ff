import { createWebhookSigningKeys } from "../../webhooks/signing-keys.ts";
import { createSurfaceApp, type SurfaceApp } from "../caller.ts";
import type { GatewayContext } from "../context.ts";
import { addAppRoutes } from "../documents/app-routes.ts";
import { addStorageRoutes } from "./storage-routes.ts";
import { addTokenRoutes } from "./token-routes.ts";

/** Routes of the `rest` surface: tokens, uploads, access rules, the webhook keys and who one is. */
export function createRestRoutes(context: GatewayContext): SurfaceApp {
  const { app, tools } = createSurfaceApp(context, "rest");
  const { respond } = tools;
  const signingKeys = createWebhookSigningKeys(context);
  addTokenRoutes(app, context, tools);
  addStorageRoutes(app, context, tools);
  addAppRoutes(app, context, tools);

  app.get("/.well-known/jwks.json", async () =>
    respond.json(200, await signingKeys.getJwks(), { "cache-control": "public, max-age=3600" }),
  );

  app.get("/users/current", tools.requireCaller(), async (c) => {
    const { accountId, keyId, scope } = c.get("caller");
    const account = await context.keys.findAccount(accountId);
    const key = keyId === null ? undefined : await context.keys.find(keyId);
    const nickname = account?.nickname ?? accountId;
    return respond.json(200, {
      user_id: accountId,
      nickname,
      full_name: nickname,
      is_personal: true,
      is_locked: false,
      key: { key_id: keyId, alias: key?.alias ?? null, scope },
    });
  });

  // Who asks for something that is not there without a credential learns first that one is needed.
  app.all("*", tools.requireCaller(), () => respond.sentence(404, "Not Found"));
  return app;
}
