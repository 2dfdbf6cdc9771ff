import { Hono, type MiddlewareHandler } from "hono";
import type { Caller } from "../keys/caller.ts";
import { type Access, type Authenticator, createAuthenticator } from "./authenticate.ts";
import type { Call } from "./call.ts";
import type { GatewayContext, Surface } from "./context.ts";
import { hideSecrets } from "./hide-secrets.ts";
import { createRespond, type Respond } from "./respond.ts";

/**
 * What a route of a surface finds on its Hono context: `c.env` is the {@link Call} (request id, public URLs, parsed
 * URL, path inside the surface); `c.get("caller")` is set behind {@link SurfaceTools.requireCaller}.
 */
export interface SurfaceEnv {
  Bindings: Call;
  Variables: { caller: Caller };
}

/** Hono app whose paths are relative to its surface: `/storage/upload/initiate` for `/rest/storage/upload/initiate`. */
export type SurfaceApp = Hono<SurfaceEnv>;

export interface SurfaceTools {
  readonly respond: Respond;
  readonly authenticator: Authenticator;
  /** Refuses who may not call; behind it `c.get("caller")` is the caller. */
  requireCaller(options?: Omit<Access, "surface">): MiddlewareHandler<SurfaceEnv>;
  /** The caller when the request carries a good credential; undefined when it has none or a bad one. */
  findCaller(call: Call, options?: Omit<Access, "surface">): Promise<Caller | undefined>;
}

/**
 * Makes an empty app for one surface. Trailing slashes are ignored, unknown paths answer 404 and unexpected errors
 * 500 in the shape of the surface. CORS, preflights and `x-fal-request-id` are the gateway's: routes do not care.
 */
export function createSurfaceApp(
  context: GatewayContext,
  surface: Surface,
): { readonly app: SurfaceApp; readonly tools: SurfaceTools } {
  const respond = createRespond(context.settings);
  const authenticator = createAuthenticator({ keys: context.keys, tokens: context.tokens, respond });
  const app: SurfaceApp = new Hono<SurfaceEnv>({ getPath: getSurfacePath });
  app.notFound((c) =>
    surface === "platform"
      ? respond.platform(404, "not_found", `There is no ${c.req.method} /v1${c.env.path}.`)
      : respond.sentence(404, "Not Found"),
  );
  app.onError((error, c) => {
    context.logger.error(
      { err: error, method: c.req.method, path: hideSecrets(c.env.path), surface },
      "a route failed unexpectedly",
    );
    return surface === "platform"
      ? respond.platform(500, "server_error", "Internal Server Error")
      : respond.sentence(500, "Internal Server Error");
  });
  const tools: SurfaceTools = {
    respond,
    authenticator,
    requireCaller: (options) => async (c, next) => {
      const access = { surface, ...options };
      const outcome = await authenticator.authenticate(c.env.request, c.env.url, access);
      if (!outcome.ok) return outcome.response;
      c.set("caller", outcome.caller);
      await next();
      return undefined;
    },
    async findCaller(call, options) {
      if (!authenticator.hasCredential(call.request, call.url)) return undefined;
      const outcome = await authenticator.authenticate(call.request, call.url, { surface, ...options });
      return outcome.ok ? outcome.caller : undefined;
    },
  };
  return { app, tools };
}

function getSurfacePath(_request: Request, options?: { readonly env?: unknown }): string {
  // The gateway calls every surface app with the call as its environment.
  const path = (options?.env as Call | undefined)?.path ?? "/";
  const trimmed = path.length > 1 && path.endsWith("/") ? path.slice(0, -1) : path;
  return trimmed.includes("%") ? decodePath(trimmed) : trimmed;
}

/** As Hono does it: `%25` stays, so that parameters are decoded once. */
function decodePath(path: string): string {
  try {
    return decodeURI(path.replaceAll("%25", "%2525"));
  } catch {
    return path;
  }
}
