import { readFixture } from "./read-fixture.ts";

/** A recorded run of a reference scheduler with a toy network. */
export interface SchedulerCase {
  readonly name: string;
  readonly timesteps: readonly number[];
  readonly sigmas?: readonly number[];
  readonly final: readonly number[];
}

const recorded = readFixture<{ readonly x0: readonly number[]; readonly cases: readonly SchedulerCase[] }>(
  "schedulers.json",
);

/** Where every recorded run starts from, before the scheduler's own initial noise scale. */
export function createToySample(): Float32Array {
  return Float32Array.from(recorded.x0);
}

/** The toy network of the recorded runs: a prediction for every value. */
export function predictToy(sample: Float32Array, timestep: number): Float32Array {
  return sample.map((x) => 0.3 * x + 0.1 * Math.sin(2 * x) + 0.0001 * timestep);
}

/** The recorded run whose name starts so. @throws RangeError when there is none */
export function getSchedulerCase(start: string): SchedulerCase {
  const found = recorded.cases.find((item) => item.name.startsWith(start));
  if (found === undefined) throw new RangeError(`no recorded run is called "${start}…"`);
  return found;
}

export const SCHEDULER_CASE_NAMES: readonly string[] = recorded.cases.map((item) => item.name);

/** The largest difference relative to the larger of 1 and the expected value. */
export function getLargestDifference(actual: ArrayLike<number>, expected: readonly number[]): number {
  if (actual.length !== expected.length) return Number.POSITIVE_INFINITY;
  return Math.max(
    ...expected.map((value, i) => Math.abs((actual[i] ?? Number.NaN) - value) / Math.max(1, Math.abs(value))),
  );
}
