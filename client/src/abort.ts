/** A signal that can be aborted from several sides, and that lets go of all of them when closed. */
export interface Scope {
  readonly signal: AbortSignal;
  abort(reason: unknown): void;
  /** Drops the timer and the listener. The signal stays as it is. */
  close(): void;
}

/**
 * Opens a scope under `parent` (if any) that is aborted with a `TimeoutError` after `timeoutMs` (if given).
 * `AbortSignal.any` would do, but in some runtimes its signals live as long as the parent: a caller that makes a
 * thousand calls with one signal would leak a thousand.
 */
export function openScope(
  parent?: AbortSignal | undefined,
  timeoutMs?: number | undefined,
  message = `Timed out after ${timeoutMs}ms`,
): Scope {
  const controller = new AbortController();
  const follow = () => controller.abort(parent?.reason);
  if (parent?.aborted) follow();
  else parent?.addEventListener("abort", follow, { once: true });
  const timer =
    timeoutMs === undefined
      ? undefined
      : setDelay(() => controller.abort(createTimeoutError(message)), timeoutMs);
  return {
    signal: controller.signal,
    abort: (reason) => controller.abort(reason),
    close() {
      clearTimeout(timer);
      parent?.removeEventListener("abort", follow);
    },
  };
}

export function createTimeoutError(message: string): DOMException {
  return new DOMException(message, "TimeoutError");
}

/** Resolves after `ms`; rejects with the signal's reason as soon as it is aborted. */
export function sleep(ms: number, signal?: AbortSignal | undefined): Promise<void> {
  return new Promise((resolve, reject) => {
    if (signal?.aborted) return reject(signal.reason);
    const stop = () => {
      clearTimeout(timer);
      reject(signal?.reason);
    };
    const timer = setDelay(() => {
      signal?.removeEventListener("abort", stop);
      resolve();
    }, ms);
    signal?.addEventListener("abort", stop, { once: true });
  });
}

/** The promise, or the signal's reason, whichever comes first. What loses the race is left to settle alone. */
export function abortable<T>(promise: Promise<T>, signal: AbortSignal): Promise<T> {
  return new Promise((resolve, reject) => {
    const stop = () => reject(signal.reason);
    if (signal.aborted) stop();
    signal.addEventListener("abort", stop, { once: true });
    promise.then(resolve, reject).finally(() => signal.removeEventListener("abort", stop));
  });
}

/** Timers of most runtimes hold 31 bits: a longer delay would fire at once. */
function setDelay(run: () => void, ms: number): ReturnType<typeof setTimeout> {
  return setTimeout(run, Math.min(ms, 2 ** 31 - 1));
}
