import { createParser } from "eventsource-parser";
import { type CallOptions, send } from "./call.ts";

/** The JSON of each server-sent event of an answer, until its body ends. */
export async function* readEvents<Event>(path: string, options: CallOptions = {}): AsyncGenerator<Event> {
  const response = await send(path, options);
  if (response.body === null) return;
  const ready: Event[] = [];
  const parser = createParser({ onEvent: ({ data }) => ready.push(JSON.parse(data) as Event) });
  const decoder = new TextDecoder();
  const reader = response.body.getReader();
  try {
    for (;;) {
      const { done, value } = await reader.read();
      if (done) return;
      parser.feed(decoder.decode(value, { stream: true }));
      yield* ready.splice(0);
    }
  } finally {
    await reader.cancel().catch(() => {});
  }
}
