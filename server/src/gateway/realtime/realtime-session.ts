import { createErrorDetail } from "@sluice/protocol";
import type { WebSocket } from "ws";
import { resolveFileLinks } from "../../files/file-links.ts";
import { createRequestId, type RequestId } from "../../ids.ts";
import type { Caller } from "../../keys/caller.ts";
import type { NewRequest, RequestResult } from "../../queue/request-queue.ts";
import { checkRequest } from "../check-request.ts";
import type { GatewayContext } from "../context.ts";
import { describeTarget, type KnownEndpoint } from "../find-endpoint.ts";
import { DAY_IS_USED_UP } from "../respond-limited.ts";
import type { RunCounter } from "../run/run-counter.ts";
import { startRun } from "../run/start-run.ts";
import { sendFrame } from "../ws/send-frame.ts";
import { decodeInput, encodeOutput, type InputFrame } from "./realtime-frames.ts";

export interface SessionOptions {
  readonly socket: WebSocket;
  readonly counter: RunCounter;
  readonly found: Extract<KnownEndpoint, { kind: "endpoint" }>;
  readonly caller: Caller;
  readonly options: Pick<NewRequest, "keepsPayloads" | "fileLifecycle" | "headers" | "hint" | "tags">;
  /** Inputs that wait while one is processed; the oldest is dropped for a new one. */
  readonly maxBuffering: number;
  readonly emitsTimings: boolean;
  readonly filesUrl: string;
  /** Without an input for this long the session ends, in milliseconds. */
  readonly idleMs: number;
}

/** However few inputs may wait, they take no more memory than this. */
const MAX_WAITING_BYTES = 32 * 2 ** 20;
const NO_RETRY = { connectionError: 1, serverError: 1, timeout: 1 } as const;

/**
 * One realtime connection (fal model API, "Realtime: session behaviour"). Inputs are processed one after the other,
 * each as a run of the endpoint, and answered in order. While one is processed the newest few wait.
 *
 * An input that does not fit is told and the session goes on; a failure of the model or of the platform is told and
 * ends it. Codes of `x-fal-error`: `INVALID_INPUT` (`reason` is the JSON of the error list),
 * `CONCURRENT_REQUESTS_LIMIT`, `RATE_LIMITED`, `CANCELLED`, `INTERNAL_ERROR`, `TIMEOUT`.
 */
export class RealtimeSession {
  readonly #context: GatewayContext;
  readonly #options: SessionOptions;
  readonly #gone = new AbortController();
  readonly #waiting: InputFrame[] = [];
  #isWorking = false;
  #idle: NodeJS.Timeout | undefined;

  constructor(context: GatewayContext, options: SessionOptions) {
    this.#context = context;
    this.#options = options;
  }

  start(): void {
    const { socket } = this.#options;
    socket.on("message", (data, isBinary) => this.#receive({ data: data as Buffer, isBinary }));
    socket.on("close", () => {
      clearTimeout(this.#idle);
      this.#waiting.length = 0;
      this.#gone.abort(new Error("The caller closed the connection."));
    });
    this.#rest();
  }

  get #isOpen(): boolean {
    const { socket } = this.#options;
    return socket.readyState === socket.OPEN;
  }

  #receive(frame: InputFrame): void {
    if (!this.#isOpen) return;
    clearTimeout(this.#idle);
    this.#waiting.push(frame);
    const count = (): number => this.#waiting.reduce((bytes, { data }) => bytes + data.byteLength, 0);
    while (
      this.#waiting.length > 1 &&
      (this.#waiting.length > this.#options.maxBuffering || count() > MAX_WAITING_BYTES)
    )
      this.#waiting.shift();
    if (!this.#isWorking) void this.#work();
  }

  async #work(): Promise<void> {
    this.#isWorking = true;
    for (let frame = this.#waiting.shift(); frame !== undefined; frame = this.#waiting.shift()) {
      try {
        await this.#answer(frame);
      } catch (error) {
        this.#context.logger.error({ err: error }, "a realtime input failed unexpectedly");
        await this.#fail("INTERNAL_ERROR", "Internal Server Error", undefined, 1000);
      }
    }
    this.#isWorking = false;
    if (this.#isOpen) this.#rest();
  }

  /** Waits for the next input; ends the session when none comes. */
  #rest(): void {
    clearTimeout(this.#idle);
    this.#idle = setTimeout(
      () => void this.#fail("TIMEOUT", "no inputs, reconnect when needed!", undefined, 1000),
      this.#options.idleMs,
    );
  }

  async #answer(frame: InputFrame): Promise<void> {
    const { found, counter, caller } = this.#options;
    const input = readInput(frame, found);
    if (input === undefined) return await this.#fail("INVALID_INPUT", NOT_MSGPACK, undefined);
    const refused = checkRequest(found, input.body);
    if (refused !== undefined) return await this.#refuse(refused, input.requestId);
    if (this.#context.isDraining()) return this.#close(1001, "The server is stopping.");
    const id = createRequestId(this.#context.clock.now());
    const acquired = await counter.acquire({ id, keyId: caller.keyId });
    if (acquired.kind === "busy") {
      const reason = "This key has as many requests in progress as it may have.";
      return await this.#fail("CONCURRENT_REQUESTS_LIMIT", reason, input.requestId);
    }
    if (acquired.kind === "limited") return await this.#fail("RATE_LIMITED", DAY_IS_USED_UP, input.requestId);
    const { release } = acquired;
    try {
      const result = await this.#run(id, input.body);
      if (this.#gone.signal.aborted) return;
      await this.#reply(frame, input.requestId, result);
    } finally {
      release();
    }
  }

  async #run(id: RequestId, body: Uint8Array): Promise<RequestResult> {
    const { found, caller, options } = this.#options;
    const createdAt = this.#context.clock.now();
    const run = startRun(this.#context, {
      ...options,
      ...describeTarget(found),
      id,
      accountId: caller.accountId,
      keyId: caller.keyId,
      surface: "realtime",
      priority: "normal",
      retry: NO_RETRY,
      input: body,
      createdAt,
    });
    const { signal } = this.#gone;
    const stop = (): void => run.abort(signal.reason);
    if (signal.aborted) stop();
    signal.addEventListener("abort", stop, { once: true });
    try {
      return await run.result;
    } finally {
      signal.removeEventListener("abort", stop);
    }
  }

  async #reply(frame: InputFrame, requestId: unknown, result: RequestResult): Promise<void> {
    const { socket, filesUrl, emitsTimings } = this.#options;
    const { statusCode } = result;
    if (statusCode === 499) return await this.#fail("CANCELLED", describeFailure(result), requestId);
    if (statusCode >= 400 && statusCode < 500) return await this.#refuse(result, requestId);
    if (statusCode < 200 || statusCode >= 300) {
      if (this.#context.isDraining()) return this.#close(1001, "The server is stopping.");
      const isBusy = result.errorType === "runner_scheduling_failure";
      return await this.#fail("INTERNAL_ERROR", describeFailure(result), requestId, isBusy ? 1013 : 1000);
    }
    const output: unknown = JSON.parse(Buffer.from(resolveFileLinks(result.body, filesUrl)).toString("utf8"));
    const isEchoed = requestId !== undefined && isRecord(output);
    await sendFrame(socket, encodeOutput(isEchoed ? { ...output, request_id: requestId } : output, frame));
    if (emitsTimings && result.inferenceSeconds !== null) {
      const timing = { type: "x-fal-message", action: "timings", timing: result.inferenceSeconds };
      await sendFrame(socket, JSON.stringify(timing));
    }
  }

  /** Tells that an input was not accepted; the next one may be. */
  async #refuse(result: RequestResult, requestId: unknown): Promise<void> {
    const detail = readDetail(result);
    const reason = typeof detail === "string" ? detail : JSON.stringify(detail);
    await this.#fail("INVALID_INPUT", reason ?? describeFailure(result), requestId);
  }

  /** @param closeCode ends the session */
  async #fail(error: string, reason: string, requestId: unknown, closeCode?: number): Promise<void> {
    const message = {
      type: "x-fal-error",
      error,
      reason,
      ...(requestId === undefined ? {} : { request_id: requestId }),
    };
    await sendFrame(this.#options.socket, JSON.stringify(message));
    if (closeCode !== undefined) this.#close(closeCode, error);
  }

  #close(code: number, reason: string): void {
    this.#waiting.length = 0;
    this.#options.socket.close(code, reason);
  }
}

interface Input {
  /** JSON, as a direct run would be given it. */
  readonly body: Uint8Array;
  readonly requestId: unknown;
}

/**
 * What is for the session itself is taken out of the input, and pictures come back inside the answer unless the input
 * says otherwise. What cannot be read stays as it came: the endpoint's own check says what is wrong with it.
 */
function readInput(frame: InputFrame, found: SessionOptions["found"]): Input | undefined {
  let value: unknown;
  try {
    value = decodeInput(frame);
  } catch {
    return frame.isBinary ? undefined : { body: frame.data, requestId: undefined };
  }
  if (!isRecord(value)) return { body: Buffer.from(JSON.stringify(value)), requestId: undefined };
  const { request_id: requestId, ...rest } = value;
  const { properties } = found.entry.manifest.input as { properties?: Readonly<Record<string, unknown>> };
  const isSynchronous = properties !== undefined && Object.hasOwn(properties, "sync_mode");
  const fields = {
    ...(properties !== undefined && Object.hasOwn(properties, "request_id") ? value : rest),
    ...(isSynchronous && (rest["sync_mode"] ?? null) === null ? { sync_mode: true } : {}),
  };
  return { body: Buffer.from(JSON.stringify(fields)), requestId };
}

const NOT_MSGPACK: string = JSON.stringify([
  createErrorDetail("value_error", ["body"], { msg: "A binary message must be msgpack of the input" }),
]);

function isRecord(value: unknown): value is Record<string, unknown> {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

function readDetail(result: RequestResult): unknown {
  try {
    return (JSON.parse(Buffer.from(result.body).toString("utf8")) as { detail?: unknown } | null)?.detail;
  } catch {
    return undefined;
  }
}

function describeFailure(result: RequestResult): string {
  const detail = readDetail(result);
  if (typeof detail === "string") return detail;
  const first = Array.isArray(detail) ? (detail[0] as { readonly msg?: unknown } | undefined) : undefined;
  return typeof first?.msg === "string" ? first.msg : (result.error ?? "Internal Server Error");
}
