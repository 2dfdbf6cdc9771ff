import type { ProxyHandler } from "./create-proxy.ts";

/** What is needed of Node's `IncomingMessage`, so that this compiles without Node's types. */
export interface NodeRequest extends AsyncIterable<Uint8Array> {
  readonly method?: string | undefined;
  readonly url?: string | undefined;
  readonly headers: Readonly<Record<string, string | readonly string[] | undefined>>;
  /** What a framework has read and parsed already. */
  readonly body?: unknown;
  readonly readableEnded?: boolean;
  /** Node's streams can be left in the middle without being destroyed. */
  iterator?(options: { destroyOnReturn: boolean }): AsyncIterator<Uint8Array>;
  resume?(): unknown;
}

/** What is needed of Node's `ServerResponse`. */
export interface NodeResponse {
  statusCode: number;
  readonly writableEnded: boolean;
  readonly destroyed: boolean;
  setHeader(name: string, value: string): unknown;
  /** HTTP/2 responses have none and need none. */
  flushHeaders?(): void;
  write(chunk: Uint8Array): boolean;
  end(): unknown;
  destroy(error?: Error): unknown;
  once(event: "drain" | "close", listener: () => void): unknown;
  removeListener(event: "drain" | "close", listener: () => void): unknown;
}

/** Answers a Node request with a proxy. Resolves when the answer is written or the caller is gone. */
export async function answerNodeRequest(
  proxy: ProxyHandler,
  request: NodeRequest,
  response: NodeResponse,
): Promise<void> {
  const controller = new AbortController();
  const leave = () => {
    if (!response.writableEnded) controller.abort(new DOMException("The caller went away", "AbortError"));
  };
  response.once("close", leave);
  try {
    const answer = await proxy(createRequest(request, controller.signal));
    if (response.destroyed) return;
    response.statusCode = answer.status;
    for (const [name, value] of answer.headers) response.setHeader(name, value);
    response.flushHeaders?.();
    if (answer.body !== null) await pipe(answer.body, response);
    response.end();
  } catch (error) {
    // The status is sent: only a broken connection can still say that the answer is not whole.
    response.destroy(error as Error);
  } finally {
    response.removeListener("close", leave);
    // What nobody has read of the body is in the way of the connection's next request.
    request.resume?.();
  }
}

function createRequest(request: NodeRequest, signal: AbortSignal): Request {
  const { method = "GET" } = request;
  const headers = new Headers();
  for (const [name, value] of Object.entries(request.headers)) {
    // HTTP/2 has names that start with a colon.
    if (value !== undefined && !name.startsWith(":"))
      headers.set(name, Array.isArray(value) ? value.join(", ") : String(value));
  }
  const host = headers.get("host") ?? "localhost";
  const hasBody = method !== "GET" && method !== "HEAD";
  return new Request(new URL(request.url ?? "/", `http://${host}`), {
    method,
    headers,
    signal,
    ...(hasBody ? { body: getBody(request) as BodyInit, duplex: "half" } : {}),
  } as RequestInit);
}

/** The bytes themselves where nobody has read them, else what a framework made of them, turned back. */
function getBody(request: NodeRequest): ReadableStream<Uint8Array> | string | Uint8Array | null {
  const { body } = request;
  if (request.readableEnded !== true && !isParsed(body)) return createStream(request);
  if (body === undefined || body === null || body === "") return null;
  if (typeof body === "string" || body instanceof Uint8Array) return body;
  // Parsers give an empty object for an empty body; the API takes no other body for one.
  const isEmpty = Object.keys(body).length === 0 && !Number(request.headers["content-length"] ?? 0);
  return isEmpty ? null : JSON.stringify(body);
}

function isParsed(body: unknown): boolean {
  return body !== undefined && body !== null && !(typeof body === "object" && Object.keys(body).length === 0);
}

/** Nothing is read before somebody asks. */
function createStream(request: NodeRequest): ReadableStream<Uint8Array> {
  let iterator: AsyncIterator<Uint8Array> | undefined;
  return new ReadableStream(
    {
      async pull(controller) {
        iterator ??= request.iterator?.({ destroyOnReturn: false }) ?? request[Symbol.asyncIterator]();
        const { done, value } = await iterator.next();
        if (done) controller.close();
        else controller.enqueue(value);
      },
      async cancel() {
        await iterator?.return?.();
        request.resume?.();
      },
    },
    { highWaterMark: 0 },
  );
}

async function pipe(body: ReadableStream<Uint8Array>, response: NodeResponse): Promise<void> {
  const reader = body.getReader();
  const stop = () => void reader.cancel().catch(() => undefined);
  response.once("close", stop);
  try {
    for (;;) {
      const { done, value } = await reader.read();
      if (done) return;
      if (!response.write(value)) await waitForRoom(response);
    }
  } finally {
    response.removeListener("close", stop);
  }
}

function waitForRoom(response: NodeResponse): Promise<void> {
  return new Promise((resolve) => {
    const go = () => {
      response.removeListener("drain", go);
      response.removeListener("close", go);
      resolve();
    };
    response.once("drain", go);
    response.once("close", go);
  });
}
