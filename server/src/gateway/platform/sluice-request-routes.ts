import { parseRequestId } from "../../ids.ts";
import type { Caller } from "../../keys/caller.ts";
import type { RequestFilter, RequestRecord, RequestState } from "../../queue/request-queue.ts";
import type { SurfaceApp, SurfaceTools } from "../caller.ts";
import type { GatewayContext } from "../context.ts";
import { limitToCaller, maySee } from "./limit-to-caller.ts";
import { PlatformError } from "./platform-error.ts";
import { readPayloads } from "./read-payloads.ts";
import {
  formatPage,
  invalid,
  readChoice,
  readEndpointIds,
  readExpand,
  readId,
  readLimit,
  readList,
  readTime,
} from "./read-query.ts";

const STATES: readonly RequestState[] = ["queued", "running", "succeeded", "failed", "cancelled"];

/**
 * `/v1/sluice/requests`: requests of all endpoints in every state, and one with its timeline and logs. A key of scope
 * ADMIN sees every account's, any other its own account's only.
 */
export function addSluiceRequestRoutes(app: SurfaceApp, tools: SurfaceTools, context: GatewayContext): void {
  const { queue } = context;
  const { respond, requireCaller } = tools;

  app.get("/sluice/requests", requireCaller(), async (c) => {
    const query = c.env.url.searchParams;
    const expand = readExpand(query, ["payloads"]);
    const page = await queue.listRequests(readFilter(query, c.get("caller")));
    const requests: Readonly<Record<string, unknown>>[] = [];
    for (const request of page.requests) {
      const payloads = expand.has("payloads") ? await readPayloads(queue, request.id, c.env.urls.files) : {};
      requests.push({ ...formatRequest(request), ...payloads });
    }
    return respond.json(200, { requests, ...formatPage(page.nextCursor) });
  });

  app.get("/sluice/requests/:requestId", requireCaller(), async (c) => {
    const caller = c.get("caller");
    const expand = readExpand(c.env.url.searchParams, ["payloads"]);
    const id = parseRequestId(c.req.param("requestId"));
    const request = id === undefined ? undefined : await queue.find(id);
    if (request === undefined || !maySee(caller, request.accountId))
      throw new PlatformError("not_found", "There is no such request.");
    const events = await queue.listEvents(request.id);
    const logs = await queue.listLogs(request.id);
    return respond.json(200, {
      ...formatRequest(request),
      queue_position: request.state === "queued" ? await queue.getPosition(request.id) : null,
      timeline: events
        .filter((event) => event.kind !== "log")
        .map(({ kind, at, attempt, data }) => ({ kind, at: new Date(at).toISOString(), attempt, data })),
      logs: logs.map(({ sequence, ...log }) => log),
      ...(expand.has("payloads") ? await readPayloads(queue, request.id, c.env.urls.files) : {}),
    });
  });
}

function readFilter(query: URLSearchParams, caller: Caller): RequestFilter {
  const states = readList(query, "state").map((text) => {
    const state = STATES.find((each) => each === text);
    if (state === undefined) throw invalid(`"state" takes ${STATES.join(", ")}; "${text}" is none of them.`);
    return state;
  });
  const requestId = parseRequestId(readId(query, "request_id") ?? "");
  const endpointIds = readEndpointIds(query);
  const [startAt, endAt] = [readTime(query, "start"), readTime(query, "end")];
  const outcome = readChoice(query, "status", ["success", "user_error", "error"]);
  const sortBy = readChoice(query, "sort_by", ["created_at", "ended_at", "duration"]);
  const cursor = query.get("cursor") ?? "";
  const keyId = readId(query, "key_id") as RequestFilter["keyId"];
  return {
    limit: readLimit(query, { fallback: 50, max: 500 }),
    ...limitToCaller(caller),
    ...(keyId === undefined ? {} : { keyId }),
    ...(endpointIds.length === 0 ? {} : { endpointIds }),
    ...(states.length === 0 ? {} : { states }),
    ...(requestId === undefined ? {} : { requestId }),
    ...(startAt === undefined ? {} : { startAt }),
    ...(endAt === undefined ? {} : { endAt }),
    ...(outcome === undefined ? {} : { outcome }),
    ...(sortBy === undefined ? {} : { sortBy }),
    ...(cursor === "" ? {} : { cursor }),
  };
}

function formatRequest(request: RequestRecord): Readonly<Record<string, unknown>> {
  return {
    request_id: request.id,
    endpoint_id: request.endpointId,
    account_id: request.accountId,
    key_id: request.keyId,
    surface: request.surface,
    state: request.state,
    priority: request.priority,
    created_at: new Date(request.createdAt).toISOString(),
    started_at: formatTime(request.startedAt),
    ended_at: formatTime(request.endedAt),
    attempts: request.attempts,
    is_cancel_requested: request.isCancelRequested,
    status_code: request.statusCode,
    error: request.error,
    error_type: request.errorType,
    billable_units: request.billableUnits,
    inference_time: request.inferenceSeconds,
    tags: request.tags,
  };
}

function formatTime(at: number | null): string | null {
  return at === null ? null : new Date(at).toISOString();
}
