import { createRequestId } from "../ids.ts";
import { createAppRoutes } from "./app/app-routes.ts";
import { type Authenticator, createAuthenticator } from "./authenticate.ts";
import type { Call, Connection, Route } from "./call.ts";
import type { SurfaceApp } from "./caller.ts";
import { createCdnRoutes } from "./cdn/cdn-routes.ts";
import type { GatewayContext, Surface } from "./context.ts";
import { createDocumentRoutes } from "./documents/document-routes.ts";
import { createFreeSpaceCheck } from "./free-space.ts";
import { hideSecrets } from "./hide-secrets.ts";
import { createPlatformRoutes } from "./platform/platform-routes.ts";
import { parseProxyTarget } from "./proxy-target.ts";
import { createUrlBuilder, type PublicAddress } from "./public-urls.ts";
import { createQueueSurface } from "./queue/queue-surface.ts";
import { addCommonHeaders, CORS_HEADERS, createRespond, type Respond } from "./respond.ts";
import { createRestRoutes } from "./rest/rest-routes.ts";
import { createRunCounter, type RunCounter } from "./run/run-counter.ts";
import { createRunSurface } from "./run/run-surface.ts";
import { createServerRoutes } from "./server-routes.ts";
import { findPlace } from "./surfaces.ts";
import type { Upgrade } from "./ws/accept-upgrades.ts";
import { createUpgrade } from "./ws/create-upgrade.ts";

/** The HTTP face of the server: every surface behind one function of Web requests and responses. */
export interface Gateway {
  /** Answers one request. Never rejects. Aborting `request.signal` stops what only this caller waits for. */
  fetch(request: Request, connection: Connection): Promise<Response>;
  /** Answers a WebSocket handshake. Never rejects. */
  upgrade(request: Request, connection: Connection): Promise<Upgrade>;
}

export function createGateway(context: GatewayContext): Gateway {
  const { settings, clock, logger } = context;
  const respond = createRespond(settings);
  const urlBuilder = createUrlBuilder(settings);
  const authenticator = createAuthenticator({ keys: context.keys, tokens: context.tokens, respond });
  const counter = createRunCounter(context.keys, context.queue);
  const surfaces = createSurfaces(context, { respond, authenticator, counter });
  const { run } = surfaces;
  const upgrade = createUpgrade(context, { respond, authenticator, urlBuilder, counter, run });
  const appRoutes = createAppRoutes(context);
  const serverRoutes = createServerRoutes(context, { respond, authenticator });

  const answer = async (
    request: Request,
    connection: Connection,
    requestId: Call["requestId"],
  ): Promise<Response> => {
    if (request.method === "OPTIONS") return answerPreflight(request, requestId);
    const url = new URL(request.url);
    const address = urlBuilder.findAddress(request, url, connection);
    const place = findPlace(address.host, url.pathname, settings.baseDomain);
    switch (place.kind) {
      case "surface": {
        const { surface, path, virtualHost } = place;
        const style = virtualHost === undefined ? "mount" : "host";
        const userAgent = request.headers.get("user-agent");
        const urls = urlBuilder.build(address, virtualHost, connection, userAgent);
        return await surfaces[surface]({ request, url, surface, path, style, requestId, urls, connection });
      }
      case "proxy":
        return await answerProxy({ request, url, address, connection, requestId });
      case "server": {
        const call = { request, url, path: place.path, connection };
        const page = await appRoutes(call);
        return page ?? addCommonHeaders(await serverRoutes(call), requestId);
      }
      default:
        return place satisfies never;
    }
  };

  /** Answers as if the call had come to the host it names, with URLs that lead back here. */
  const answerProxy = async (outer: {
    readonly request: Request;
    readonly url: URL;
    readonly address: PublicAddress;
    readonly connection: Connection;
    readonly requestId: Call["requestId"];
  }): Promise<Response> => {
    const { address, connection, requestId } = outer;
    const urls = urlBuilder.build(address, undefined, connection);
    const url = parseProxyTarget(outer.request.headers.get("x-fal-target-url"), [
      urls.origin,
      `${address.scheme}://${address.host}`,
    ]);
    const place = url === undefined ? undefined : findPlace(url.host, url.pathname, settings.baseDomain);
    if (url === undefined || place?.kind !== "surface")
      return addCommonHeaders(respond.json(400, "Invalid request"), requestId);
    const request = retarget(outer.request, url);
    const { surface, path } = place;
    return await surfaces[surface]({
      request,
      url,
      surface,
      path,
      style: "proxy",
      requestId,
      urls,
      connection,
    });
  };

  return {
    upgrade,
    async fetch(request, connection) {
      const requestId = createRequestId(clock.now());
      const startedAt = clock.monotonic();
      let response: Response;
      try {
        response = await answer(request, connection, requestId);
      } catch (error) {
        logger.error({ err: error, method: request.method, requestId }, "a call failed unexpectedly");
        response = addCommonHeaders(respond.sentence(500, "Internal Server Error"), requestId);
      }
      // The query is left out: it may hold a token.
      const path = hideSecrets(request.url.split("?", 1)[0] ?? "");
      const ms = clock.monotonic() - startedAt;
      logger.debug({ method: request.method, path, status: response.status, ms, requestId }, "answered");
      return response;
    },
  };
}

function createSurfaces(
  context: GatewayContext,
  parts: {
    readonly respond: Respond;
    readonly authenticator: Authenticator;
    readonly counter: RunCounter;
  },
): Readonly<Record<Surface, Route>> {
  const { blobs, clock, settings } = context;
  const freeSpace = createFreeSpaceCheck({ blobs, clock, minFreeBytes: settings.minFreeBytes });
  return {
    queue: createQueueSurface(context, { ...parts, freeSpace }),
    run: createRunSurface(context, parts),
    ws: async (call) =>
      addCommonHeaders(
        parts.respond.sentence(426, "This address speaks WebSocket.", { upgrade: "websocket" }),
        call.requestId,
      ),
    rest: useApp(createRestRoutes(context)),
    cdn: useApp(createCdnRoutes(context)),
    platform: useApp(createPlatformRoutes(context)),
    docs: useApp(createDocumentRoutes(context)),
  };
}

function useApp(app: SurfaceApp): Route {
  return async (call) => addCommonHeaders(await app.fetch(call.request, call), call.requestId);
}

function retarget(request: Request, url: URL): Request {
  const { method, headers, signal } = request;
  if (method === "GET" || method === "HEAD") return new Request(url, { method, headers, signal });
  const init = { method, headers, signal, body: request.body, duplex: "half" };
  return new Request(url, init as RequestInit);
}

function answerPreflight(request: Request, requestId: string): Response {
  return new Response(null, {
    status: 204,
    headers: {
      ...CORS_HEADERS,
      "x-fal-request-id": requestId,
      "access-control-allow-methods": "GET, HEAD, POST, PUT, PATCH, DELETE, OPTIONS",
      "access-control-allow-headers":
        request.headers.get("access-control-request-headers") ?? "authorization, content-type",
      "access-control-max-age": "86400",
      vary: "access-control-request-headers",
    },
  });
}
