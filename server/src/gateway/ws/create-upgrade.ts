import { createRequestId } from "../../ids.ts";
import type { Authenticator } from "../authenticate.ts";
import type { Call, Connection, Route } from "../call.ts";
import type { GatewayContext } from "../context.ts";
import type { UrlBuilder } from "../public-urls.ts";
import { createRealtime } from "../realtime/create-realtime.ts";
import { addCommonHeaders, type Respond } from "../respond.ts";
import type { RunCounter } from "../run/run-counter.ts";
import { findPlace } from "../surfaces.ts";
import type { Upgrade } from "./accept-upgrades.ts";
import { createHttpOverSocket } from "./create-http-over-socket.ts";

export interface UpgradeParts {
  readonly respond: Respond;
  readonly authenticator: Authenticator;
  readonly urlBuilder: UrlBuilder;
  readonly counter: RunCounter;
  /** The run surface, which requests over a socket go to. */
  readonly run: Route;
}

/** Answers WebSocket handshakes: realtime on the run surface, HTTP over WebSocket on the ws surface. Never rejects. */
export function createUpgrade(
  context: GatewayContext,
  parts: UpgradeParts,
): (request: Request, connection: Connection) => Promise<Upgrade> {
  const { settings, clock, logger } = context;
  const { respond, urlBuilder } = parts;
  const realtime = createRealtime(context, parts);
  const httpOverSocket = createHttpOverSocket(context, parts);

  const answer = async (
    request: Request,
    connection: Connection,
    requestId: Call["requestId"],
  ): Promise<Upgrade> => {
    const url = new URL(request.url);
    const address = urlBuilder.findAddress(request, url, connection);
    const place = findPlace(address.host, url.pathname, settings.baseDomain);
    if (place.kind !== "surface" || (place.surface !== "run" && place.surface !== "ws"))
      return { kind: "refused", response: respond.sentence(404, "This address does not speak WebSocket.") };
    if (context.isDraining()) {
      const detail = "The server is shutting down; connect again.";
      return { kind: "refused", response: respond.sentence(503, detail, { "retry-after": "1" }) };
    }
    const { surface, path, virtualHost } = place;
    const style = virtualHost === undefined ? "mount" : "host";
    const urls = urlBuilder.build(address, virtualHost, connection);
    const call: Call = { request, url, surface, path, style, requestId, urls, connection };
    return await (surface === "run" ? realtime(call) : httpOverSocket(call));
  };

  return async (request, connection) => {
    const requestId = createRequestId(clock.now());
    let outcome: Upgrade;
    try {
      outcome = await answer(request, connection, requestId);
    } catch (error) {
      logger.error({ err: error, requestId }, "a WebSocket handshake failed unexpectedly");
      outcome = { kind: "refused", response: respond.sentence(500, "Internal Server Error") };
    }
    // The query is left out: it may hold a token.
    const path = request.url.split("?", 1)[0];
    logger.debug({ path, requestId, kind: outcome.kind }, "answered a WebSocket handshake");
    if (outcome.kind === "refused") addCommonHeaders(outcome.response, requestId);
    return outcome;
  };
}
