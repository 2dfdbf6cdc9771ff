import type { InstalledModel } from "../../catalog/installed-models.ts";
import type { SurfaceApp, SurfaceTools } from "../caller.ts";
import type { GatewayContext } from "../context.ts";

/** `GET /v1/sluice/models`: what is installed on this machine, and which endpoints it answers. Scope ADMIN. */
export function addInstalledModelRoutes(app: SurfaceApp, tools: SurfaceTools, context: GatewayContext): void {
  app.get("/sluice/models", tools.requireCaller({ scope: "ADMIN" }), () =>
    tools.respond.json(200, { models: context.listInstalledModels().map(formatModel) }),
  );

  function formatModel(model: InstalledModel): Readonly<Record<string, unknown>> {
    const { name, title, engine, family, license, bytes, source, endpoints, modelFile, problem } = model;
    const entries = context.catalog.list().filter((entry) => entry.modelFile === modelFile);
    return {
      name,
      title,
      engine,
      family,
      license,
      bytes,
      source,
      endpoint_ids: endpoints,
      /** What requests are answered by, as in `x-model`; null when nothing is. */
      version: entries[0]?.manifest.model.version ?? null,
      is_offered: entries.length > 0,
      problem: problem ?? null,
    };
  }
}
