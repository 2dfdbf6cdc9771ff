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
    if (declared !== null && /^\d+$/.test(declared)) {
      const length = Number(declared);
      if (length > maxBytes) return { kind: "too_large" };
      if (length === 0) return { kind: "body", bytes: null };
      return { kind: "body", bytes: new Uint8Array(await request.arrayBuffer()) };
    }
    return await readStream(request, maxBytes);
  } catch {
    return { kind: "aborted" };
  }
}

async function readStream(request: Request, maxBytes: number): Promise<ReadBody> {
  if (request.method === "GET" || request.method === "HEAD" || request.body === null)
    return { kind: "body", bytes: null };
  const reader = request.body.getReader();
  const chunks: Uint8Array[] = [];
  let size = 0;
  for (;;) {
    const { done, value } = await reader.read();
    if (done) break;
    size += value.byteLength;
    if (size > maxBytes) {
      reader.cancel().catch(() => {}); // what is left is thrown away by the listener
      return { kind: "too_large" };
    }
    chunks.push(value);
  }
  return { kind: "body", bytes: size === 0 ? null : Buffer.concat(chunks) };
}
