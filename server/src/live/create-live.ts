import type { RequestId } from "../ids.ts";
import type { Live, Update } from "./live.ts";

/**
 * Live messages inside one process. Nothing is kept for who is not listening; nothing here waits for anything.
 *
 * A subscriber hears everything from the call of `subscribe` on, not from its first read: so it can look at the
 * queue in between and miss no change.
 */
export function createLive(): Live {
  return new ProcessLive();
}

/** A subscriber that reads too slowly loses the oldest of more than this many unread updates. */
const MAX_UNREAD = 1_000;

class ProcessLive implements Live {
  readonly #subscribers = new Map<RequestId, Set<Subscription>>();
  readonly #listeners = new Set<(update: Update) => void>();
  readonly #cancelListeners = new Set<(requestId: RequestId) => void>();
  readonly #workWaiters = new Map<string, Set<() => void>>();

  publish(update: Update): void {
    const subscribers = this.#subscribers.get(update.requestId);
    if (subscribers !== undefined) for (const subscription of [...subscribers]) subscription.push(update);
    for (const listener of [...this.#listeners]) listener(update);
  }

  subscribe(
    requestId: RequestId,
    signal: AbortSignal,
    options: { readonly wantsPreviews?: boolean } = {},
  ): AsyncIterable<Update> {
    const subscription = new Subscription(signal, options.wantsPreviews ?? false, () => {
      const subscribers = this.#subscribers.get(requestId);
      subscribers?.delete(subscription);
      if (subscribers?.size === 0) this.#subscribers.delete(requestId);
    });
    if (signal.aborted) return subscription;
    const subscribers = this.#subscribers.get(requestId) ?? new Set();
    subscribers.add(subscription);
    this.#subscribers.set(requestId, subscribers);
    return subscription;
  }

  hasPreviewListener(requestId: RequestId): boolean {
    const subscribers = this.#subscribers.get(requestId);
    if (subscribers === undefined) return false;
    for (const subscription of subscribers) if (subscription.wantsPreviews) return true;
    return false;
  }

  wake(endpointId: string): void {
    const waiters = this.#workWaiters.get(endpointId);
    if (waiters !== undefined) for (const resolve of [...waiters]) resolve();
  }

  waitForWork(endpointIds: readonly string[], timeoutMs: number, signal: AbortSignal): Promise<void> {
    return new Promise((resolve) => {
      if (signal.aborted) return resolve();
      const stop = (): void => {
        clearTimeout(timer);
        signal.removeEventListener("abort", stop);
        for (const id of endpointIds) {
          const waiters = this.#workWaiters.get(id);
          waiters?.delete(stop);
          if (waiters?.size === 0) this.#workWaiters.delete(id);
        }
        resolve();
      };
      const timer = setTimeout(stop, timeoutMs);
      signal.addEventListener("abort", stop, { once: true });
      for (const id of endpointIds) {
        const waiters = this.#workWaiters.get(id) ?? new Set();
        waiters.add(stop);
        this.#workWaiters.set(id, waiters);
      }
    });
  }

  requestCancel(requestId: RequestId): void {
    for (const listener of [...this.#cancelListeners]) listener(requestId);
  }

  onCancel(listener: (requestId: RequestId) => void): () => void {
    this.#cancelListeners.add(listener);
    return () => this.#cancelListeners.delete(listener);
  }

  subscribeAll(listener: (update: Update) => void): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }
}

class Subscription implements AsyncIterable<Update>, AsyncIterator<Update, undefined> {
  readonly wantsPreviews: boolean;
  readonly #signal: AbortSignal;
  readonly #onEnd: () => void;
  readonly #unread: Update[] = [];
  #isEnded = false;
  #wake: (() => void) | undefined;

  constructor(signal: AbortSignal, wantsPreviews: boolean, onEnd: () => void) {
    this.wantsPreviews = wantsPreviews;
    this.#signal = signal;
    this.#onEnd = onEnd;
    if (signal.aborted) this.#isEnded = true;
    else signal.addEventListener("abort", this.#end, { once: true });
  }

  push(update: Update): void {
    if (this.#unread.length >= MAX_UNREAD) this.#unread.shift();
    this.#unread.push(update);
    this.#wake?.();
  }

  [Symbol.asyncIterator](): AsyncIterator<Update, undefined> {
    return this;
  }

  async next(): Promise<IteratorResult<Update, undefined>> {
    while (!this.#isEnded && this.#unread.length === 0) {
      await new Promise<void>((resolve) => {
        this.#wake = resolve;
      });
    }
    const update = this.#isEnded ? undefined : this.#unread.shift();
    return update === undefined ? { done: true, value: undefined } : { done: false, value: update };
  }

  return(): Promise<IteratorResult<Update, undefined>> {
    this.#end();
    return Promise.resolve({ done: true, value: undefined });
  }

  readonly #end = (): void => {
    if (this.#isEnded) return;
    this.#isEnded = true;
    this.#signal.removeEventListener("abort", this.#end);
    this.#onEnd();
    this.#wake?.();
  };
}
