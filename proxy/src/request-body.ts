/** The body of a call: nothing, bytes, or a stream of what did not fit in memory. */
export type RequestBody = Uint8Array<ArrayBuffer> | ReadableStream<Uint8Array> | undefined;

export class BodyTooLargeError extends Error {}

/** Up to this size a body is sent with its length; some servers refuse bodies without one. */
const BUFFER_BYTES = 1024 * 1024;

/**
 * The body as it came, byte for byte; an empty one is none. Small bodies are read whole, large ones pass through.
 *
 * @throws BodyTooLargeError at once when the length is declared, else when the limit is passed; a stream that has
 *   been handed out fails then
 */
export async function readRequestBody(request: Request, maxBytes: number): Promise<RequestBody> {
  if (Number(request.headers.get("content-length") ?? 0) > maxBytes) throw new BodyTooLargeError();
  const reader = request.body?.getReader();
  if (reader === undefined) return undefined;
  const chunks: Uint8Array[] = [];
  let size = 0;
  const read = async () => {
    const { done, value } = await reader.read();
    if (done) return undefined;
    size += value.length;
    if (size > maxBytes) {
      const error = new BodyTooLargeError();
      void reader.cancel(error).catch(() => undefined);
      throw error;
    }
    return value;
  };
  while (size <= BUFFER_BYTES) {
    const chunk = await read();
    if (chunk === undefined) return size === 0 ? undefined : concat(chunks, size);
    chunks.push(chunk);
  }
  return new ReadableStream({
    async pull(controller) {
      const chunk = chunks.shift() ?? (await read());
      if (chunk === undefined) controller.close();
      else controller.enqueue(chunk);
    },
    cancel: (reason) => reader.cancel(reason),
  });
}

/**
 * Reads away what a refused call has sent and nobody wants, as Node does for a body that no one touched: in some
 * frameworks it would be in the way of the connection's next request. The server's own time limit bounds it.
 */
export async function drainBody(request: Request): Promise<void> {
  if (request.body === null || request.bodyUsed) return;
  const reader = request.body.getReader();
  try {
    while (!(await reader.read()).done);
  } catch {
    // The caller is gone: nothing is left to read.
  }
}

function concat(chunks: readonly Uint8Array[], size: number): Uint8Array<ArrayBuffer> {
  const whole = new Uint8Array(size);
  let at = 0;
  for (const chunk of chunks) {
    whole.set(chunk, at);
    at += chunk.length;
  }
  return whole;
}
