import { randomBytes } from "node:crypto";
import type { SurfaceApp, SurfaceTools } from "../caller.ts";
import type { GatewayContext } from "../context.ts";
import { formatSessionCookie, isFromElsewhere, SESSION_SECONDS } from "../session-cookie.ts";
import { PlatformError } from "./platform-error.ts";

/**
 * `/v1/sluice/session`: a page trades a key for a session, so that it need not keep the key. The session is a signed
 * token in an HttpOnly cookie and a secret in the answer, good together only, for twelve hours, and no longer than
 * the key.
 */
export function addSessionRoutes(app: SurfaceApp, tools: SurfaceTools, context: GatewayContext): void {
  const { keys, tokens, clock } = context;
  const { respond, requireCaller } = tools;

  app.get("/sluice/session", requireCaller(), async (c) => {
    const { keyId, scope, accountId } = c.get("caller");
    const key = keyId === null ? undefined : await keys.find(keyId);
    return respond.json(200, { key_id: keyId, alias: key?.alias ?? null, scope, account_id: accountId });
  });

  app.post("/sluice/session", requireCaller(), async (c) => {
    const { request, url, urls } = c.env;
    if (isFromElsewhere(request))
      throw new PlatformError("authorization_error", "Only pages of this server may sign in.");
    const secret = randomBytes(32).toString("base64url");
    const caller = c.get("caller");
    const token = await tokens.issueSessionToken(caller, secret, SESSION_SECONDS);
    const expiresAt = new Date(clock.now() + SESSION_SECONDS * 1000).toISOString();
    const isSecure = urls.origin.startsWith("https:");
    return respond.json(
      201,
      { secret, key_id: caller.keyId, scope: caller.scope, expires_at: expiresAt },
      { "set-cookie": formatSessionCookie(url, token, isSecure), "cache-control": "no-store" },
    );
  });

  // Without a credential too: who cannot be told apart any more wants to be signed out all the same.
  app.delete("/sluice/session", (c) => {
    if (isFromElsewhere(c.env.request))
      throw new PlatformError("authorization_error", "Only pages of this server may sign out.");
    const cookie = formatSessionCookie(c.env.url, "", c.env.urls.origin.startsWith("https:"));
    return new Response(null, { status: 204, headers: { "set-cookie": cookie } });
  });
}
