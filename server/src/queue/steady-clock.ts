import type { Clock } from "../clock.ts";

/** Differences below this are the wall clock being corrected, not set. */
const JUMP_MS = 2_000;
/** How far the wall clock may run ahead of the time that really passed before retention stops believing it. */
const TRUSTED_AHEAD_MS = 3_600_000;

export interface SteadyClock {
  /** Milliseconds the wall clock was set forward (or back, negative) since the last call; 0 when it was not. */
  takeJump(): number;
  /** The wall clock, but not more than an hour ahead of what has passed since the start. */
  trustedNow(): number;
}

/** Tells a wall clock that was set from time that passed, by the monotonic clock. */
export function createSteadyClock(clock: Clock): SteadyClock {
  const startedAt = clock.now();
  const started = clock.monotonic();
  let offset = startedAt - started;
  return {
    takeJump() {
      const jump = clock.now() - clock.monotonic() - offset;
      if (Math.abs(jump) < JUMP_MS) return 0;
      offset += jump;
      return Math.round(jump);
    },
    trustedNow: () => Math.min(clock.now(), startedAt + (clock.monotonic() - started) + TRUSTED_AHEAD_MS),
  };
}
