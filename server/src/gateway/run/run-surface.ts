import { hostname } from "node:os";
import type { Caller } from "../../keys/caller.ts";
import type { NewRequest, RequestResult } from "../../queue/request-queue.ts";
import type { Authenticator } from "../authenticate.ts";
import type { Call, Route } from "../call.ts";
import { checkRequest } from "../check-request.ts";
import type { GatewayContext } from "../context.ts";
import { createAppDocument } from "../documents/app-document.ts";
import {
  describeTarget,
  type FoundEndpoint,
  findEndpoint,
  type KnownEndpoint,
  readEndpointPath,
} from "../find-endpoint.ts";
import { readBody } from "../read-body.ts";
import { type RequestOptions, readRequestOptions } from "../request-options.ts";
import { addCommonHeaders, type Respond } from "../respond.ts";
import { respondLimited } from "../respond-limited.ts";
import { respondStored } from "../stored-response.ts";
import type { RunCounter } from "./run-counter.ts";
import { respondRunStream, subscribeToRun } from "./run-stream.ts";
import { startRun } from "./start-run.ts";

/**
 * The run surface: `POST /{endpoint_id}` answers with what the model answers, `POST /{endpoint_id}/stream` with its
 * previews and parts as server-sent events first (fal model API, "Direct run", "Streaming").
 *
 * Order of checks: credential, app, method, path, state of the server, headers, body, limits of the key.
 */
export function createRunSurface(
  context: GatewayContext,
  parts: {
    readonly respond: Respond;
    readonly authenticator: Authenticator;
    readonly counter: RunCounter;
  },
): Route {
  const { catalog, clock, settings, queue, live, logger } = context;
  const { respond, authenticator, counter } = parts;
  const servedFrom = hostname();

  return async (call) => {
    const response = await answer(call);
    return response.status < 400 ? response : addCommonHeaders(response, call.requestId);
  };

  async function answer(call: Call): Promise<Response> {
    const { request, url } = call;
    const path = readEndpointPath(call.path);
    const document = findAppDocument(call, path);
    if (document !== undefined) return document;
    const access = await authenticator.authenticate(request, url, {
      surface: "run",
      endpoint: path,
      accepts: ["key", "token"],
    });
    if (!access.ok) return access.response;
    const { found, isStream } = findRunTarget(path);
    if (found.kind === "unknown_app") return respond.sentence(404, `Application "${found.name}" not found`);
    if (request.method === "GET" && found.kind === "unknown_path" && found.path === "/health")
      return respond.json(200, { version: context.version }, { "x-fal-request-id": call.requestId });
    if (request.method !== "POST") return respond.sentence(405, "Method Not Allowed", { allow: "POST" });
    if (context.isDraining())
      return respond.sentence(503, "The server is shutting down; send the request again.", {
        "retry-after": "1",
      });
    const now = clock.now();
    const read = readRequestOptions(request, url, now);
    if (read.kind === "bad_request") return respond.flat("bad_request", read.message);
    if (read.kind === "invalid") return respond.list(read.detail);
    const body = await readBody(request, settings.maxBodyBytes);
    if (body.kind === "too_large") return respond.sentence(413, "Request body too large");
    if (body.kind === "aborted") return respond.flat("client_disconnected");
    const newRequest = createRunRequest(call, access.caller, found, read.options, body.bytes, now);
    const ended = checkRequest(found, body.bytes);
    if (ended !== undefined) {
      keepRecord(newRequest, ended);
      return respondResult(call, newRequest, ended);
    }
    return await runLimited(call, { ...newRequest, surface: isStream ? "stream" : "run" }, isStream);
  }

  /** `GET {app}/openapi.json` describes the app; like every description it needs no key. */
  function findAppDocument(call: Call, path: string): Response | undefined {
    if (call.request.method !== "GET" || !path.endsWith(DOCUMENT)) return undefined;
    const document = createAppDocument(catalog, path.slice(0, -DOCUMENT.length), call.urls);
    return document === undefined
      ? undefined
      : respond.json(200, document, { "x-fal-request-id": call.requestId });
  }

  /** `/stream` below an endpoint asks for its stream, however often it was appended. */
  function findRunTarget(path: string): RunTarget {
    let endpoint = path;
    while (catalog.find(endpoint) === undefined && endpoint.endsWith("/stream"))
      endpoint = endpoint.slice(0, -"/stream".length);
    if (endpoint === path) return { found: findEndpoint(catalog, path), isStream: false };
    const found = findEndpoint(catalog, endpoint);
    return found.kind === "endpoint"
      ? { found, isStream: true }
      : { found: findEndpoint(catalog, path), isStream: false };
  }

  async function runLimited(call: Call, request: NewRequest, isStream: boolean): Promise<Response> {
    const acquired = await counter.acquire(request);
    if (acquired.kind === "busy")
      return respond.flat(
        "concurrent_requests_limit",
        "This key has as many requests in progress as it may have.",
        { "x-fal-needs-retry": "1", "retry-after": "1" },
      );
    if (acquired.kind === "limited") return respondLimited(respond, acquired);
    const { release } = acquired;
    if (isStream) {
      const updates = subscribeToRun(live, request.id);
      const run = startRun(context, request);
      void run.result.finally(release);
      return await respondRunStream(call, run, updates, (result) => respondResult(call, request, result));
    }
    const run = startRun(context, request);
    const { signal } = call.request;
    const stop = (): void => run.abort(new Error("The caller closed the connection."));
    if (signal.aborted) stop();
    signal.addEventListener("abort", stop, { once: true });
    try {
      return respondResult(call, request, await run.result);
    } finally {
      signal.removeEventListener("abort", stop);
      release();
    }
  }

  function respondResult(call: Call, request: NewRequest, result: RequestResult): Response {
    const headers = {
      "x-fal-request-id": call.requestId,
      "x-fal-billable-units": result.headers["x-fal-billable-units"] ?? String(result.billableUnits),
      "x-fal-served-from": servedFrom,
      ...(request.hint === undefined ? {} : { "x-fal-runner-hints": request.hint }),
    };
    return respondStored(result, call.urls.files, headers, settings);
  }

  /** A refused run is history too; the answer does not wait for it. */
  function keepRecord(request: NewRequest, result: RequestResult): void {
    const times = { startedAt: request.createdAt, endedAt: request.createdAt };
    queue.record(request, result, times).then(
      () =>
        live.publish({
          type: "changed",
          requestId: request.id,
          accountId: request.accountId,
          endpointId: request.endpointId,
          state: result.state,
        }),
      (error: unknown) =>
        logger.warn({ err: error, requestId: request.id }, "a refused run was not recorded"),
    );
  }
}

const DOCUMENT = "/openapi.json";

interface RunTarget {
  readonly found: FoundEndpoint;
  readonly isStream: boolean;
}

function createRunRequest(
  call: Call,
  caller: Caller,
  found: KnownEndpoint,
  options: RequestOptions,
  input: Uint8Array | null,
  createdAt: number,
): NewRequest {
  // What belongs to the queue alone means nothing here.
  const { webhookUrl: _webhook, idempotencyKey: _key, maxQueueLength: _length, ...rest } = options;
  return {
    ...rest,
    ...describeTarget(found),
    id: call.requestId,
    accountId: caller.accountId,
    keyId: caller.keyId,
    surface: "run",
    priority: "normal",
    input,
    createdAt,
  };
}
