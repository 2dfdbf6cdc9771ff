import type { SurfaceApp, SurfaceTools } from "../caller.ts";
import type { GatewayContext } from "../context.ts";
import type { Notices } from "../events/notices.ts";
import { PlatformError } from "./platform-error.ts";

/** Throughput is that of the last five minutes. */
const THROUGHPUT_MS = 5 * 60_000;
const ACTIONS = ["pause", "resume", "flush"] as const;

/**
 * `/v1/sluice/queues`: depth of every endpoint's queue, and `POST …/{endpoint_id}/pause`, `resume` and `flush`. They
 * concern everybody's requests: scope ADMIN.
 */
export function addQueueAdminRoutes(
  app: SurfaceApp,
  tools: SurfaceTools,
  context: GatewayContext,
  notices: Notices,
): void {
  const { queue, catalog, clock, live } = context;
  const { respond } = tools;
  const requireAdmin = tools.requireCaller({ scope: "ADMIN" });

  app.get("/sluice/queues", requireAdmin, async () => {
    const ended = await queue.countEnded(clock.now() - THROUGHPUT_MS);
    const stats = new Map((await queue.getStats()).map((each) => [each.endpointId, each]));
    // Endpoints that are no longer offered may still have requests waiting.
    const ids = new Set([
      ...catalog.list().map((entry) => entry.endpointId),
      ...stats.keys(),
      ...ended.keys(),
    ]);
    const queues = [...ids].map((endpointId) => {
      const found = stats.get(endpointId);
      const oldest = found?.oldestQueuedAt ?? null;
      return {
        endpoint_id: endpointId,
        is_offered: catalog.find(endpointId) !== undefined,
        queued: found?.queued ?? 0,
        running: found?.running ?? 0,
        oldest_queued_at: oldest === null ? null : new Date(oldest).toISOString(),
        ended_per_minute: ((ended.get(endpointId) ?? 0) * 60_000) / THROUGHPUT_MS,
        is_paused: found?.isPaused ?? false,
      };
    });
    return respond.json(200, { queues });
  });

  app.post("/sluice/queues/*", requireAdmin, async (c) => {
    const { endpointId, action } = await parseAction(c.req.path);
    const tell = (): void => notices.publish({ type: "queue", endpoint_id: endpointId }, null);
    switch (action) {
      case "pause":
        await queue.pause(endpointId);
        tell();
        return respond.json(200, { endpoint_id: endpointId, is_paused: true });
      case "resume":
        await queue.resume(endpointId);
        live.wake(endpointId);
        tell();
        return respond.json(200, { endpoint_id: endpointId, is_paused: false });
      case "flush":
        return respond.json(200, { endpoint_id: endpointId, flushed: await flush(endpointId) });
      default:
        return action satisfies never;
    }
  });

  async function flush(endpointId: string): Promise<number> {
    const flushed = await queue.flush(endpointId);
    notices.publish({ type: "queue", endpoint_id: endpointId }, null);
    return flushed;
  }

  /** The id may be written with its slashes or percent-encoded. */
  async function parseAction(
    path: string,
  ): Promise<{ endpointId: string; action: (typeof ACTIONS)[number] }> {
    const [, encoded = "", word = ""] = /^\/sluice\/queues\/(.+)\/([a-z]+)$/.exec(path) ?? [];
    const action = ACTIONS.find((each) => each === word);
    const endpointId = encoded.replaceAll(/%2f/gi, "/");
    if (action === undefined)
      throw new PlatformError(
        "not_found",
        `An action is POST /v1/sluice/queues/{endpoint_id}/${ACTIONS.join("|")}.`,
      );
    const isKnown =
      catalog.find(endpointId) !== undefined ||
      (await queue.getStats()).some((each) => each.endpointId === endpointId);
    if (!isKnown) throw new PlatformError("not_found", `This server does not offer "${endpointId}".`);
    return { endpointId, action };
  }
}
