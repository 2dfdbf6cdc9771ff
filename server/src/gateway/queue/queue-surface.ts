import { hostname } from "node:os";
import { formatApp, parseEndpointId } from "@sluice/protocol";
import { parseRequestId } from "../../ids.ts";
import type { RequestOutline } from "../../queue/request-queue.ts";
import type { Authenticator } from "../authenticate.ts";
import type { Call, Route } from "../call.ts";
import type { GatewayContext } from "../context.ts";
import { respondEventStream } from "../event-stream.ts";
import { readEndpointPath } from "../find-endpoint.ts";
import type { FreeSpaceCheck } from "../free-space.ts";
import { addCommonHeaders, CORS_HEADERS, type Respond } from "../respond.ts";
import { respondStored } from "../stored-response.ts";
import { formatStatus, readLogs } from "./queue-status.ts";
import { parseRequestPath, type RequestAction, type RequestPath } from "./request-path.ts";
import { produceStatusEvents } from "./status-stream.ts";
import { createSubmit } from "./submit.ts";

/**
 * The queue surface: submit, and status, status stream, result and cancel of a request (fal model API, "Queue").
 *
 * For a request that nobody knows the answer is 404 also without a credential; then come credential, account (another
 * account's request is unknown too) and method.
 */
export function createQueueSurface(
  context: GatewayContext,
  parts: {
    readonly respond: Respond;
    readonly authenticator: Authenticator;
    readonly freeSpace: FreeSpaceCheck;
  },
): Route {
  const { queue, live, clock, settings } = context;
  const { respond, authenticator } = parts;
  const submit = createSubmit(context, parts);
  const servedFrom = hostname();

  return async (call) => {
    const path = parseRequestPath(call.path);
    const response = path === undefined ? await submit(call) : await answerRequest(call, path);
    // Answers that are not refusals come with these headers: they are what a busy server sends all day.
    return response.status < 400 ? response : addCommonHeaders(response, call.requestId);
  };

  async function answerRequest(call: Call, path: RequestPath): Promise<Response> {
    const record = await findRequest(path);
    if (record === undefined) return answerUnknown(path.action);
    const refusal = await checkAccess(call, path.action, record);
    if (refusal !== undefined) return refusal;
    const { method } = call.request;
    switch (path.action) {
      case "status":
        return isRead(method) ? await answerStatus(call, record) : refuseMethod("GET, HEAD");
      case "stream":
        return method === "GET" ? answerStream(call, record) : refuseMethod("GET");
      case "result":
        return isRead(method) ? await answerResult(call, record) : refuseMethod("GET, HEAD");
      case "cancel":
        return method === "PUT" ? await answerCancel(record) : refuseMethod("PUT");
      default:
        return path.action satisfies never;
    }
  }

  async function findRequest(path: RequestPath): Promise<RequestOutline | undefined> {
    const id = parseRequestId(path.requestId);
    const endpoint = parseEndpointId(readEndpointPath(`/${path.endpoint}`));
    if (id === undefined || endpoint === undefined) return undefined;
    const record = await queue.findOutline(id);
    return record?.surface === "queue" && record.app === formatApp(endpoint) ? record : undefined;
  }

  async function checkAccess(
    call: Call,
    action: RequestAction,
    record: RequestOutline,
  ): Promise<Response | undefined> {
    if (action === "result" && settings.anonymousResultById) return undefined;
    const access = await authenticator.authenticate(call.request, call.url, {
      surface: "queue",
      endpoint: record.endpointId,
      ...(action === "stream" ? { accepts: ["key", "token"] as const } : {}),
    });
    if (!access.ok) return access.response;
    return access.caller.accountId === record.accountId ? undefined : answerUnknown(action);
  }

  function answerUnknown(action: RequestAction): Response {
    const body = { status: "NOT_FOUND" };
    if (action === "result") return respond.json(404, { ...body, detail: "Request not found" });
    if (action === "cancel" && !settings.strict) return respond.json(404, { ...body, success: false });
    return respond.json(404, body);
  }

  function refuseMethod(allow: string): Response {
    return respond.sentence(405, "Method Not Allowed", { allow });
  }

  async function answerStatus(call: Call, record: RequestOutline): Promise<Response> {
    const position = record.state === "queued" ? await queue.getPosition(record.id) : 0;
    const wantsLogs = record.state !== "queued" && asksForLogs(call.url);
    const logs = wantsLogs ? (await readLogs(queue, record.id)).logs : null;
    const status = formatStatus(record, { queueUrl: call.urls.queue, position, logs });
    return new Response(JSON.stringify(status), {
      status: status.status === "COMPLETED" ? 200 : 202,
      headers: { "content-type": "application/json", "x-fal-request-id": record.id, ...CORS_HEADERS },
    });
  }

  function answerStream(call: Call, record: RequestOutline): Response {
    const request = { id: record.id, queueUrl: call.urls.queue, wantsLogs: asksForLogs(call.url) };
    return respondEventStream({ "x-fal-request-id": record.id }, (signal) =>
      produceStatusEvents({ queue, live, clock }, request, signal),
    );
  }

  async function answerResult(call: Call, record: RequestOutline): Promise<Response> {
    const headers = { "x-fal-request-id": record.id };
    if (record.state === "queued" || record.state === "running")
      return respond.sentence(400, "Request is still in progress", headers);
    const stored = await queue.readResult(record.id);
    if (stored === undefined) return answerUnknown("result");
    const more = {
      ...headers,
      "x-fal-served-from": servedFrom,
      ...(record.hint === null ? {} : { "x-fal-runner-hints": record.hint }),
    };
    return respondStored(stored, call.urls.files, more, settings);
  }

  async function answerCancel(record: RequestOutline): Promise<Response> {
    const { id, accountId, endpointId } = record;
    const headers = { "x-fal-request-id": id };
    const answer = (status: number, word: string, success: boolean): Response =>
      respond.json(status, settings.strict ? { status: word } : { status: word, success }, headers);
    const outcome = await queue.cancel(id);
    switch (outcome) {
      case "cancelled":
        live.publish({ type: "changed", requestId: id, accountId, endpointId, state: "cancelled" });
        return settings.cancelAnswersOk
          ? answer(200, "OK", true)
          : answer(202, "CANCELLATION_REQUESTED", true);
      case "requested":
        live.requestCancel(id);
        return answer(202, "CANCELLATION_REQUESTED", true);
      case "already_completed":
        return answer(400, "ALREADY_COMPLETED", false);
      case "not_found":
        return answerUnknown("cancel");
      default:
        return outcome satisfies never;
    }
  }
}

function isRead(method: string): boolean {
  return method === "GET" || method === "HEAD";
}

/** `1` and `true` ask for logs; anything else does not. */
function asksForLogs(url: URL): boolean {
  if (url.search === "") return false;
  const value = url.searchParams.get("logs")?.toLowerCase();
  return value === "1" || value === "true";
}
