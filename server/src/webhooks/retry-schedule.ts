/** Pauses before the ten retries of a webhook delivery: the last one begins within two hours of the first attempt. */
const DELAYS_MS: readonly number[] = Array.from({ length: 10 }, (_, retry) => 5_000 * 2 ** retry);

/** How much a pause may differ, so that the retries of many deliveries do not come together. */
const JITTER = 0.2;

/** No delivery is ever put off longer than this. */
export const MAX_DELAY_MS: number = 2_561_000 * (1 + JITTER);

/**
 * Milliseconds to wait after a failed attempt; undefined when no attempt is left (fal model API, "Webhooks: delivery").
 *
 * @param attemptsMade attempts made so far, the failed one included
 * @param random 0 to 1
 */
export function getRetryDelay(attemptsMade: number, random: number): number | undefined {
  const delay = DELAYS_MS[attemptsMade - 1];
  return delay === undefined ? undefined : delay * (1 - JITTER + 2 * JITTER * random);
}

/** A receiver must be quick the first time; a retry may find it slow. Milliseconds. */
export function getAttemptTimeout(attemptsMade: number): number {
  return attemptsMade === 0 ? 15_000 : 120_000;
}
