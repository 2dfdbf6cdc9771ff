/** The body of a request, as it came. */
export type ReadBody =
  /** Null when there was none. */
  | { readonly kind: "body"; readonly bytes: Uint8Array | null }
  | { readonly kind: "too_large" }
  /** The caller went away before it was whole. */
  | { readonly kind: "aborted" };

/** Reads a whole body into memory, but never more than `maxBytes`. Never rejects. */
export async function readBody(request: Request, maxBytes: number): Promise<ReadBody> {
  const declared = request.headers.get("content-length");
  try {
    // The parser below holds the sender to the declared length.
    if (declared !== null && /^\d+$/.test(declared) && Number(declared) <= maxBytes) {
      if (Number(declared) === 0) return { kind: "body", bytes: null };
      return { kind: "body", bytes: new Uint8Array(await request.arrayBuffer()) };
    }
    if (request.method === "GET" || request.method === "HEAD" || request.body === null)
      return { kind: "body", bytes: null };
    return await readStream(request.body.getReader(), maxBytes, Number(declared ?? 0));
  } catch {
    return { kind: "aborted" };
  }
}

type Reader = ReadableStreamDefaultReader<Uint8Array>;

async function readStream(reader: Reader, maxBytes: number, declared: number): Promise<ReadBody> {
  const chunks: Uint8Array[] = [];
  let size = 0;
  while (declared <= maxBytes && size <= maxBytes) {
    const { done, value } = await reader.read();
    if (done) return { kind: "body", bytes: size === 0 ? null : Buffer.concat(chunks) };
    size += value.byteLength;
    chunks.push(value);
  }
  chunks.length = 0;
  if (declared <= MAX_DISCARDED_BYTES) await discardBody(reader);
  return { kind: "too_large" };
}

/**
 * Callers read an answer only after they have sent everything, so a body that is refused is first taken and thrown
 * away, as far as that is cheap. What is left then, the listener cuts off. Never rejects.
 */
export async function discardBody(reader: ReadableStreamDefaultReader<Uint8Array>): Promise<void> {
  const timer = setTimeout(() => void reader.cancel().catch(() => {}), MAX_DISCARD_MS);
  try {
    for (let size = 0; size <= MAX_DISCARDED_BYTES; ) {
      const { done, value } = await reader.read();
      if (done) return;
      size += value.byteLength;
    }
    // Not awaited: a caller that is silent does not answer a cancel either.
    reader.cancel().catch(() => {});
  } catch {
    // The caller is gone.
  } finally {
    clearTimeout(timer);
  }
}

const MAX_DISCARDED_BYTES = 128 * 2 ** 20;
const MAX_DISCARD_MS = 10_000;
