import type { WebSocket } from "ws";
import { createRequestId } from "../../ids.ts";
import type { Call, Route } from "../call.ts";
import type { GatewayContext } from "../context.ts";
import { sendFrame } from "./send-frame.ts";

export interface HttpSessionOptions {
  readonly socket: WebSocket;
  /** The handshake: its credential and headers are those of every request. */
  readonly call: Call;
  /** What the requests go to. */
  readonly run: Route;
}

/** Requests that wait beyond this are left in the network. */
const MAX_WAITING = 32;
const MAX_WAITING_BYTES = 32 * 2 ** 20;

/**
 * Requests over one socket, answered strictly in the order in which they came. An answer is a `start` message with
 * status and headers, the body as one or more frames (text for JSON and server-sent events, else binary), and an `end`
 * message. Receivers know both by `type` and `request_id`: a body that looks like one goes as a binary frame.
 */
export class HttpSession {
  readonly #context: Pick<GatewayContext, "clock" | "logger">;
  readonly #options: HttpSessionOptions;
  readonly #gone = new AbortController();
  readonly #waiting: Uint8Array[] = [];
  #isWorking = false;

  constructor(context: Pick<GatewayContext, "clock" | "logger">, options: HttpSessionOptions) {
    this.#context = context;
    this.#options = options;
  }

  start(): void {
    const { socket } = this.#options;
    socket.on("message", (data) => {
      this.#waiting.push(data as Buffer);
      if (this.#isFull) socket.pause();
      if (!this.#isWorking) void this.#work();
    });
    socket.on("close", () => {
      this.#waiting.length = 0;
      this.#gone.abort(new Error("The caller closed the connection."));
    });
  }

  get #isFull(): boolean {
    const bytes = this.#waiting.reduce((sum, { byteLength }) => sum + byteLength, 0);
    return this.#waiting.length >= MAX_WAITING || bytes >= MAX_WAITING_BYTES;
  }

  async #work(): Promise<void> {
    const { socket } = this.#options;
    this.#isWorking = true;
    for (let body = this.#waiting.shift(); body !== undefined; body = this.#waiting.shift()) {
      if (socket.isPaused && !this.#isFull) socket.resume();
      try {
        await this.#answer(body);
      } catch (error) {
        // A part of the answer may be out: nothing that follows could be told from it.
        if (!this.#gone.signal.aborted)
          this.#context.logger.error({ err: error }, "a request over a socket failed unexpectedly");
        socket.close(1011, "Internal Server Error");
      }
    }
    this.#isWorking = false;
  }

  async #answer(body: Uint8Array): Promise<void> {
    const { call, run } = this.#options;
    const { clock } = this.#context;
    const startedAt = clock.monotonic();
    const requestId = createRequestId(clock.now());
    const request = createRequest(call, body, this.#gone.signal);
    const response = await run({ ...call, surface: "run", request, requestId });
    const { status } = response;
    const meta = { request_id: requestId, status };
    await this.#send(JSON.stringify({ type: "start", ...meta, headers: formatHeaders(response.headers) }));
    const firstAt = await this.#sendBody(response);
    const seconds = Math.round(firstAt - startedAt) / 1000;
    await this.#send(JSON.stringify({ type: "end", ...meta, time_to_first_byte_seconds: seconds }));
  }

  /** @returns when the first part of the body was there, by the monotonic clock */
  async #sendBody(response: Response): Promise<number> {
    const { clock } = this.#context;
    const type = response.headers.get("content-type") ?? "";
    if (!type.startsWith("text/event-stream")) {
      const bytes = new Uint8Array(await response.arrayBuffer());
      const firstAt = clock.monotonic();
      const text = /^(application\/json|text\/)/.test(type) ? decodeText(bytes) : undefined;
      if (bytes.byteLength > 0) await this.#send(text === undefined || isMetaLike(text) ? bytes : text);
      return firstAt;
    }
    let firstAt: number | undefined;
    const decoder = new TextDecoder();
    for await (const chunk of response.body ?? []) {
      firstAt ??= clock.monotonic();
      const text = decoder.decode(chunk, { stream: true });
      if (text !== "") await this.#send(text);
    }
    return firstAt ?? clock.monotonic();
  }

  #send(data: string | Uint8Array): Promise<void> {
    this.#gone.signal.throwIfAborted();
    return sendFrame(this.#options.socket, data);
  }
}

/** The handshake's request as the POST that its caller would have made without a socket. */
function createRequest({ request, url }: Call, body: Uint8Array, signal: AbortSignal): Request {
  const headers = new Headers();
  for (const [name, value] of request.headers) {
    if (!OF_THE_SOCKET.test(name)) headers.set(name, value);
  }
  headers.set("content-type", "application/json");
  const init = { method: "POST", headers, signal };
  return new Request(url, body.byteLength === 0 ? init : { ...init, body: new Uint8Array(body) });
}

const OF_THE_SOCKET =
  /^(connection|upgrade|host|content-length|content-type|transfer-encoding|sec-websocket-.*)$/;

/** As receivers look for them: `Content-Type`. What is for browsers' pages means nothing here. */
function formatHeaders(headers: Headers): Readonly<Record<string, string>> {
  const own = [...headers].filter(([name]) => !name.startsWith("access-control-"));
  return Object.fromEntries(
    own.map(([name, value]) => [name.replace(/\b[a-z]/g, (letter) => letter.toUpperCase()), value]),
  );
}

function decodeText(bytes: Uint8Array): string | undefined {
  try {
    return new TextDecoder("utf-8", { fatal: true }).decode(bytes);
  } catch {
    return undefined;
  }
}

function isMetaLike(text: string): boolean {
  if (!text.trimStart().startsWith("{")) return false;
  try {
    const value = JSON.parse(text) as object;
    return "type" in value && "request_id" in value;
  } catch {
    return false;
  }
}
