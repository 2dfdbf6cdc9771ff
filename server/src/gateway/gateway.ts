import { createRequestId } from "../ids.ts";
import type { Call, Connection } from "./call.ts";
import type { SurfaceApp } from "./caller.ts";
import { createCdnRoutes } from "./cdn/cdn-routes.ts";
import type { GatewayContext } from "./context.ts";
import { createDocumentRoutes } from "./documents/document-routes.ts";
import { createPlatformRoutes } from "./platform/platform-routes.ts";
import { createUrlBuilder } from "./public-urls.ts";
import { CORS_HEADERS, createRespond } from "./respond.ts";
import { createRestRoutes } from "./rest/rest-routes.ts";
import { findPlace, type Place } from "./surfaces.ts";

/** The HTTP face of the server: every surface behind one function of Web requests and responses. */
export interface Gateway {
  /** Answers one request. Never rejects. Aborting `request.signal` stops what only this caller waits for. */
  fetch(request: Request, connection: Connection): Promise<Response>;
}

export function createGateway(context: GatewayContext): Gateway {
  const respond = createRespond(context.settings);
  const urlBuilder = createUrlBuilder(context.settings);
  const { baseDomain } = context.settings;
  const routes = {
    rest: useApp(createRestRoutes(context)),
    cdn: useApp(createCdnRoutes(context)),
    platform: useApp(createPlatformRoutes(context)),
    docs: useApp(createDocumentRoutes(context)),
    queue: async () => respond.sentence(404, "Not Found"),
    run: async () => respond.sentence(404, "Not Found"),
    ws: async () => respond.sentence(404, "Not Found"),
  };

  const answer = async (request: Request, connection: Connection, requestId: Call["requestId"]) => {
    if (request.method === "OPTIONS") return answerPreflight(request);
    const url = new URL(request.url);
    const address = urlBuilder.findAddress(request, url, connection);
    const place = findPlace(address.host, url.pathname, baseDomain);
    if (place.kind === "server") return answerItself(place.path);
    if (place.kind === "proxy") return respond.json(400, "Invalid request");
    const call = createCall(place, { request, url, connection, requestId });
    const urls = urlBuilder.build(address, place.virtualHost, connection);
    return await routes[place.surface]({ ...call, urls });
  };

  const answerItself = (path: string): Response => {
    if (path === "/health") return respond.json(200, { status: "ok", version: context.version });
    return respond.sentence(404, "Not Found");
  };

  return {
    async fetch(request, connection) {
      const requestId = createRequestId(context.clock.now());
      try {
        return finish(await answer(request, connection, requestId), requestId);
      } catch (error) {
        context.logger.error({ err: error, method: request.method }, "a request failed unexpectedly");
        return finish(respond.sentence(500, "Internal Server Error"), requestId);
      }
    },
  };
}

type Route = (call: Call) => Promise<Response>;

function useApp(app: SurfaceApp): Route {
  return async (call) => await app.fetch(call.request, call);
}

function createCall(
  place: Extract<Place, { kind: "surface" }>,
  parts: Pick<Call, "request" | "url" | "connection" | "requestId">,
): Omit<Call, "urls"> {
  const style = place.virtualHost === undefined ? "mount" : "host";
  return { ...parts, surface: place.surface, path: place.path, style };
}

function answerPreflight(request: Request): Response {
  return new Response(null, {
    status: 204,
    headers: {
      ...CORS_HEADERS,
      "access-control-allow-methods": "GET, HEAD, POST, PUT, PATCH, DELETE, OPTIONS",
      "access-control-allow-headers":
        request.headers.get("access-control-request-headers") ?? "authorization, content-type",
      "access-control-max-age": "86400",
      vary: "access-control-request-headers",
    },
  });
}

function finish(response: Response, requestId: string): Response {
  const { headers } = response;
  if (!headers.has("x-fal-request-id")) headers.set("x-fal-request-id", requestId);
  if (!headers.has("access-control-allow-origin"))
    for (const [name, value] of Object.entries(CORS_HEADERS)) headers.set(name, value);
  return response;
}
