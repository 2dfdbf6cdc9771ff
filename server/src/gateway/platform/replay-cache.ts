import type { Clock } from "../../clock.ts";

/** Remembers answers by `Idempotency-Key`, so that a call that is sent again is answered, not done, twice. */
export interface ReplayCache {
  /** The remembered answer, or that of `act`, which is remembered unless it rejects. Null: nothing is remembered. */
  answer<T>(key: string | null, act: () => Promise<T>): Promise<T>;
}

const MAX_ANSWERS = 1000;

/** Keeps the latest 1,000 answers in memory, each for `lifetimeMs`. */
export function createReplayCache(options: {
  readonly clock: Clock;
  readonly lifetimeMs: number;
}): ReplayCache {
  const { clock, lifetimeMs } = options;
  const answers = new Map<string, { readonly answer: Promise<unknown>; readonly expiresAt: number }>();
  return {
    answer<T>(key: string | null, act: () => Promise<T>): Promise<T> {
      if (key === null) return act();
      const known = answers.get(key);
      // One key always belongs to one route and so to one type of answer.
      if (known !== undefined && known.expiresAt > clock.now()) return known.answer as Promise<T>;
      const answer = act();
      answers.delete(key);
      answers.set(key, { answer, expiresAt: clock.now() + lifetimeMs });
      answer.catch(() => answers.delete(key));
      const [oldest] = answers.keys();
      if (answers.size > MAX_ANSWERS && oldest !== undefined) answers.delete(oldest);
      return answer;
    },
  };
}
