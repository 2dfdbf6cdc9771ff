import type { QueueStatus, RequestLog } from "@sluice/protocol";
import type { Clock } from "../../clock.ts";
import type { RequestId } from "../../ids.ts";
import type { Live, Update } from "../../live/live.ts";
import type { RequestOutline, RequestQueue } from "../../queue/request-queue.ts";
import { formatEvent, KEEPALIVE, KEEPALIVE_MS } from "../event-stream.ts";
import { formatStatus, readLogs } from "./queue-status.ts";

/** {@link watchStatus} as server-sent events, with a comment whenever nothing was said for a while. */
export async function* produceStatusEvents(
  parts: WatchParts,
  request: WatchedRequest,
  signal: AbortSignal,
): AsyncGenerator<string, void> {
  for await (const status of watchStatus(parts, request, signal))
    yield status === undefined ? KEEPALIVE : formatEvent(JSON.stringify(status));
}

export interface WatchParts {
  readonly queue: RequestQueue;
  readonly live: Live;
  readonly clock: Clock;
}

export interface WatchedRequest {
  readonly id: RequestId;
  readonly queueUrl: string;
  readonly wantsLogs: boolean;
}

/**
 * The status of a request: the first at once, then one for each change of state, position or logs, until it is
 * completed. Each carries only the log lines since the one before. Undefined when nothing changed for a while.
 *
 * What is said comes from the queue alone. Live updates only say when to look; because they may be lost, the queue is
 * also looked at from time to time, which is how a position that others change is noticed.
 */
export async function* watchStatus(
  parts: WatchParts,
  request: WatchedRequest,
  signal: AbortSignal,
): AsyncGenerator<QueueStatus | undefined, void> {
  const { queue, live, clock } = parts;
  const bell = new Bell(live.subscribe(request.id, signal), signal);
  let lastSent = "";
  let lastLog = 0;
  let sentAt = clock.monotonic();
  while (!signal.aborted) {
    const record = await queue.findOutline(request.id);
    if (record === undefined) return; // removed by retention while somebody watched
    const position = record.state === "queued" ? await queue.getPosition(request.id) : 0;
    let logs: readonly RequestLog[] | null = null;
    if (request.wantsLogs && record.state !== "queued")
      ({ logs, last: lastLog } = await readLogs(queue, request.id, lastLog));
    const state = `${record.state} ${position}`;
    if (state !== lastSent || (logs !== null && logs.length > 0)) {
      lastSent = state;
      sentAt = clock.monotonic();
      yield formatStatus(record, { queueUrl: request.queueUrl, position, logs });
    }
    if (isTerminal(record)) return;
    const lookAt = clock.monotonic() + getLookInterval(record, position);
    while (!signal.aborted) {
      const waitMs = Math.min(lookAt, sentAt + KEEPALIVE_MS) - clock.monotonic();
      const hasRung = await bell.wait(Math.max(waitMs, 0));
      if (hasRung || clock.monotonic() >= lookAt) break;
      if (clock.monotonic() >= sentAt + KEEPALIVE_MS) {
        sentAt = clock.monotonic();
        yield undefined;
      }
    }
  }
}

/** Whoever is far behind is asked about less often: thousands may wait. */
function getLookInterval(record: RequestOutline, position: number): number {
  return record.state === "queued" ? 500 + Math.min(position, 3_000) : 2_000;
}

function isTerminal(record: RequestOutline): boolean {
  return record.state !== "queued" && record.state !== "running";
}

const LOG_PAUSE_MS = 50;

/** Rings when an update says that the queue may have something new. */
class Bell {
  #hasRung = false;
  #answer: (() => void) | undefined;
  readonly #signal: AbortSignal;

  constructor(updates: AsyncIterable<Update>, signal: AbortSignal) {
    this.#signal = signal;
    signal.addEventListener("abort", () => this.#ring(), { once: true });
    void this.#listen(updates);
  }

  /** True when it rang since the last wait, false after `ms` without. */
  async wait(ms: number): Promise<boolean> {
    if (!this.#hasRung && !this.#signal.aborted) {
      await new Promise<void>((resolve) => {
        const timer = setTimeout(resolve, ms);
        this.#answer = () => {
          clearTimeout(timer);
          resolve();
        };
      });
      this.#answer = undefined;
    }
    const hasRung = this.#hasRung;
    this.#hasRung = false;
    return hasRung;
  }

  async #listen(updates: AsyncIterable<Update>): Promise<void> {
    let later: NodeJS.Timeout | undefined;
    for await (const update of updates) {
      if (update.type === "changed") this.#ring();
      // Lines come in bursts: one look for all of a moment.
      if (update.type === "log")
        later ??= setTimeout(() => {
          later = undefined;
          this.#ring();
        }, LOG_PAUSE_MS);
    }
    clearTimeout(later);
  }

  #ring(): void {
    this.#hasRung = true;
    this.#answer?.();
  }
}
