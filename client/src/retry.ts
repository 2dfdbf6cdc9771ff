import { sleep } from "./abort.ts";
import { ApiError, ConnectionError } from "./api-error.ts";

export type RetryOptions = {
  /** Tries after the first one. */
  maxRetries: number;
  /** Milliseconds before the second try. */
  baseDelay: number;
  /** Milliseconds that a delay never exceeds. */
  maxDelay: number;
  /** Each delay is this many times the one before. */
  backoffMultiplier: number;
  /** HTTP statuses that are worth another try. */
  retryableStatusCodes: number[];
  /** Vary each delay by a quarter, so that callers that failed together do not come back together. */
  enableJitter: boolean;
};

export const DEFAULT_RETRY: RetryOptions = {
  maxRetries: 3,
  baseDelay: 1000,
  maxDelay: 30_000,
  backoffMultiplier: 2,
  retryableStatusCodes: [429, 502, 503, 504],
  enableJitter: true,
};

/** A server that asks for a longer pause than this gets its wish: the error goes to the caller, who may wait. */
const LONGEST_RETRY_AFTER_MS = 60_000;

/**
 * Whether the same call may succeed when it is sent again: transport failures, and the given statuses unless the
 * server says that it would not help. A deadline that the caller set (`startTimeout`) is never retried.
 */
export function isRetryableError(
  error: unknown,
  retryableStatusCodes: number[] = DEFAULT_RETRY.retryableStatusCodes,
): boolean {
  if (error instanceof ConnectionError) return true;
  if (!(error instanceof ApiError)) return error instanceof TypeError && /fetch/i.test(error.message);
  if (error.isUserTimeout || error.isRetryable === false) return false;
  return retryableStatusCodes.includes(error.status);
}

/**
 * Tries until it works, the error is not worth another try, or the tries are used up. Waits as long as the server
 * asks for in `Retry-After`, else with exponential back-off; an abort ends the wait at once.
 */
export async function withRetry<T>(
  attempt: () => Promise<T>,
  options: RetryOptions,
  signal?: AbortSignal | undefined,
  isFinal: (error: unknown) => boolean = () => false,
): Promise<T> {
  for (let failures = 0; ; failures++) {
    try {
      return await attempt();
    } catch (error) {
      if (signal?.aborted || failures >= options.maxRetries || isFinal(error)) throw error;
      if (!isRetryableError(error, options.retryableStatusCodes)) throw error;
      await backOff(error, failures, options, signal);
    }
  }
}

/** Waits before the next try; throws the error itself when the server asks for too long a pause. */
export async function backOff(
  error: unknown,
  failures: number,
  options: RetryOptions,
  signal?: AbortSignal | undefined,
): Promise<void> {
  const asked = error instanceof ApiError ? error.retryAfterMs : undefined;
  if (asked !== undefined && asked > Math.max(options.maxDelay, LONGEST_RETRY_AFTER_MS)) throw error;
  await sleep(asked ?? computeDelay(failures, options), signal);
}

function computeDelay(failures: number, options: RetryOptions): number {
  const delay = Math.min(options.baseDelay * options.backoffMultiplier ** failures, options.maxDelay);
  return options.enableJitter ? delay * (0.75 + Math.random() / 2) : delay;
}
