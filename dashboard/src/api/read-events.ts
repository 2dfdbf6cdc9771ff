import { createParser } from "eventsource-parser";
import { type CallOptions, send } from "./call.ts";

export interface EventOptions extends CallOptions {
  /** Called whenever something came, also what is no event. */
  readonly onBytes?: () => void;
  /** Called with the id of an event that has one. */
  readonly onId?: (id: string) => void;
}

/** The JSON of each server-sent event of an answer, until its body ends. */
export async function* readEvents<Event>(path: string, options: EventOptions = {}): AsyncGenerator<Event> {
  const response = await send(path, options);
  if (response.body === null) return;
  const ready: Event[] = [];
  const parser = createParser({
    onEvent: ({ data, id }) => {
      if (id !== undefined) options.onId?.(id);
      ready.push(JSON.parse(data) as Event);
    },
  });
  const decoder = new TextDecoder();
  const reader = response.body.getReader();
  try {
    for (;;) {
      const { done, value } = await reader.read();
      if (done) return;
      options.onBytes?.();
      parser.feed(decoder.decode(value, { stream: true }));
      yield* ready.splice(0);
    }
  } finally {
    await reader.cancel().catch(() => {});
  }
}
