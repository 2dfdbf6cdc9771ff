import type { Scope } from "../../keys/key-store.ts";
import type { SurfaceApp, SurfaceTools } from "../caller.ts";
import type { GatewayContext } from "../context.ts";
import { readJson } from "./read-json.ts";
import { formatPage, invalid, readExpand, readLimit } from "./read-query.ts";

const SCOPES: readonly Scope[] = ["API", "ADMIN"];

/** `/v1/keys`: the keys of the caller's account. All need the scope ADMIN. */
export function addKeyRoutes(app: SurfaceApp, tools: SurfaceTools, context: GatewayContext): void {
  const { keys } = context;
  const requireAdmin = tools.requireCaller({ scope: "ADMIN" });

  app.get("/keys", requireAdmin, async (c) => {
    const query = c.env.url.searchParams;
    const { accountId } = c.get("caller");
    const cursor = query.get("cursor") ?? "";
    const expand = readExpand(query, ["creator_info"]);
    const found = await keys.list({
      accountId,
      limit: readLimit(query, { fallback: 50, max: 1000 }),
      ...(cursor === "" ? {} : { cursor }),
    });
    const account = expand.has("creator_info") ? await keys.findAccount(accountId) : undefined;
    const list = found.keys.map((key) => ({
      key_id: key.id,
      alias: key.alias,
      scope: key.scope,
      created_at: new Date(key.createdAt).toISOString(),
      ...(account === undefined ? {} : { creator_nickname: account.nickname }),
    }));
    return tools.respond.json(200, { keys: list, ...formatPage(found.nextCursor) });
  });

  app.post("/keys", requireAdmin, async (c) => {
    const { alias, scope = "API" } = await readJson(c.env.request);
    if (typeof alias !== "string" || alias.length < 1 || alias.length > 255)
      throw invalid(`"alias" must be a text of 1 to 255 characters.`);
    const found = SCOPES.find((each) => each === scope);
    if (found === undefined) throw invalid(`"scope" must be one of ${SCOPES.join(", ")}.`);
    const { key, credential } = await keys.create({
      alias,
      scope: found,
      accountId: c.get("caller").accountId,
    });
    const secret = credential.slice(credential.indexOf(":") + 1);
    return tools.respond.json(201, { key_id: key.id, key_secret: secret, key: credential });
  });

  app.delete("/keys/:keyId", requireAdmin, async (c) => {
    const key = await keys.find(c.req.param("keyId"));
    // Keys of other accounts are as good as unknown, and removing an unknown key is done already.
    if (key !== undefined && key.accountId === c.get("caller").accountId) await keys.revoke(key.id);
    return new Response(null, { status: 204 });
  });
}
