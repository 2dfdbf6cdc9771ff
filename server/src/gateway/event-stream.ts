import { CORS_HEADERS } from "./respond.ts";

/** A comment line that keeps proxies from closing a quiet stream. */
export const KEEPALIVE = ": keepalive\n\n";
export const KEEPALIVE_MS = 15_000;

const END = { done: true, value: undefined } as const;

/** One server-sent event; `json` is JSON text. */
export function formatEvent(json: string): string {
  // JSON of ours has no line breaks; a model's own JSON may, and each line needs the prefix.
  return json.includes("\n") || json.includes("\r")
    ? `${json
        .split(/\r\n|\r|\n/)
        .map((line) => `data: ${line}\n`)
        .join("")}\n`
    : `data: ${json}\n\n`;
}

/**
 * Answers with server-sent events. `produce` is asked for the next piece of text only when the caller can take it;
 * its signal aborts when the caller goes away or everything was said. When it throws, the stream just ends: there is no status left to say it with.
 */
export function respondEventStream(
  headers: Readonly<Record<string, string>>,
  produce: (signal: AbortSignal) => AsyncGenerator<string, unknown>,
): Response {
  const stop = new AbortController();
  const encoder = new TextEncoder();
  const pieces = produce(stop.signal);
  const body = new ReadableStream<Uint8Array>(
    {
      async pull(controller) {
        const piece = await pieces.next().catch(() => END);
        if (piece.done !== true) return controller.enqueue(encoder.encode(piece.value));
        stop.abort(new Error("The stream has ended."));
        controller.close();
      },
      cancel() {
        stop.abort(new Error("The caller closed the connection."));
        pieces.return(undefined).catch(() => {}); // nobody is left to tell
      },
    },
    { highWaterMark: 0 },
  );
  return new Response(body, {
    status: 200,
    headers: {
      "content-type": "text/event-stream",
      "cache-control": "no-cache, no-transform",
      "x-accel-buffering": "no",
      ...CORS_HEADERS,
      ...headers,
    },
  });
}
