import { parseRequestId, type RequestId } from "../../ids.ts";
import type { Update } from "../../live/live.ts";
import type { SurfaceApp, SurfaceTools } from "../caller.ts";
import type { GatewayContext } from "../context.ts";
import { formatEvent, KEEPALIVE, KEEPALIVE_MS, respondEventStream } from "../event-stream.ts";
import { maySee } from "./limit-to-caller.ts";
import { PlatformError } from "./platform-error.ts";

/**
 * `/v1/sluice/requests/{request_id}/updates`: what a request shows while it runs (steps and previews) as server-sent
 * events, until it has ended. Passing notices: what nobody listened to is gone; states and logs are the status
 * stream's.
 */
export function addUpdateRoutes(app: SurfaceApp, tools: SurfaceTools, context: GatewayContext): void {
  const { queue, live } = context;

  app.get("/sluice/requests/:requestId/updates", tools.requireCaller(), async (c) => {
    const id = parseRequestId(c.req.param("requestId"));
    const request = id === undefined ? undefined : await queue.find(id);
    if (request === undefined || !maySee(c.get("caller"), request.accountId))
      throw new PlatformError("not_found", "There is no such request.");
    return respondEventStream({}, (signal) => produceUpdates(request.id, signal));
  });

  async function* produceUpdates(id: RequestId, signal: AbortSignal): AsyncGenerator<string, void> {
    const stop = new AbortController();
    const updates = live.subscribe(id, AbortSignal.any([signal, stop.signal]), { wantsPreviews: true });
    const iterator = updates[Symbol.asyncIterator]();
    try {
      let next = iterator.next();
      // The first look comes after the subscription, so that an end in between is not missed.
      while (!(await hasEnded(id))) {
        for (;;) {
          const item = await within(next, KEEPALIVE_MS);
          if (item === undefined) {
            yield KEEPALIVE;
            break;
          }
          if (item.done === true) return;
          next = iterator.next();
          const json = formatUpdate(item.value);
          if (json !== undefined) yield formatEvent(json);
          if (item.value.type === "changed") break;
        }
      }
    } finally {
      stop.abort(new Error("Nobody listens any more."));
    }
  }

  async function hasEnded(id: RequestId): Promise<boolean> {
    const request = await queue.find(id);
    return request === undefined || request.endedAt !== null;
  }
}

function formatUpdate(update: Update): string | undefined {
  switch (update.type) {
    case "progress":
      return JSON.stringify({ type: "progress", ...update.progress });
    case "preview": {
      const { image, step, width, height, contentType } = update;
      const url = `data:${contentType};base64,${Buffer.from(update.bytes).toString("base64")}`;
      return JSON.stringify({ type: "preview", image, step, width, height, url });
    }
    default:
      return undefined;
  }
}

/** What the promise gives, or undefined after `ms`. */
async function within<T>(promise: Promise<T>, ms: number): Promise<T | undefined> {
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<undefined>((resolve) => {
    timer = setTimeout(resolve, ms, undefined);
  });
  try {
    return await Promise.race([promise, late]);
  } finally {
    clearTimeout(timer);
  }
}
