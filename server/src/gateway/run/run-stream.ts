import { resolveFileLinks } from "../../files/file-links.ts";
import type { RequestId } from "../../ids.ts";
import type { Live, Update } from "../../live/live.ts";
import type { RequestResult } from "../../queue/request-queue.ts";
import type { Call } from "../call.ts";
import { formatEvent, KEEPALIVE, KEEPALIVE_MS, respondEventStream } from "../event-stream.ts";
import type { Run } from "./start-run.ts";

/** What a run shows and says meanwhile. */
export interface RunUpdates {
  readonly iterator: AsyncIterator<Update>;
  end(): void;
}

/** Call it before the run is started, so that nothing is missed. */
export function subscribeToRun(live: Live, requestId: RequestId): RunUpdates {
  const stop = new AbortController();
  const updates = live.subscribe(requestId, stop.signal, { wantsPreviews: true });
  return { iterator: updates[Symbol.asyncIterator](), end: () => stop.abort() };
}

/**
 * Answers a run as server-sent events: each preview and each part the model emits as it comes, the whole output last.
 * A run that fails before it showed anything is answered like a direct run, with its status; one that fails later
 * ends with an `error` event.
 *
 * @param respond what answers a direct run
 */
export async function respondRunStream(
  call: Call,
  run: Run,
  updates: RunUpdates,
  respond: (result: RequestResult) => Response,
): Promise<Response> {
  const { signal } = call.request;
  const stop = (): void => run.abort(new Error("The caller closed the connection."));
  if (signal.aborted) stop();
  signal.addEventListener("abort", stop, { once: true });
  const steps = readSteps(run, updates);
  const first = steps.next();
  // The status is open until something is known, but not for so long that a proxy gives up.
  const step = await waitFor(first, KEEPALIVE_MS);
  if (step?.done === false && step.value.kind === "end" && !isJsonOutput(step.value.result)) {
    signal.removeEventListener("abort", stop);
    await steps.return();
    return respond(step.value.result);
  }
  return respondEventStream({ "x-fal-request-id": call.requestId }, (gone) => {
    gone.addEventListener("abort", stop, { once: true });
    return produceRunEvents(steps, first, call.urls.files, gone);
  });
}

type Step =
  | { readonly kind: "updates"; readonly updates: readonly Update[] }
  | { readonly kind: "end"; readonly result: RequestResult };

/** Updates in groups that were there at once, then the result. */
async function* readSteps(run: Run, { iterator, end }: RunUpdates): AsyncGenerator<Step, void> {
  try {
    let isOver = false;
    const over = run.result.then(() => {
      isOver = true;
      return undefined;
    });
    let next = iterator.next();
    for (;;) {
      const updates: Update[] = [];
      let item = await Promise.race([next, over]);
      // What was published before the result came is in front of it, and is not lost.
      item ??= await Promise.race([next, afterThisTurn()]);
      while (item !== undefined && item.done !== true) {
        updates.push(item.value);
        next = iterator.next();
        item = await Promise.race([next, afterThisTurn()]);
      }
      if (updates.length > 0) yield { kind: "updates", updates };
      if (isOver) break;
    }
    yield { kind: "end", result: await run.result };
  } finally {
    end();
  }
}

async function* produceRunEvents(
  steps: AsyncGenerator<Step, void>,
  first: Promise<IteratorResult<Step, void>>,
  filesUrl: string,
  gone: AbortSignal,
): AsyncGenerator<string, void> {
  let pending = first;
  let progress: number | undefined;
  let heldUntil = performance.now();
  try {
    for (;;) {
      const step = await waitFor(pending, KEEPALIVE_MS);
      if (step === undefined) {
        yield KEEPALIVE;
        continue;
      }
      if (step.done === true) return;
      if (step.value.kind === "end") {
        yield formatEvent(formatLastEvent(step.value.result, filesUrl));
        const now = performance.now();
        await hold(Math.max(heldUntil + EVENT_MS - now, END_MS), gone);
        return;
      }
      for (const update of dropOvertaken(step.value.updates)) {
        if (update.type === "progress" && update.progress.steps > 0)
          progress = update.progress.step / update.progress.steps;
        const json = formatUpdate(update, progress);
        if (json === undefined) continue;
        heldUntil = Math.max(heldUntil, performance.now()) + EVENT_MS;
        yield formatEvent(json);
      }
      pending = steps.next();
    }
  } finally {
    await steps.return();
  }
}

/**
 * The older official client takes one event from its buffer every 16 ms and forgets the rest when the body ends: so
 * the body stays open for 20 ms per event of a burst, and 100 ms after the last.
 */
const EVENT_MS = 20;
const END_MS = 100;

/** Of several previews of one picture only the newest is worth sending. */
function dropOvertaken(updates: readonly Update[]): readonly Update[] {
  const newest = new Map<number, Update>();
  for (const update of updates) if (update.type === "preview") newest.set(update.image, update);
  return updates.filter((update) => update.type !== "preview" || newest.get(update.image) === update);
}

function formatUpdate(update: Update, progress: number | undefined): string | undefined {
  if (update.type === "emit") return JSON.stringify(update.value);
  if (update.type !== "preview") return undefined;
  const { contentType, width, height } = update;
  const url = `data:${contentType};base64,${Buffer.from(update.bytes).toString("base64")}`;
  return JSON.stringify({ images: [{ url, width, height, content_type: contentType }], progress });
}

function formatLastEvent(result: RequestResult, filesUrl: string): string {
  const text = Buffer.from(resolveFileLinks(result.body, filesUrl)).toString("utf8");
  if (isJsonOutput(result)) return text;
  return JSON.stringify({ error: { status: result.statusCode, body: parseJson(text) } });
}

function isJsonOutput(result: RequestResult): boolean {
  const type = result.headers["content-type"] ?? "application/json";
  return result.statusCode >= 200 && result.statusCode < 300 && /^application\/json\b/i.test(type);
}

function parseJson(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return text;
  }
}

/** What the promise gives, or undefined after `ms`. */
async function waitFor<T>(promise: Promise<T>, ms: number): Promise<T | undefined> {
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<undefined>((resolve) => {
    timer = setTimeout(resolve, ms, undefined);
  });
  try {
    return await Promise.race([promise, late]);
  } finally {
    clearTimeout(timer);
  }
}

function afterThisTurn(): Promise<undefined> {
  return new Promise((resolve) => setImmediate(resolve, undefined));
}

function hold(ms: number, gone: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    if (gone.aborted) return resolve();
    const timer = setTimeout(resolve, ms);
    gone.addEventListener(
      "abort",
      () => {
        clearTimeout(timer);
        resolve();
      },
      { once: true },
    );
  });
}
