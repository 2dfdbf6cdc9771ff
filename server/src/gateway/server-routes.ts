import type { GatewayContext } from "./context.ts";
import type { Respond } from "./respond.ts";

/**
 * What the server says about itself, without a key: `/health` (it runs), `/ready` (it takes work). Every other path
 * outside the surfaces is unknown.
 */
export function createServerRoutes(
  context: GatewayContext,
  respond: Respond,
): (request: Request, path: string) => Promise<Response> {
  return async (request, path) => {
    const answer = ROUTES.get(path.length > 1 && path.endsWith("/") ? path.slice(0, -1) : path);
    if (answer === undefined) return respond.sentence(404, "Not Found");
    if (request.method !== "GET" && request.method !== "HEAD")
      return respond.sentence(405, "Method Not Allowed", { allow: "GET, HEAD" });
    return await answer(context, respond);
  };
}

type ServerRoute = (context: GatewayContext, respond: Respond) => Promise<Response>;

const ROUTES: ReadonlyMap<string, ServerRoute> = new Map([
  ["/health", async (context, respond) => respond.json(200, { status: "ok", version: context.version })],
  ["/ready", answerReady],
]);

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
