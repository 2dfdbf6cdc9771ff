import type { Caller } from "../../keys/caller.ts";
import type { EnqueueOutcome, NewRequest, RequestResult } from "../../queue/request-queue.ts";
import type { Authenticator } from "../authenticate.ts";
import type { Call } from "../call.ts";
import { checkRequest } from "../check-request.ts";
import type { GatewayContext } from "../context.ts";
import { describeTarget, findEndpoint, type KnownEndpoint, readEndpointPath } from "../find-endpoint.ts";
import type { FreeSpaceCheck } from "../free-space.ts";
import { readBody } from "../read-body.ts";
import { type RequestOptions, readRequestOptions } from "../request-options.ts";
import { CORS_HEADERS, type Respond } from "../respond.ts";
import { respondLimited } from "../respond-limited.ts";
import { formatRequestUrls } from "./queue-status.ts";

/**
 * `POST /{endpoint_id}`: makes the request durable and answers with its id and URLs (fal model API, "Queue: submit").
 *
 * Whatever the input is, a known app answers 200: an input that does not fit becomes a request that has already failed.
 * Order of checks: credential, app, method, state of the server, headers, body.
 */
export function createSubmit(
  context: GatewayContext,
  parts: {
    readonly respond: Respond;
    readonly authenticator: Authenticator;
    readonly freeSpace: FreeSpaceCheck;
  },
): (call: Call) => Promise<Response> {
  const { catalog, queue, live, clock, settings } = context;
  const { respond, authenticator, freeSpace } = parts;

  const tell = ({ id, accountId, endpointId }: NewRequest, state: string): void =>
    live.publish({ type: "changed", requestId: id, accountId, endpointId, state });

  const enqueue = async (request: NewRequest, result: RequestResult | undefined): Promise<EnqueueOutcome> => {
    if (result !== undefined) {
      const times = { startedAt: request.createdAt, endedAt: request.createdAt };
      const outcome = await queue.record(request, result, times);
      if (outcome.kind !== "recorded") return outcome;
      tell(request, result.state);
      return { kind: "enqueued", position: 0 };
    }
    const outcome = await queue.enqueue(request);
    if (outcome.kind === "enqueued") {
      live.wake(request.endpointId);
      tell(request, "queued");
    }
    return outcome;
  };

  return async (call) => {
    const { request, url } = call;
    const endpoint = readEndpointPath(call.path);
    const access = await authenticator.authenticate(request, url, { surface: "queue", endpoint });
    if (!access.ok) return access.response;
    const found = findEndpoint(catalog, endpoint);
    if (found.kind === "unknown_app") return respond.sentence(404, `Application "${found.name}" not found`);
    if (request.method !== "POST") return respond.sentence(405, "Method Not Allowed", { allow: "POST" });
    if (context.isDraining())
      return respond.sentence(503, "The server is shutting down; send the request again.", RETRY_SOON);
    if (await freeSpace.isShort())
      return respond.sentence(
        503,
        "The server is short of disk space and takes no new requests; its operator must free some.",
        RETRY_LATER,
      );
    const now = clock.now();
    const read = readRequestOptions(request, url, now);
    if (read.kind === "bad_request") return respond.flat("bad_request", read.message);
    if (read.kind === "invalid") return respond.list(read.detail);
    const body = await readBody(request, settings.maxBodyBytes);
    if (body.kind === "too_large") return respond.sentence(413, "Request body too large");
    if (body.kind === "aborted") return respond.flat("client_disconnected");
    const newRequest = createNewRequest(call, access.caller, found, read.options, body.bytes, now);
    const result = checkRequest(found, body.bytes);
    const outcome = await enqueue(newRequest, result);
    return answerSubmit(call, newRequest, outcome);
  };

  function answerSubmit(
    call: Call,
    request: NewRequest,
    outcome: EnqueueOutcome,
  ): Response | Promise<Response> {
    switch (outcome.kind) {
      case "enqueued":
        return respondQueued(call, request, outcome.position);
      case "replayed": {
        const first = outcome.request;
        if (first.state !== "queued") return respondQueued(call, first, 0);
        return queue.getPosition(first.id).then((position) => respondQueued(call, first, position));
      }
      case "conflict":
        return respond.sentence(
          409,
          "The Idempotency-Key header was used before with another body. Use a new key for a new request.",
        );
      case "queue_full":
        return respond.flat("queue_length_exceeded", undefined, RETRY_SOON);
      case "limited":
        return respondLimited(respond, outcome);
      default:
        return outcome satisfies never;
    }
  }
}

const RETRY_SOON = { "retry-after": "1" };
const RETRY_LATER = { "retry-after": "30" };

function createNewRequest(
  call: Call,
  caller: Caller,
  found: KnownEndpoint,
  options: RequestOptions,
  input: Uint8Array | null,
  createdAt: number,
): NewRequest {
  return {
    ...options,
    ...describeTarget(found),
    id: call.requestId,
    accountId: caller.accountId,
    keyId: caller.keyId,
    surface: "queue",
    input,
    createdAt,
  };
}

function respondQueued(call: Call, request: Pick<NewRequest, "id" | "app">, position: number): Response {
  const body = {
    status: "IN_QUEUE",
    ...formatRequestUrls(call.urls.queue, request),
    queue_position: position,
  };
  return new Response(JSON.stringify(body), {
    status: 200,
    headers: { "content-type": "application/json", "x-fal-request-id": request.id, ...CORS_HEADERS },
  });
}
