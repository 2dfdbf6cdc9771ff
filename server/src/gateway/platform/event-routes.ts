import { randomUUID } from "node:crypto";
import { parseRequestId, type RequestId } from "../../ids.ts";
import type { Caller } from "../../keys/caller.ts";
import type { SurfaceApp, SurfaceTools } from "../caller.ts";
import type { GatewayContext } from "../context.ts";
import { respondEventStream } from "../event-stream.ts";
import type { Notices } from "../events/notices.ts";
import { TabStream } from "../events/tab-stream.ts";
import { maySee } from "./limit-to-caller.ts";
import { PlatformError } from "./platform-error.ts";
import { readJson } from "./read-json.ts";
import { invalid, readList } from "./read-query.ts";

/** Requests that one tab may follow at a time. */
const MAX_WATCHED = 50;

/**
 * `/v1/sluice/events`: one stream of server-sent events for all that a tab shows. `GET …?watch=` opens it, `PUT
 * …/{stream_id}` changes the requests that it follows. A key of scope API is told of its own account's only. A tab that
 * comes back sends `Last-Event-ID` and is told what it missed, or that it missed something.
 */
export function addEventRoutes(
  app: SurfaceApp,
  tools: SurfaceTools,
  context: GatewayContext,
  notices: Notices,
): void {
  const { queue } = context;
  const { respond, requireCaller, authenticator } = tools;
  const streams = new Map<string, TabStream>();

  app.get("/sluice/events", requireCaller(), async (c) => {
    const { request, url, urls } = c.env;
    const caller = c.get("caller");
    const watched = await findWatched(caller, readList(url.searchParams, "watch"));
    const id = randomUUID();
    const stream = new TabStream(context, notices, {
      id,
      caller,
      queueUrl: urls.queue,
      lastEventId: request.headers.get("last-event-id") ?? "",
      isStillAllowed: async () =>
        (await authenticator.authenticate(request, url, { surface: "platform" })).ok,
    });
    return respondEventStream({}, async function* (signal) {
      streams.set(id, stream);
      try {
        stream.watch(watched);
        yield* stream.produce(signal);
      } finally {
        streams.delete(id);
      }
    });
  });

  app.put("/sluice/events/:streamId", requireCaller(), async (c) => {
    const caller = c.get("caller");
    const stream = streams.get(c.req.param("streamId"));
    if (stream === undefined || !isSameCaller(stream.caller, caller))
      throw new PlatformError("not_found", "There is no such stream here any more; open a new one.");
    const { watch } = await readJson(c.env.request);
    if (!Array.isArray(watch) || !watch.every((each) => typeof each === "string"))
      throw invalid(`"watch" must be a list of request ids.`);
    const ids = await findWatched(caller, watch);
    stream.watch(ids);
    return respond.json(200, { watching: ids });
  });

  /** Those of the ids that the caller may see; others are as if they were not. */
  async function findWatched(caller: Caller, texts: readonly string[]): Promise<readonly RequestId[]> {
    if (texts.length > MAX_WATCHED) throw invalid(`"watch" takes at most ${MAX_WATCHED} requests.`);
    const found = await Promise.all(
      [...new Set(texts)].map(async (text) => {
        const id = parseRequestId(text);
        return id === undefined ? undefined : await queue.find(id);
      }),
    );
    return found
      .filter((request) => request !== undefined && maySee(caller, request.accountId))
      .map((request) => (request as { readonly id: RequestId }).id);
  }
}

function isSameCaller(one: Caller, other: Caller): boolean {
  return one.accountId === other.accountId && one.keyId === other.keyId && one.scope === other.scope;
}
