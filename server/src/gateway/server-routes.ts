import { isLoopbackHost } from "../loopback-host.ts";
import type { Authenticator } from "./authenticate.ts";
import type { Connection } from "./call.ts";
import type { GatewayContext } from "./context.ts";
import type { Respond } from "./respond.ts";

/**
 * What the server says about itself: `/health` (it runs), `/ready` (it takes work) and `/client.tgz` (our client as a
 * package) to everyone, `/metrics` to
 * programs on this machine and to keys of scope ADMIN. Every other path outside the surfaces is unknown.
 */
export function createServerRoutes(
  context: GatewayContext,
  parts: { readonly respond: Respond; readonly authenticator: Authenticator },
): (call: ServerCall) => Promise<Response> {
  const { respond, authenticator } = parts;
  return async ({ request, url, path, connection }) => {
    const answer = ROUTES.get(path.length > 1 && path.endsWith("/") ? path.slice(0, -1) : path);
    if (answer === undefined) return respond.sentence(404, "Not Found");
    if (request.method !== "GET" && request.method !== "HEAD")
      return respond.sentence(405, "Method Not Allowed", { allow: "GET, HEAD" });
    if (answer === answerMetrics && !isFromThisMachine(request, url, connection)) {
      const access = await authenticator.authenticate(request, url, { surface: "rest", scope: "ADMIN" });
      if (!access.ok) return access.response;
    }
    return await answer(context, respond);
  };
}

export interface ServerCall {
  readonly request: Request;
  readonly url: URL;
  readonly path: string;
  readonly connection: Connection;
}

/**
 * True for a program that connects straight from this machine. A proxy beside us speaks for strangers, and a page in
 * a browser here for its site: both show themselves by their headers, a page on a rebound name by its host.
 */
function isFromThisMachine(request: Request, url: URL, connection: Connection): boolean {
  const telling = ["origin", "sec-fetch-site", "x-forwarded-for", "x-forwarded-host", "forwarded", "via"];
  return (
    isLoopbackHost(connection.remoteAddress ?? "") &&
    isLoopbackHost(url.hostname) &&
    !telling.some((name) => request.headers.has(name))
  );
}

type ServerRoute = (context: GatewayContext, respond: Respond) => Promise<Response>;

const ROUTES: ReadonlyMap<string, ServerRoute> = new Map([
  ["/health", async (context, respond) => respond.json(200, { status: "ok", version: context.version })],
  ["/ready", answerReady],
  ["/metrics", answerMetrics],
  ["/client.tgz", answerClient],
]);

/** By server, since each has its own way to make it. */
const tarballs = new WeakMap<GatewayContext, Promise<Uint8Array>>();

/** Our client for `npm install {origin}/client.tgz`: made when first asked for, then kept in memory. */
async function answerClient(context: GatewayContext, respond: Respond): Promise<Response> {
  const { createClientTarball, logger } = context;
  if (createClientTarball === undefined) return respond.sentence(404, "Not Found");
  const making = tarballs.get(context) ?? createClientTarball();
  tarballs.set(context, making);
  try {
    return new Response(new Uint8Array(await making), {
      headers: { "content-type": "application/gzip", "cache-control": "no-cache" },
    });
  } catch (error) {
    // The next caller may have more luck.
    tarballs.delete(context);
    logger.error({ err: error }, "the client could not be packed");
    return respond.sentence(503, "The client could not be packed; the server's log says why.");
  }
}

async function answerReady(context: GatewayContext, respond: Respond): Promise<Response> {
  const later = { "retry-after": "5" };
  if (context.isDraining()) return respond.json(503, { status: "draining" }, later);
  try {
    await context.database.read((tx) => tx.get("SELECT 1 AS one"));
  } catch (error) {
    context.logger.error({ err: error }, "the database does not answer");
    return respond.json(503, { status: "database unavailable" }, later);
  }
  return respond.json(200, { status: "ready" });
}

async function answerMetrics(context: GatewayContext): Promise<Response> {
  const { contentType, body } = await context.metrics.render();
  return new Response(body, { headers: { "content-type": contentType } });
}
