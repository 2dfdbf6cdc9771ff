import type { SurfaceApp, SurfaceTools } from "../caller.ts";
import type { GatewayContext } from "../context.ts";
import { PlatformError } from "./platform-error.ts";
import { readExpand } from "./read-query.ts";

/** Of the hosted platform, not of this server. */
const NOT_OFFERED = ["assets", "serverless", "compute", "organization", "account", "workflows"];

/** What is left of the platform API: the account, the queue of an app, and what this server has not. */
export function addAccountRoutes(app: SurfaceApp, tools: SurfaceTools, context: GatewayContext): void {
  const { keys, queue, catalog } = context;
  const { respond, requireCaller } = tools;

  // Webhooks leave from whatever addresses the operator's machines have: there is no list to publish.
  app.get("/meta", () => respond.json(200, { webhook_ip_ranges: [] }));

  app.get("/account/billing", requireCaller({ scope: "ADMIN" }), async (c) => {
    // There is no balance to show: `credits` is left out, as the API allows.
    readExpand(c.env.url.searchParams, ["credits"]);
    const { accountId } = c.get("caller");
    const account = await keys.findAccount(accountId);
    return respond.json(200, { username: account?.nickname ?? accountId });
  });

  app.get("/serverless/apps/:owner/:name/queue", requireCaller({ scope: "ADMIN" }), async (c) => {
    const ids = findAppEndpoints(`${c.req.param("owner")}/${c.req.param("name")}`);
    const stats = await queue.getStats();
    const waiting = stats.filter((each) => ids.has(each.endpointId)).map((each) => each.queued);
    return respond.json(200, { queue_size: waiting.reduce((sum, queued) => sum + queued, 0) });
  });

  app.delete("/serverless/apps/:owner/:name/queue", requireCaller({ scope: "ADMIN" }), async (c) => {
    for (const id of findAppEndpoints(`${c.req.param("owner")}/${c.req.param("name")}`))
      await queue.flush(id);
    return new Response(null, { status: 204 });
  });

  for (const name of NOT_OFFERED) {
    app.all(`/${name}/*`, requireCaller(), (c) => {
      throw new PlatformError(
        "not_implemented",
        `This server does not offer ${c.req.method} /v1${c.env.path}.`,
      );
    });
  }
  app.all("/workflows", requireCaller(), () => {
    throw new PlatformError("not_implemented", "This server does not offer workflows.");
  });

  function findAppEndpoints(name: string): ReadonlySet<string> {
    if (!catalog.hasApp(name)) throw new PlatformError("not_found", `This server does not offer "${name}".`);
    return new Set(
      catalog
        .list()
        .filter((entry) => entry.app === name)
        .map((entry) => entry.endpointId),
    );
  }
}
