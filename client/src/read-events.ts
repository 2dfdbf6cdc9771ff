import { abortable, createTimeoutError, type Scope } from "./abort.ts";
import { createEventParser } from "./event-parser.ts";
import { explain } from "./send.ts";

/**
 * The `data` of each server-sent event, as it comes. The body is let go of when the caller stops early.
 *
 * @throws ConnectionError when the body breaks off in the middle
 * @throws DOMException `TimeoutError` when no byte (a comment counts) comes for `idleMs`
 */
export async function* readEvents(response: Response, scope: Scope, idleMs: number): AsyncGenerator<string> {
  const decoder = new TextDecoder();
  const parse = createEventParser();
  for await (const chunk of readChunks(response, scope, idleMs)) {
    yield* parse(decoder.decode(chunk, { stream: true }));
  }
}

/** The bytes of a body as they come; bounds and errors as in {@link readEvents}. */
export async function* readChunks(
  response: Response,
  scope: Scope,
  idleMs: number,
): AsyncGenerator<Uint8Array> {
  const reader = response.body?.getReader();
  if (reader === undefined) return;
  const giveUp = () => scope.abort(createTimeoutError(`Nothing came from the server for ${idleMs}ms`));
  let timer: ReturnType<typeof setTimeout> | undefined;
  try {
    for (;;) {
      timer = setTimeout(giveUp, idleMs);
      const { done, value } = await abortable(reader.read(), scope.signal);
      clearTimeout(timer);
      if (done) return;
      yield value;
    }
  } catch (error) {
    throw explain(error, response.url, scope.signal);
  } finally {
    clearTimeout(timer);
    reader.cancel().catch(() => undefined);
  }
}

export function isEventStream(response: Response): boolean {
  return /^text\/event-stream/i.test(response.headers.get("content-type") ?? "");
}
