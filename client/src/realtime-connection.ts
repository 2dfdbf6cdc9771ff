import { decode, encode } from "@msgpack/msgpack";
import { openScope, type Scope } from "./abort.ts";
import { ApiError } from "./api-error.ts";
import type { RequiredConfig } from "./config.ts";
import { appendPath, buildEndpointUrl } from "./endpoint-url.ts";
import type { RealtimeConnectionHandler } from "./realtime.ts";
import { randomUuid } from "./runtime.ts";
import { getTemporaryToken } from "./temporary-token.ts";
import type { Untyped } from "./untyped.ts";

export interface ConnectionOptions {
  readonly config: RequiredConfig;
  readonly app: string;
  /** Who listens may change while the connection is open. */
  readonly getHandler: () => RealtimeConnectionHandler<Untyped>;
  readonly addsRequestId: boolean;
}

export function openConnection(options: ConnectionOptions): Connection {
  return new Connection(options);
}

const THROTTLE_MS = 128;

/**
 * Idle → connecting (a token, then the handshake) → open → idle. A `send` takes it out of idle; a close from
 * either side, or a failure, takes it back. While connecting only the latest input is kept.
 */
export class Connection {
  readonly #options: ConnectionOptions;
  #socket: WebSocket | undefined;
  /** Exists while connecting; aborted by `close`. */
  #connecting: Scope | undefined;
  #pending: Uint8Array | string | undefined;
  #held: { readonly input: unknown } | undefined;
  #throttle: ReturnType<typeof setTimeout> | undefined;
  #token: { readonly text: string; readonly expiresAt: number } | undefined;
  /** Messages are decoded one after the other, so that a slow decoder cannot change their order. */
  #decoding: Promise<unknown> = Promise.resolve();

  constructor(options: ConnectionOptions) {
    this.#options = options;
  }

  /** Sends the input, now or, when one was sent a moment ago, after the throttle interval. */
  send(input: unknown): void {
    if (this.#throttle !== undefined) {
      this.#held = { input };
      return;
    }
    const { throttleInterval = THROTTLE_MS } = this.#handler;
    if (throttleInterval > 0) this.#throttle = setTimeout(() => this.#release(), throttleInterval);
    this.#transmit(input);
  }

  close(): void {
    clearTimeout(this.#throttle);
    this.#throttle = undefined;
    this.#held = undefined;
    this.#pending = undefined;
    this.#connecting?.abort(new DOMException("The connection was closed", "AbortError"));
    this.#connecting = undefined;
    const socket = this.#socket;
    this.#socket = undefined;
    socket?.close(1000);
  }

  get #handler(): RealtimeConnectionHandler<Untyped> {
    return this.#options.getHandler();
  }

  #release(): void {
    this.#throttle = undefined;
    const held = this.#held;
    this.#held = undefined;
    if (held !== undefined) this.send(held.input);
  }

  #transmit(input: unknown): void {
    let message: Uint8Array | string;
    try {
      message = this.#encode(input);
    } catch (cause) {
      this.#fail("The input cannot be encoded", 400, undefined, cause);
      return;
    }
    if (this.#socket !== undefined && this.#connecting === undefined) {
      this.#socket.send(message as Uint8Array<ArrayBuffer>);
      return;
    }
    this.#pending = message;
    if (this.#connecting === undefined) void this.#connect();
  }

  async #connect(): Promise<void> {
    const scope = openScope();
    this.#connecting = scope;
    try {
      const url = await this.#buildUrl(scope.signal);
      if (scope.signal.aborted) return;
      this.#listen(this.#createSocket(url));
    } catch (error) {
      if (scope.signal.aborted) return;
      this.#connecting = undefined;
      this.#pending = undefined;
      if (error instanceof ApiError) this.#handler.onError?.(error);
      else this.#fail(error instanceof Error ? error.message : String(error), 500, undefined, error);
    }
  }

  async #buildUrl(signal: AbortSignal): Promise<string> {
    const { app, config } = this.#options;
    const { path, maxBuffering } = this.#handler;
    const id = appendPath(app, path, "/realtime");
    const token = await this.#getToken(id, signal);
    const url = buildEndpointUrl(config, "run", id, {
      query: {
        fal_jwt_token: token,
        max_buffering: maxBuffering === undefined ? undefined : String(maxBuffering),
      },
    });
    return url.replace(/^http/, "ws");
  }

  async #getToken(id: string, signal: AbortSignal): Promise<string> {
    const { tokenProvider, tokenExpirationSeconds } = this.#handler;
    if (this.#token !== undefined && Date.now() < this.#token.expiresAt) return this.#token.text;
    if (tokenProvider === undefined)
      return getTemporaryToken(this.#options.config, this.#options.app, signal);
    const text = await tokenProvider(id);
    // A token that is about to expire might do so on its way.
    const expiresAt = Date.now() + (tokenExpirationSeconds ?? 0) * 900;
    this.#token = { text, expiresAt };
    return text;
  }

  #createSocket(url: string): WebSocket {
    const Socket: typeof WebSocket | undefined = this.#options.config.WebSocket ?? globalThis.WebSocket;
    if (Socket === undefined) {
      throw new Error(
        "This runtime has no WebSocket: use Node 22 or later, or give one with `config({ WebSocket })`",
      );
    }
    return new Socket(url);
  }

  #listen(socket: WebSocket): void {
    this.#socket = socket;
    socket.binaryType = "arraybuffer";
    const isCurrent = () => this.#socket === socket;
    socket.onopen = () => {
      if (!isCurrent()) return;
      this.#connecting = undefined;
      const pending = this.#pending;
      this.#pending = undefined;
      if (pending !== undefined) socket.send(pending as Uint8Array<ArrayBuffer>);
    };
    socket.onmessage = ({ data }) => {
      this.#decoding = this.#decoding
        .then(() => this.#decode(data))
        .then(
          (message) => isCurrent() && this.#receive(message),
          (cause: unknown) => isCurrent() && this.#fail("A message cannot be decoded", 400, undefined, cause),
        )
        .catch(throwUncaught);
    };
    // What an error is about is told by the close that follows it.
    socket.onerror = () => undefined;
    socket.onclose = ({ code, reason }) => {
      void this.#decoding.then(() => {
        if (!isCurrent()) return;
        this.#socket = undefined;
        this.#connecting = undefined;
        this.#pending = undefined;
        if (code !== 1000)
          this.#fail(`The connection was lost (${code}${reason && `: ${reason}`})`, code, undefined);
      });
    };
  }

  #receive(message: Untyped): void {
    if (message?.status === "error") {
      this.#token = undefined;
      this.#fail(String(message.error ?? "Unauthorized"), 401, message);
    } else if (message?.type === "x-fal-error") {
      // The server ends an idle connection so; the next `send` opens another.
      if (message.error !== "TIMEOUT") this.#fail(`${message.error}: ${message.reason}`, 400, message);
    } else if (message?.type !== "x-fal-message") this.#handler.onResult(message);
  }

  #encode(input: unknown): Uint8Array | string {
    const isRecord = typeof input === "object" && input !== null && !(input instanceof Uint8Array);
    const identified =
      this.#options.addsRequestId && isRecord ? { request_id: randomUuid(), ...input } : input;
    const { encodeMessage } = this.#handler;
    if (encodeMessage !== undefined) return encodeMessage(identified);
    return identified instanceof Uint8Array ? identified : encode(identified);
  }

  #decode(data: unknown): unknown {
    const { decodeMessage } = this.#handler;
    if (decodeMessage !== undefined) return decodeMessage(data);
    return typeof data === "string" ? JSON.parse(data) : decode(data as ArrayBuffer);
  }

  #fail(message: string, status: number, body: unknown, cause?: unknown): void {
    this.#handler.onError?.(new ApiError({ message, status, body, cause }));
  }
}

/** What a caller's own handler throws is for the runtime to report, and no reason to lose the next message. */
function throwUncaught(error: unknown): void {
  queueMicrotask(() => {
    throw error;
  });
}
