import type { LogLevel } from "@sluice/protocol";
import type { Progress } from "@sluice/runtime/model";
import type { ArtifactMessage } from "@sluice/runtime/worker/messages";
import type { Clock } from "../clock.ts";
import type { RequestId } from "../ids.ts";
import type { Live } from "../live/live.ts";
import type { Logger } from "../logger.ts";
import type { NewEvent } from "../queue/request-queue.ts";

/**
 * What one attempt tells while it lasts. Everything goes out live at once; log lines and the timeline are also
 * written to the request's history, in order, a batch at a time.
 */
export interface RequestEvents {
  log(level: LogLevel, message: string, at?: number): void;
  progress(progress: Progress, at: number): void;
  preview(artifact: ArtifactMessage, image: number, step: number): void;
  emit(value: unknown): void;
  /** Adds an entry to the timeline: `loaded`, `encoded`, `decoded`, `stored`, … */
  mark(kind: string, data?: Readonly<Record<string, unknown>>): void;
  /** Milliseconds of each denoising step so far. */
  readonly stepMs: readonly number[];
  /** Resolves once everything so far is written. Never rejects. */
  flush(): Promise<void>;
  /** Waits for what is being written, and hands out the rest, for the commit that ends the request. */
  takeLast(): Promise<readonly NewEvent[]>;
}

export interface RequestEventsOptions {
  readonly requestId: RequestId;
  readonly live: Live;
  readonly clock: Clock;
  readonly logger: Logger;
  /** Writes a batch to the history; null for a request that has none yet. */
  readonly append: ((events: readonly NewEvent[]) => Promise<void>) | null;
  /** Called after a batch was written. */
  readonly onWritten?: () => void;
}

/** A batch is written this long after its first event, or when it is full. */
const BATCH_MS = 250;
const BATCH_EVENTS = 200;

export function createRequestEvents(options: RequestEventsOptions): RequestEvents {
  const { requestId, live, clock, logger, append, onWritten } = options;
  const stepMs: number[] = [];
  let steppedAt: number | undefined;
  let batch: NewEvent[] = [];
  let timer: NodeJS.Timeout | undefined;
  let writing: Promise<void> = Promise.resolve();

  const write = (): Promise<void> => {
    clearTimeout(timer);
    timer = undefined;
    const events = batch;
    batch = [];
    if (append === null || events.length === 0) return writing;
    writing = writing
      .then(() => append(events))
      .then(onWritten)
      // The history is not worth failing a request for.
      .catch((error: unknown) =>
        logger.warn({ requestId, error, lost: events.length }, "Events were not kept."),
      );
    return writing;
  };
  const add = (event: NewEvent): void => {
    if (append === null) return;
    batch.push(event);
    if (batch.length >= BATCH_EVENTS) void write();
    else timer ??= setTimeout(() => void write(), BATCH_MS);
  };

  return {
    stepMs,
    log(level, message, at = clock.now()) {
      live.publish({ type: "log", requestId, level, message, at });
      add({ kind: "log", at, data: { level, message } });
    },
    progress(progress, at) {
      live.publish({ type: "progress", requestId, progress, at });
      const now = clock.monotonic();
      if (progress.phase === "denoise" && steppedAt !== undefined)
        stepMs.push(Math.round((now - steppedAt) * 10) / 10);
      steppedAt = now;
      const kind = FINISHED_PHASES.get(progress.phase);
      if (kind !== undefined && progress.step >= progress.steps) {
        add({ kind, at, data: progress.image === undefined ? {} : { image: progress.image } });
      }
    },
    preview(artifact, image, step) {
      const { bytes, contentType, width = 0, height = 0 } = artifact;
      live.publish({ type: "preview", requestId, image, step, bytes, contentType, width, height });
    },
    emit: (value) => live.publish({ type: "emit", requestId, value }),
    mark(kind, data = {}) {
      steppedAt = clock.monotonic();
      add({ kind, at: clock.now(), data });
    },
    async flush() {
      await write();
    },
    async takeLast() {
      clearTimeout(timer);
      timer = undefined;
      const last = batch;
      batch = [];
      await writing;
      return last;
    },
  };
}

const FINISHED_PHASES = new Map<Progress["phase"], string>([
  ["encode", "encoded"],
  ["decode", "decoded"],
]);
