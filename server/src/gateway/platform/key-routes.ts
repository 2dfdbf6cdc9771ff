import type { Scope } from "../../keys/key-store.ts";
import type { SurfaceApp, SurfaceTools } from "../caller.ts";
import type { GatewayContext } from "../context.ts";
import { readJson } from "./read-json.ts";
import { formatPage, invalid, isId, readExpand, readId, readLimit } from "./read-query.ts";

const SCOPES: readonly Scope[] = ["API", "ADMIN"];

/** `/v1/keys`: every key of this server. All need the scope ADMIN. */
export function addKeyRoutes(app: SurfaceApp, tools: SurfaceTools, context: GatewayContext): void {
  const { keys } = context;
  const requireAdmin = tools.requireCaller({ scope: "ADMIN" });

  app.get("/keys", requireAdmin, async (c) => {
    const query = c.env.url.searchParams;
    const cursor = readId(query, "cursor");
    const expand = readExpand(query, ["creator_info"]);
    const found = await keys.list({
      limit: readLimit(query, { fallback: 50, max: 1000 }),
      ...(cursor === undefined ? {} : { cursor }),
    });
    const list = await Promise.all(
      found.keys.map(async (key) => {
        const account = expand.has("creator_info") ? await keys.findAccount(key.accountId) : undefined;
        return {
          key_id: key.id,
          alias: key.alias,
          scope: key.scope,
          created_at: new Date(key.createdAt).toISOString(),
          ...(account === undefined ? {} : { creator_nickname: account.nickname }),
        };
      }),
    );
    return tools.respond.json(200, { keys: list, ...formatPage(found.nextCursor) });
  });

  app.post("/keys", requireAdmin, async (c) => {
    const { alias, scope = "API" } = await readJson(c.env.request);
    if (typeof alias !== "string" || alias.length < 1 || alias.length > 255)
      throw invalid(`"alias" must be a text of 1 to 255 characters.`);
    const found = SCOPES.find((each) => each === scope);
    if (found === undefined) throw invalid(`"scope" must be one of ${SCOPES.join(", ")}.`);
    const { key, credential } = await keys.create({ alias, scope: found });
    const secret = credential.slice(credential.indexOf(":") + 1);
    return tools.respond.json(201, { key_id: key.id, key_secret: secret, key: credential });
  });

  app.delete("/keys/:keyId", requireAdmin, async (c) => {
    // Revoking an unknown key is done already.
    const id = c.req.param("keyId");
    if (isId(id)) await keys.revoke(id);
    return new Response(null, { status: 204 });
  });
}
