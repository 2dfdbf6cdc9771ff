import assert from "node:assert/strict";
import { test } from "node:test";
import { getAttemptTimeout, getRetryDelay, MAX_DELAY_MS } from "./retry-schedule.ts";

test("ten retries follow the first attempt, each after twice the pause, within two hours", () => {
  const pauses = Array.from({ length: 11 }, (_, made) => getRetryDelay(made + 1, 0.5));
  assert.deepEqual(
    pauses.map((pause) => pause && Math.round(pause / 1000)),
    [5, 10, 20, 40, 80, 160, 320, 640, 1280, 2560, undefined],
  );
  let longest = 0;
  for (let made = 1; made <= 10; made++) {
    const [least, most] = [getRetryDelay(made, 0) ?? 0, getRetryDelay(made, 1) ?? 0];
    assert.ok(Math.abs(most / least - 1.5) < 1e-9);
    assert.ok(most <= MAX_DELAY_MS);
    longest += most;
  }
  assert.ok(longest < 2 * 3_600_000);
});

test("a receiver gets 15 seconds the first time and 120 after that", () => {
  assert.deepEqual([0, 1, 10].map(getAttemptTimeout), [15_000, 120_000, 120_000]);
});
