import { randomUUID } from "node:crypto";
import type { AccountId, RequestId } from "../../ids.ts";
import type { Live } from "../../live/live.ts";

/**
 * A hint that something which pages show has changed: look again. Nothing is decided by it, and it says nothing that
 * only some may know beyond the id of the request.
 */
export type Notice =
  | {
      readonly type: "request";
      readonly request_id: RequestId;
      readonly endpoint_id: string;
      readonly state: string;
    }
  /** A queue was paused, resumed or flushed. */
  | { readonly type: "queue"; readonly endpoint_id: string }
  /** Workers were started, taken, freed or ended, or the machine was drained or resumed. */
  | { readonly type: "machine" }
  /** A webhook came into the inbox, or the inbox was emptied. */
  | { readonly type: "inbox" }
  /** Prices were set. */
  | { readonly type: "prices" };

export interface NumberedNotice {
  readonly sequence: number;
  /** Whose it is; null is for keys of scope ADMIN alone. */
  readonly accountId: AccountId | null;
  readonly notice: Notice;
}

/** The notices of this process: told to whoever listens, and the latest kept for who was away for a moment. */
export interface Notices {
  publish(notice: Notice, accountId: AccountId | null): void;
  /** Told of every notice from now on, until the function that it gives back is called. */
  listen(listener: (numbered: NumberedNotice) => void): () => void;
  /** Name of a notice, for `Last-Event-ID`. */
  formatId(sequence: number): string;
  /** What was published after the notice of this id; undefined when that is not known any more, or never was. */
  findSince(id: string): readonly NumberedNotice[] | undefined;
  /** Of the notice published last; 0 before the first. */
  readonly lastSequence: number;
}

/** As many notices are kept: a minute of a busy server. */
const MAX_KEPT = 2_000;

export function createNotices(live: Pick<Live, "subscribeAll">): Notices {
  // Another process counts from 1 again: an id of a server that was is not one of this.
  const epoch = randomUUID();
  const kept: NumberedNotice[] = [];
  const listeners = new Set<(numbered: NumberedNotice) => void>();
  let lastSequence = 0;

  const publish = (notice: Notice, accountId: AccountId | null): void => {
    lastSequence++;
    const numbered = { sequence: lastSequence, accountId, notice };
    kept[lastSequence % MAX_KEPT] = numbered;
    for (const listener of listeners) listener(numbered);
  };
  live.subscribeAll((update) => {
    if (update.type !== "changed") return;
    const { requestId, accountId, endpointId, state } = update;
    publish({ type: "request", request_id: requestId, endpoint_id: endpointId, state }, accountId);
  });

  return {
    publish,
    listen(listener) {
      listeners.add(listener);
      return () => listeners.delete(listener);
    },
    formatId: (sequence) => `${epoch}:${sequence}`,
    findSince(id) {
      const [, from, digits] = /^(.{36}):(\d{1,15})$/.exec(id) ?? [];
      const after = Number(digits);
      if (from !== epoch || after > lastSequence || lastSequence - after > MAX_KEPT) return undefined;
      return Array.from(
        { length: lastSequence - after },
        (_, index) => kept[(after + 1 + index) % MAX_KEPT],
      ).filter((each) => each !== undefined);
    },
    get lastSequence() {
      return lastSequence;
    },
  };
}
