/** Of several rounds: the smallest, the middle and the largest. */
export interface Spread {
  readonly min: number;
  readonly median: number;
  readonly max: number;
}

/** @param values at least one */
export function getSpread(values: readonly number[]): Spread {
  const sorted = sort(values);
  return {
    min: sorted[0] as number,
    median: getMedian(sorted),
    max: sorted.at(-1) as number,
  };
}

/** The value that `share` (0 to 1) of the values do not exceed. @param values at least one */
export function getPercentile(values: readonly number[], share: number): number {
  const sorted = sort(values);
  return sorted[Math.min(sorted.length - 1, Math.max(0, Math.ceil(share * sorted.length) - 1))] as number;
}

function sort(values: readonly number[]): number[] {
  if (values.length === 0) throw new RangeError("There is nothing to summarize.");
  return [...values].sort((a, b) => a - b);
}

function getMedian(sorted: readonly number[]): number {
  const middle = sorted.length >> 1;
  const upper = sorted[middle] as number;
  return sorted.length % 2 === 1 ? upper : ((sorted[middle - 1] as number) + upper) / 2;
}
