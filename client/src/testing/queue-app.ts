import { randomUUID } from "node:crypto";
import type { ServerResponse } from "node:http";
import { type Handler, type SeenCall, sendJson } from "./test-server.ts";

export interface StoredRequest {
  readonly id: string;
  readonly input: unknown;
  readonly key: string | undefined;
  status: "IN_QUEUE" | "IN_PROGRESS" | "COMPLETED";
  position: number;
  logs: { message: string; level: "INFO"; source: "USER"; timestamp: string }[];
  result: { status: number; body: unknown };
  isCancelled: boolean;
}

/** The queue of the protocol in a few lines: what it stores outlives a stop and start of its server. */
export interface QueueApp {
  readonly requests: Map<string, StoredRequest>;
  readonly handler: Handler;
  /** Set to false for a server that has no status stream. */
  hasStream: boolean;
  /** Open status streams. */
  readonly streams: Set<ServerResponse>;
  update(id: string, change: Partial<Omit<StoredRequest, "logs">> & { log?: string }): void;
  complete(id: string, body: unknown, status?: number): void;
  /** Called with each new request. */
  onSubmit: (request: StoredRequest) => void | Promise<void>;
  /** Called before a call is answered; true when it has answered itself. */
  intercept: (call: SeenCall, response: ServerResponse) => boolean | Promise<boolean>;
}

const ROUTE = /^\/queue\/(.+?)\/requests\/([^/]+)(\/status\/stream|\/status|\/cancel)?$/;

export function createQueueApp(): QueueApp {
  const listeners = new Map<string, Set<() => void>>();
  const app: QueueApp = {
    requests: new Map(),
    hasStream: true,
    streams: new Set(),
    onSubmit: () => undefined,
    intercept: () => false,
    update(id, { log, ...change }) {
      const request = app.requests.get(id);
      if (request === undefined) throw new Error(`no request ${id}`);
      Object.assign(request, change);
      if (log !== undefined) {
        const timestamp = new Date(1_700_000_000_000 + request.logs.length).toISOString();
        request.logs.push({ message: log, level: "INFO", source: "USER", timestamp });
      }
      for (const listener of listeners.get(id) ?? []) listener();
    },
    complete(id, body, status = 200) {
      app.update(id, { status: "COMPLETED", result: { status, body } });
    },
    async handler(call, response) {
      if (await app.intercept(call, response)) return;
      const match = ROUTE.exec(call.path);
      if (match === null) return submit(call, response);
      const [, , id = "", suffix = ""] = match;
      const request = app.requests.get(id);
      if (request === undefined) return sendJson(response, 404, { status: "NOT_FOUND" });
      if (suffix === "/cancel") return cancel(request, response);
      if (suffix === "/status/stream" && app.hasStream) return stream(request, call, response);
      if (suffix === "/status/stream") return sendJson(response, 404, { detail: "Path not found" });
      if (suffix === "/status") {
        const isLate = request.status === "COMPLETED";
        return sendJson(response, isLate ? 200 : 202, describe(request, request.logs, call));
      }
      if (request.status !== "COMPLETED") {
        return sendJson(response, 400, { detail: "Request is still in progress" });
      }
      sendJson(response, request.result.status, request.result.body, { "x-fal-request-id": id });
    },
  };

  function submit(call: SeenCall, response: ServerResponse): void {
    const key = call.headers["idempotency-key"]?.toString();
    const known = [...app.requests.values()].find((request) => key !== undefined && request.key === key);
    const request: StoredRequest = known ?? {
      id: randomUUID(),
      input: call.body.length === 0 ? undefined : JSON.parse(call.body.toString()),
      key,
      status: "IN_QUEUE",
      position: 0,
      logs: [],
      result: { status: 200, body: {} },
      isCancelled: false,
    };
    app.requests.set(request.id, request);
    sendJson(response, 200, describe(request, [], call), { "x-fal-request-id": request.id });
    if (known === undefined) void app.onSubmit(request);
  }

  function cancel(request: StoredRequest, response: ServerResponse): void {
    if (request.status === "COMPLETED") {
      sendJson(response, 400, { status: "ALREADY_COMPLETED" });
      return;
    }
    const body = { detail: "Request cancelled by the client.", error_type: "client_cancelled" };
    sendJson(response, 202, { status: "CANCELLATION_REQUESTED", success: true });
    app.update(request.id, { status: "COMPLETED", isCancelled: true, result: { status: 499, body } });
  }

  function stream(request: StoredRequest, call: SeenCall, response: ServerResponse): void {
    response.writeHead(200, { "content-type": "text/event-stream", "x-fal-request-id": request.id });
    let sent = 0;
    const tell = () => {
      const news = request.logs.slice(sent);
      sent = request.logs.length;
      response.write(`data: ${JSON.stringify(describe(request, news, call))}\n\n`);
      if (request.status === "COMPLETED") response.end();
    };
    const own = listeners.get(request.id) ?? new Set();
    listeners.set(request.id, own.add(tell));
    app.streams.add(response);
    response.on("close", () => {
      own.delete(tell);
      app.streams.delete(response);
    });
    tell();
  }

  return app;
}

function describe(request: StoredRequest, logs: StoredRequest["logs"], call: SeenCall): unknown {
  const base = `http://${call.headers.host}/queue/acme/model/requests/${request.id}`;
  const urls = { response_url: base, status_url: `${base}/status`, cancel_url: `${base}/cancel` };
  const common = { status: request.status, request_id: request.id, ...urls };
  if (request.status === "IN_QUEUE") return { ...common, queue_position: request.position };
  return { ...common, logs: call.query.get("logs") === "1" ? logs : null };
}
