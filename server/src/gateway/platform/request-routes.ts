import { parseRequestId, type RequestId } from "../../ids.ts";
import type { RequestFilter, RequestQueue, RequestRecord } from "../../queue/request-queue.ts";
import type { Call } from "../call.ts";
import type { SurfaceApp, SurfaceTools } from "../caller.ts";
import type { GatewayContext } from "../context.ts";
import { findEntries } from "./find-entries.ts";
import { limitToCaller, maySee } from "./limit-to-caller.ts";
import { PlatformError } from "./platform-error.ts";
import { readPayloads } from "./read-payloads.ts";
import {
  DAY_MS,
  formatPage,
  invalid,
  readChoice,
  readEndpointIds,
  readExpand,
  readFlag,
  readId,
  readLimit,
  readPeriod,
  requireEndpointIds,
} from "./read-query.ts";
import { createReplayCache } from "./replay-cache.ts";

const OUTCOMES = ["success", "error", "user_error"] as const;
const FINISHED = ["succeeded", "failed", "cancelled"] as const;
/** How far back a look-up by request id goes. */
const LOOK_UP_MS = 90 * DAY_MS;
const REPLAY_MS = 600_000;

/** History: `/v1/models/requests/…`. */
export function addRequestRoutes(app: SurfaceApp, tools: SurfaceTools, context: GatewayContext): void {
  const { catalog, queue, files, clock } = context;
  const replays = createReplayCache({ clock, lifetimeMs: REPLAY_MS });

  app.get("/models/requests/by-endpoint", tools.requireCaller(), async (c) => {
    const query = c.env.url.searchParams;
    const entries = findEntries(catalog, requireEndpointIds(query));
    const expand = readExpand(query, ["payloads"]);
    const filter = readHistoryFilter(query, clock.now(), {
      endpointIds: entries.map((entry) => entry.endpointId),
      limit: readLimit(query, { fallback: 50, max: 100 }),
    });
    const found = await queue.listRequests({ ...filter, ...limitToCaller(c.get("caller")) });
    const items = await formatRows(queue, found.requests, c.env, expand.has("payloads"));
    return tools.respond.json(200, { items, ...formatPage(found.nextCursor) });
  });

  app.get("/models/requests/search", tools.requireCaller(), async (c) => {
    const query = c.env.url.searchParams;
    if (["query", "image_url", "video_url"].some((name) => query.has(name)))
      throw new PlatformError(
        "not_implemented",
        "This server does not search by meaning; leave out query, image_url and video_url.",
      );
    const [excludesApi, onlyApi] = [
      readFlag(query, "exclude_api_requests", false),
      readFlag(query, "only_api_requests", false),
    ];
    if (excludesApi && onlyApi)
      throw invalid(`"exclude_api_requests" and "only_api_requests" exclude each other; give one.`);
    const ids = readEndpointIds(query);
    const filter = readHistoryFilter(query, clock.now(), {
      endpointIds: findEntries(catalog, ids).map((entry) => entry.endpointId),
      limit: readLimit(query, { fallback: 50, max: 100 }),
    });
    // Every request comes through the API here.
    const found = excludesApi
      ? { requests: [], nextCursor: null }
      : await queue.listRequests({ ...filter, ...limitToCaller(c.get("caller")) });
    const rows = await formatRows(queue, found.requests, c.env, false);
    const results = rows.map((row) => ({ ...row, similarity: null }));
    return tools.respond.json(200, { results, ...formatPage(found.nextCursor) });
  });

  app.delete("/models/requests/:requestId/payloads", tools.requireCaller({ scope: "ADMIN" }), async (c) => {
    const caller = c.get("caller");
    const key = c.env.request.headers.get("idempotency-key");
    const id = parseRequestId(c.req.param("requestId"));
    const body = await replays.answer(key === null ? null : `${caller.accountId} ${id} ${key}`, async () => {
      const request = id === undefined ? undefined : await queue.find(id);
      if (request === undefined || !maySee(caller, request.accountId))
        throw new PlatformError("not_found", "There is no such request.");
      if (request.endedAt === null)
        throw invalid("The request is not finished; cancel it or wait, then remove its payloads.");
      const links = await removeOutputFiles(request.id, c.env);
      await queue.removePayloads(request.id);
      return { cdn_delete_results: links };
    });
    return tools.respond.json(200, body);
  });

  /** Removes the files that the request made; never files that it was given. */
  async function removeOutputFiles(
    requestId: RequestId,
    call: Call,
  ): Promise<readonly { readonly link: string; readonly exception: string | null }[]> {
    const results: { link: string; exception: string | null }[] = [];
    let cursor: string | undefined;
    do {
      const page = await files.list({
        requestId,
        kind: "output",
        limit: 100,
        ...(cursor === undefined ? {} : { cursor }),
      });
      for (const file of page.files) {
        const link = `${call.urls.files}/${file.path}`;
        results.push({ link, exception: await removeFile(file.path) });
      }
      cursor = page.nextCursor ?? undefined;
    } while (cursor !== undefined);
    return results;
  }

  async function removeFile(path: string): Promise<string | null> {
    try {
      await files.remove(path);
      return null;
    } catch (error) {
      context.logger.error({ err: error, path }, "an output file could not be removed");
      return "The file could not be removed; try again.";
    }
  }
}

function readHistoryFilter(
  query: URLSearchParams,
  now: number,
  base: { readonly endpointIds: readonly string[]; readonly limit: number },
): RequestFilter {
  const requestId = parseRequestId(readId(query, "request_id") ?? "");
  const period = readPeriod(query, { now, defaultMs: requestId === undefined ? DAY_MS : LOOK_UP_MS });
  const outcome = readChoice(query, "status", OUTCOMES);
  const sortBy = readChoice(query, "sort_by", ["ended_at", "duration"]) ?? "ended_at";
  const cursor = query.get("cursor") ?? "";
  return {
    ...period,
    states: FINISHED,
    sortBy,
    limit: base.limit,
    ...(base.endpointIds.length === 0 ? {} : { endpointIds: base.endpointIds }),
    ...(outcome === undefined ? {} : { outcome }),
    ...(requestId === undefined ? {} : { requestId }),
    ...(cursor === "" ? {} : { cursor }),
  };
}

async function formatRows(
  queue: RequestQueue,
  requests: readonly RequestRecord[],
  call: Call,
  withPayloads: boolean,
): Promise<readonly Readonly<Record<string, unknown>>[]> {
  const rows: Readonly<Record<string, unknown>>[] = [];
  for (const request of requests) {
    const payloads = withPayloads ? await readPayloads(queue, request.id, call.urls.files) : {};
    rows.push({ ...formatRow(request), ...payloads });
  }
  return rows;
}

function formatRow(request: RequestRecord): Readonly<Record<string, unknown>> {
  const { createdAt, startedAt, endedAt } = request;
  return {
    request_id: request.id,
    endpoint_id: request.endpointId,
    started_at: new Date(startedAt ?? endedAt ?? createdAt).toISOString(),
    sent_at: new Date(createdAt).toISOString(),
    ...(endedAt === null ? {} : { ended_at: new Date(endedAt).toISOString() }),
    ...(request.statusCode === null ? {} : { status_code: request.statusCode }),
    ...(endedAt === null ? {} : { duration: (endedAt - (startedAt ?? endedAt)) / 1000 }),
  };
}
