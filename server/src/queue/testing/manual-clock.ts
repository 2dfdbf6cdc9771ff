import type { Clock } from "../../clock.ts";

/** Time that passes only when told to. */
export interface ManualClock extends Clock {
  /** Both clocks move on. */
  advance(ms: number): void;
  /** Only the wall clock is set, as by an operator or NTP. */
  setForward(ms: number): void;
}

/** Starts at noon UTC of some day. */
export function createManualClock(startAt: number = Date.UTC(2026, 4, 1, 12)): ManualClock {
  let wall = startAt;
  let passed = 0;
  return {
    now: () => wall,
    monotonic: () => passed,
    sleep: () => Promise.reject(new Error("Nothing sleeps on a manual clock.")),
    advance(ms) {
      wall += ms;
      passed += ms;
    },
    setForward(ms) {
      wall += ms;
    },
  };
}
