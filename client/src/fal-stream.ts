import { openScope, type Scope } from "./abort.ts";
import { ApiError, ConnectionError } from "./api-error.ts";
import type { RequiredConfig } from "./config.ts";
import { appendPath, appendQuery, buildEndpointUrl } from "./endpoint-url.ts";
import { isEventStream, readChunks, readEvents } from "./read-events.ts";
import { findStreamError, REQUEST_ID_HEADER } from "./read-response.ts";
import { backOff, isRetryableError } from "./retry.ts";
import { type Call, getRetry, open } from "./send.ts";
import { getTemporaryToken, type TokenProvider } from "./temporary-token.ts";
import type { Untyped } from "./untyped.ts";

/** `server`: with the key (or through the proxy). `client`: straight to the server, with a temporary token. */
export type StreamingConnectionMode = "client" | "server";

export type StreamOptions<Input> = {
  /** Unset: made from the endpoint id. */
  readonly url?: string | undefined;
  readonly input?: Input | undefined;
  readonly queryParams?: Record<string, string> | undefined;
  /** Milliseconds without a byte from the server after which the stream fails; five minutes by default. */
  readonly timeout?: number | undefined;
  readonly autoUpload?: boolean | undefined;
  /** `post` by default. */
  readonly method?: "get" | "post" | "put" | "delete" | string | undefined;
  /** `text/event-stream` by default. */
  readonly accept?: string | undefined;
  readonly connectionMode?: StreamingConnectionMode | undefined;
  readonly signal?: AbortSignal | undefined;
  readonly tokenProvider?: TokenProvider | undefined;
  /**
   * Start over when the connection is lost in the middle. Without it that is done only as long as the caller has
   * seen no event, because the events begin again from the first one.
   */
  readonly reconnect?: boolean | undefined;
};

export type FalStreamEventType = "data" | "error" | "done" | "message";

type Listener = (event: Untyped) => void;

const IDLE_MS = 300_000;
/** Events that wait for a slow reader before the server is made to wait too. */
const MAX_WAITING = 64;

/**
 * An answer that comes in parts. Iterate over it, or listen with `on`; `done()` gives the last part, which is the
 * whole output. Iteration always ends: with the stream, or by throwing what went wrong. Leaving the loop early
 * lets the stream run on; `abort()` ends it.
 */
export class FalStream<Input, Output> {
  readonly endpointId: string;
  readonly url: string;
  readonly options: StreamOptions<Input>;
  readonly #config: RequiredConfig;
  readonly #scope: Scope;
  readonly #listeners = new Map<FalStreamEventType, Listener[]>();
  readonly #done: Promise<Output>;
  #waiting: Output[] = [];
  #last: Output | undefined;
  #end: { readonly error?: unknown } | undefined;
  #iterators = 0;
  #wasSeen = false;
  #requestId = "";
  #change = createChange();

  constructor(endpointId: string, config: RequiredConfig, options: StreamOptions<Input>) {
    this.endpointId = endpointId;
    this.options = options;
    this.#config = config;
    this.url =
      options.url ??
      buildEndpointUrl(config, "run", appendPath(endpointId, undefined, "/stream"), {
        query: options.queryParams,
      });
    this.#scope = openScope(options.signal);
    this.#done = this.#run();
    // Whoever asks gets the error from `done()` or the loop; nobody has to ask.
    this.#done.catch(() => undefined);
  }

  readonly on = (type: FalStreamEventType, listener: (event: Untyped) => void): void => {
    this.#listeners.set(type, [...(this.#listeners.get(type) ?? []), listener]);
  };

  async *[Symbol.asyncIterator](): AsyncGenerator<Awaited<Output>, void, unknown> {
    this.#iterators++;
    try {
      for (;;) {
        if (this.#waiting.length > 0) {
          this.#wasSeen = true;
          const next = this.#waiting.shift() as Output;
          this.#notify();
          yield await next;
        } else if (this.#end !== undefined) {
          if ("error" in this.#end) throw this.#end.error;
          return;
        } else await this.#change.promise;
      }
    } finally {
      this.#iterators--;
      this.#notify();
    }
  }

  /** Resolves to the last event when the stream has ended; rejects when it failed. */
  readonly done = (): Promise<Output> => this.#done;

  /** Ends the request. `done()` resolves to the last event so far, or to an empty object. */
  readonly abort = (reason?: string | Error): void => {
    this.#scope.abort(reason instanceof Error ? reason : new DOMException(reason ?? "Aborted", "AbortError"));
  };

  /** Aborted when the stream is. */
  get signal(): AbortSignal {
    return this.#scope.signal;
  }

  /** Empty until the server has answered. */
  get requestId(): string {
    return this.#requestId;
  }

  async #run(): Promise<Output> {
    // The caller attaches listeners before anything can happen.
    await Promise.resolve();
    let failure: { readonly error: unknown } | undefined;
    try {
      await this.#readWithRetry();
    } catch (error) {
      const isIdle =
        error instanceof DOMException && error.name === "TimeoutError" && !this.options.signal?.aborted;
      if (isIdle || !this.#scope.signal.aborted) failure = { error };
    }
    this.#scope.close();
    this.#end = failure ?? {};
    this.#notify();
    if (failure !== undefined) {
      this.#emit("error", failure.error);
      throw failure.error;
    }
    const last = this.#last ?? ({} as Output);
    this.#emit("done", last);
    return last;
  }

  async #readWithRetry(): Promise<void> {
    const retry = getRetry(this.#config);
    for (let failures = 0; ; failures++) {
      const { signal } = this.#scope;
      try {
        return await this.#read();
      } catch (error) {
        const mayStartOver =
          !this.#wasSeen || (this.options.reconnect === true && error instanceof ConnectionError);
        if (signal.aborted || failures >= retry.maxRetries || !mayStartOver) throw error;
        if (!isRetryableError(error, retry.retryableStatusCodes)) throw error;
        this.#waiting = [];
        await backOff(error, failures, retry, signal);
      }
    }
  }

  async #read(): Promise<void> {
    const response = await open(this.#config, await this.#createCall(), this.#scope.signal);
    this.#requestId = response.headers.get(REQUEST_ID_HEADER) ?? "";
    const idleMs = this.options.timeout ?? IDLE_MS;
    if (!isEventStream(response)) {
      for await (const chunk of readChunks(response, this.#scope, idleMs)) await this.#take(chunk as Output);
      return;
    }
    for await (const text of readEvents(response, this.#scope, idleMs)) {
      const event = this.#parse(text);
      const error = findStreamError(event, this.#requestId);
      if (error !== undefined) {
        this.#wasSeen = true;
        throw error;
      }
      await this.#take(event);
    }
  }

  async #createCall(): Promise<Call> {
    const {
      method = "post",
      input,
      accept = "text/event-stream",
      connectionMode,
      tokenProvider,
    } = this.options;
    const isGet = method.toLowerCase() === "get";
    const call: Call = {
      method: method.toUpperCase(),
      url: isGet && input ? appendQuery(this.url, input as Record<string, string>) : this.url,
      headers: { accept, "content-type": "application/json" },
      body: !isGet && input ? JSON.stringify(input) : undefined,
      signal: this.#scope.signal,
    };
    if (connectionMode !== "client") return call;
    const token = await (tokenProvider
      ? tokenProvider(appendPath(this.endpointId, undefined, "/stream"))
      : getTemporaryToken(this.#config, this.endpointId, this.#scope.signal));
    return { ...call, url: appendQuery(call.url, { fal_jwt_token: token }), isDirect: true };
  }

  async #take(event: Output): Promise<void> {
    this.#last = event;
    this.#waiting.push(event);
    this.#notify();
    this.#emit("data", event);
    this.#emit("message", event);
    while (this.#iterators > 0 && this.#waiting.length >= MAX_WAITING && !this.#scope.signal.aborted) {
      await this.#change.promise;
    }
  }

  #parse(text: string): Output {
    try {
      return JSON.parse(text);
    } catch (cause) {
      const message = "The stream sent an event that is not JSON";
      throw new ApiError({ message, status: 200, body: text, requestId: this.#requestId, cause });
    }
  }

  #emit(type: FalStreamEventType, event: unknown): void {
    const listeners = this.#listeners.get(type) ?? [];
    if (type === "data" && listeners.length > 0) this.#wasSeen = true;
    for (const listener of listeners) listener(event);
  }

  #notify(): void {
    this.#change.resolve();
    this.#change = createChange();
  }
}

function createChange(): { readonly promise: Promise<void>; readonly resolve: () => void } {
  let resolve: () => void = () => undefined;
  const promise = new Promise<void>((done) => {
    resolve = done;
  });
  return { promise, resolve };
}
