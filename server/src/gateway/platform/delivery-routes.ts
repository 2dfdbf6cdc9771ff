import { parseRequestId } from "../../ids.ts";
import type { Caller } from "../../keys/caller.ts";
import type { RequestRecord } from "../../queue/request-queue.ts";
import { createDeliveryStore, type Delivery } from "../../webhooks/delivery-store.ts";
import type { SurfaceApp, SurfaceTools } from "../caller.ts";
import type { GatewayContext } from "../context.ts";
import { maySee } from "./limit-to-caller.ts";
import { PlatformError } from "./platform-error.ts";

/**
 * `/v1/sluice/requests/{id}/deliveries`: GET tells what became of a request's webhook, POST has it delivered again.
 * Who may see the request may do both.
 */
export function addDeliveryRoutes(app: SurfaceApp, tools: SurfaceTools, context: GatewayContext): void {
  const { queue, live } = context;
  const { respond, requireCaller } = tools;
  const store = createDeliveryStore(context);

  const getRequest = async (caller: Caller, text: string): Promise<RequestRecord> => {
    const id = parseRequestId(text);
    const request = id === undefined ? undefined : await queue.find(id);
    if (request === undefined || !maySee(caller, request.accountId))
      throw new PlatformError("not_found", "There is no such request.");
    return request;
  };

  app.get("/sluice/requests/:requestId/deliveries", requireCaller(), async (c) => {
    const { id } = await getRequest(c.get("caller"), c.req.param("requestId"));
    return respond.json(200, formatDeliveries(await store.find(id)));
  });

  app.post("/sluice/requests/:requestId/deliveries", requireCaller(), async (c) => {
    const request = await getRequest(c.get("caller"), c.req.param("requestId"));
    const { id, accountId, endpointId, state, webhookUrl } = request;
    if (webhookUrl === null)
      throw new PlatformError("validation_error", "The request was submitted without a webhook.");
    if (!(await store.redeliver(id)))
      throw new PlatformError(
        "validation_error",
        "The request has not ended yet; its webhook is called when it does.",
      );
    live.publish({ type: "changed", requestId: id, accountId, endpointId, state });
    return respond.json(202, formatDeliveries(await store.find(id)));
  });
}

function formatDeliveries(delivery: Delivery | undefined): { readonly deliveries: readonly unknown[] } {
  if (delivery === undefined) return { deliveries: [] };
  const { requestId, url, state, createdAt, nextAttemptAt, attempts } = delivery;
  return {
    deliveries: [
      {
        request_id: requestId,
        url,
        state,
        created_at: formatTime(createdAt),
        next_attempt_at: nextAttemptAt === null ? null : formatTime(nextAttemptAt),
        attempts: attempts.map(({ at, durationMs, status, error }) => ({
          at: formatTime(at),
          duration_ms: durationMs,
          status_code: status,
          error,
        })),
      },
    ],
  };
}

function formatTime(at: number): string {
  return new Date(at).toISOString();
}
