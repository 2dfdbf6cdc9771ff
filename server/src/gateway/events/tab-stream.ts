import type { RequestId } from "../../ids.ts";
import type { Caller } from "../../keys/caller.ts";
import type { Update } from "../../live/live.ts";
import { formatEvent, KEEPALIVE, KEEPALIVE_MS } from "../event-stream.ts";
import { type WatchParts, watchStatus } from "../queue/status-stream.ts";
import type { Notices, NumberedNotice } from "./notices.ts";
import { Outbox } from "./outbox.ts";

export interface TabStreamOptions {
  readonly id: string;
  readonly caller: Caller;
  /** Base of the URLs in statuses. */
  readonly queueUrl: string;
  /** `Last-Event-ID` of a tab that was here before; empty for a new one. */
  readonly lastEventId: string;
  /** False when the caller's key or session is no longer good; asked every few seconds. */
  isStillAllowed(): Promise<boolean>;
}

/** Time between looks at whether the caller may still listen. */
const CHECK_MS = 5_000;
/** Messages of a moment are sent together. */
const PAUSE_MS = 40;

/**
 * Everything that one tab is told, over one connection: notices of what its caller may see, and of the requests that
 * it watches the status with all log lines, steps and previews.
 *
 * Events: `hello` (first: the stream's id; `has_gap` when a returning tab may have missed something), `gap` (something
 * was lost: look again at all that is shown), the notices, and of watched requests `status`, `progress`, `preview`, and
 * `gone` when the request was removed.
 */
export class TabStream {
  readonly #parts: WatchParts;
  readonly #notices: Notices;
  readonly #options: TabStreamOptions;
  readonly #outbox = new Outbox();
  readonly #watched = new Map<RequestId, AbortController>();
  readonly #ending = new AbortController();

  constructor(parts: WatchParts, notices: Notices, options: TabStreamOptions) {
    this.#parts = parts;
    this.#notices = notices;
    this.#options = options;
  }

  get caller(): Caller {
    return this.#options.caller;
  }

  /** The text of the stream. */
  async *produce(gone: AbortSignal): AsyncGenerator<string, void> {
    const signal = AbortSignal.any([gone, this.#ending.signal]);
    const { id, lastEventId, isStillAllowed } = this.#options;
    const { clock } = this.#parts;
    const missed = lastEventId === "" ? [] : this.#notices.findSince(lastEventId);
    // What was missed comes after the first event, whose id is the one before it.
    const start = this.#notices.lastSequence - (missed?.length ?? 0);
    this.#outbox.mark(start);
    for (const numbered of missed ?? []) this.#tell(numbered);
    const unlisten = this.#notices.listen((numbered) => this.#tell(numbered));
    try {
      const hello = JSON.stringify({ type: "hello", stream_id: id, has_gap: missed === undefined });
      yield this.#format([hello], start);
      let checkedAt = clock.monotonic();
      let sentAt = checkedAt;
      while (!signal.aborted) {
        const { hasLost, messages, sequence } = await this.#outbox.take(CHECK_MS, signal);
        if (signal.aborted) return;
        if (clock.monotonic() - checkedAt >= CHECK_MS) {
          checkedAt = clock.monotonic();
          if (!(await isStillAllowed())) return;
        }
        const all = hasLost ? [GAP, ...messages] : messages;
        if (all.length > 0 || clock.monotonic() - sentAt >= KEEPALIVE_MS) {
          sentAt = clock.monotonic();
          yield all.length === 0 ? KEEPALIVE : this.#format(all, sequence);
          await clock.sleep(PAUSE_MS, signal).catch(() => {});
        }
      }
    } finally {
      unlisten();
      this.#ending.abort();
      for (const stop of this.#watched.values()) stop.abort();
    }
  }

  /** Follows these requests from now on, and no others. Who calls has checked that the caller may see them. */
  watch(ids: readonly RequestId[]): void {
    for (const [id, stop] of this.#watched) {
      if (ids.includes(id)) continue;
      stop.abort();
      this.#watched.delete(id);
    }
    for (const id of ids) {
      if (this.#watched.has(id) || this.#ending.signal.aborted) continue;
      const stop = new AbortController();
      this.#watched.set(id, stop);
      void this.#followStatus(id, stop);
      void this.#followUpdates(id, stop.signal);
    }
  }

  #tell({ sequence, accountId, notice }: NumberedNotice): void {
    const { caller } = this.#options;
    this.#outbox.mark(sequence);
    if (caller.scope !== "ADMIN" && caller.accountId !== accountId) return;
    const about =
      "request_id" in notice ? notice.request_id : "endpoint_id" in notice ? notice.endpoint_id : "";
    this.#outbox.put(`${notice.type} ${about}`, JSON.stringify(notice));
  }

  /** Loses nothing: the next look at the queue waits until what the one before said was sent. */
  async #followStatus(id: RequestId, stop: AbortController): Promise<void> {
    const request = { id, queueUrl: this.#options.queueUrl, wantsLogs: true };
    try {
      for await (const status of watchStatus(this.#parts, request, stop.signal)) {
        if (status === undefined) continue;
        const { signal } = stop;
        await this.#outbox.keep(JSON.stringify({ type: "status", ...status }), signal);
        if (status.status === "COMPLETED") return;
      }
      // Removed meanwhile.
      if (!stop.signal.aborted)
        await this.#outbox.keep(JSON.stringify({ type: "gone", request_id: id }), stop.signal);
    } catch {
      // The queue could not be read. The tab comes back and asks again.
      this.#ending.abort();
    }
  }

  async #followUpdates(id: RequestId, signal: AbortSignal): Promise<void> {
    for await (const update of this.#parts.live.subscribe(id, signal, { wantsPreviews: true })) {
      const json = formatUpdate(id, update);
      if (json !== undefined)
        this.#outbox.put(`${update.type} ${id} ${"image" in update ? update.image : ""}`, json);
    }
  }

  /** The id is the last event's: after a break in the middle all of them are told again. */
  #format(messages: readonly string[], sequence: number): string {
    const events = messages.map(formatEvent);
    const last = events.pop() ?? "";
    return `${events.join("")}id: ${this.#notices.formatId(sequence)}\n${last}`;
  }
}

const GAP = JSON.stringify({ type: "gap" });

function formatUpdate(id: RequestId, update: Update): string | undefined {
  switch (update.type) {
    case "progress":
      return JSON.stringify({ type: "progress", request_id: id, ...update.progress });
    case "preview": {
      const { image, step, width, height, contentType } = update;
      const url = `data:${contentType};base64,${Buffer.from(update.bytes).toString("base64")}`;
      return JSON.stringify({ type: "preview", request_id: id, image, step, width, height, url });
    }
    default:
      return undefined;
  }
}
