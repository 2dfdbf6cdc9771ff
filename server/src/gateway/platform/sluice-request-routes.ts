import { parseRequestId } from "../../ids.ts";
import type { Caller } from "../../keys/caller.ts";
import type { RequestFilter, RequestRecord, RequestState, Wait } from "../../queue/request-queue.ts";
import type { SurfaceApp, SurfaceTools } from "../caller.ts";
import type { GatewayContext } from "../context.ts";
import { limitToCaller, maySee } from "./limit-to-caller.ts";
import { PlatformError } from "./platform-error.ts";
import { readExcerpt, readPayloads } from "./read-payloads.ts";
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

const MAX_SEARCH = 200;
const STATES: readonly RequestState[] = ["queued", "running", "succeeded", "failed", "cancelled"];

/**
 * `/v1/sluice/requests`: requests of all endpoints in every state, and one with its timeline and logs. A key of scope
 * ADMIN sees every account's, any other its own account's only.
 */
export function addSluiceRequestRoutes(app: SurfaceApp, tools: SurfaceTools, context: GatewayContext): void {
  const { queue, catalog } = context;
  const { respond, requireCaller } = tools;

  app.get("/sluice/requests", requireCaller(), async (c) => {
    const query = c.env.url.searchParams;
    const expand = readExpand(query, ["payloads", "excerpt"]);
    const page = await queue.listRequests(readFilter(query, c.get("caller")));
    const requests: Readonly<Record<string, unknown>>[] = [];
    // One after the other: an input may have megabytes.
    for (const request of page.requests) {
      const payloads = expand.has("payloads") ? await readPayloads(queue, request.id, c.env.urls.files) : {};
      const excerpt = expand.has("excerpt")
        ? { input_excerpt: (await readExcerpt(queue, request.id)) ?? null }
        : {};
      requests.push({ ...formatRequest(request), ...excerpt, ...payloads });
    }
    return respond.json(200, {
      requests,
      ...formatPage(page.nextCursor),
      searched_to: formatTime(page.searchedTo),
    });
  });

  app.get("/sluice/requests/:requestId", requireCaller(), async (c) => {
    const caller = c.get("caller");
    const query = c.env.url.searchParams;
    const expand = readExpand(query, ["payloads"]);
    const logsAfter = readSequence(query, "logs_after");
    const id = parseRequestId(c.req.param("requestId"));
    const request = id === undefined ? undefined : await queue.find(id);
    if (request === undefined || !maySee(caller, request.accountId))
      throw new PlatformError("not_found", "There is no such request.");
    const events = await queue.listEvents(request.id);
    const logs = await queue.listLogs(request.id, logsAfter);
    const wait = request.state === "queued" ? await queue.explainWait(request.id) : undefined;
    return respond.json(200, {
      ...formatRequest(request),
      queue_position: wait?.before ?? null,
      waiting: wait === undefined ? null : formatWait(wait, catalog.find(request.endpointId) !== undefined),
      timeline: events
        .filter((event) => event.kind !== "log")
        .map(({ kind, at, attempt, data }) => ({ kind, at: new Date(at).toISOString(), attempt, data })),
      logs,
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
  const text = query.get("q") ?? "";
  if (text.length > MAX_SEARCH || text.includes("\0"))
    throw invalid(`"q" must be a text of at most ${MAX_SEARCH} characters.`);
  const cursor = query.get("cursor") ?? "";
  const keyId = readId(query, "key_id") as RequestFilter["keyId"];
  return {
    limit: readLimit(query, { fallback: 50, max: 500 }),
    ...limitToCaller(caller),
    ...(keyId === undefined ? {} : { keyId }),
    ...(endpointIds.length === 0 ? {} : { endpointIds }),
    ...(states.length === 0 ? {} : { states }),
    ...(requestId === undefined ? {} : { requestId }),
    ...(text === "" ? {} : { text }),
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

/** Why a request waits, for people and for programs. */
function formatWait(wait: Wait, isOffered: boolean): Readonly<Record<string, unknown>> {
  return {
    reason: isOffered ? wait.reason : "not_offered",
    message: isOffered
      ? describeWait(wait)
      : "This server does not offer its endpoint any more; it waits until the endpoint is back, or cancel it.",
    requests_before: wait.before,
    requests_running: wait.running,
    until: wait.reason === "backing_off" ? formatTime(wait.until) : null,
  };
}

function describeWait(wait: Wait): string {
  const { before, running } = wait;
  const others = running === 1 ? "1 request runs now" : `${running} requests run now`;
  switch (wait.reason) {
    case "paused":
      return "The queue of its endpoint is paused; it goes on when the operator resumes it.";
    case "backing_off":
      return "An attempt failed and is made again after a pause.";
    case "key_limit":
      return `Its key runs ${wait.runningOfKey} of ${wait.limit} requests that it may run at once; it starts when one of them ends.`;
    case "behind_others":
      return `${before === 1 ? "1 request is" : `${before} requests are`} before it; ${others}.`;
    case "next":
      return running === 0
        ? "It is next; a worker is being made ready for it."
        : `It is next; ${others}, and it starts when a worker is free.`;
    default:
      return wait satisfies never;
  }
}

/** A whole number from 0; 0 when the parameter is absent. */
function readSequence(query: URLSearchParams, name: string): number {
  const text = query.get(name) ?? "";
  if (!/^\d{0,9}$/.test(text)) throw invalid(`"${name}" must be the sequence of a log line.`);
  return Number(text);
}

function formatTime(at: number | null): string | null {
  return at === null ? null : new Date(at).toISOString();
}
