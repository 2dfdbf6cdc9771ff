/** Smallest, middle and largest of some figures, as benchmarks print them. */
export function summarize(figures: readonly number[]): {
  readonly min: number;
  readonly median: number;
  readonly max: number;
} {
  const sorted = [...figures].sort((a, b) => a - b);
  const at = (index: number): number => sorted[Math.min(sorted.length - 1, Math.max(0, index))] ?? Number.NaN;
  return { min: at(0), median: at(Math.floor(sorted.length / 2)), max: at(sorted.length - 1) };
}

/** One line: name, then min, median and max. */
export function formatRow(name: string, figures: readonly number[], digits = 0): string {
  const { min, median, max } = summarize(figures);
  const cells = [min, median, max].map((figure) => figure.toFixed(digits).padStart(10));
  return `${name.padEnd(44)}${cells.join("")}`;
}

export const HEADING: string = `${"".padEnd(44)}${"min".padStart(10)}${"median".padStart(10)}${"max".padStart(10)}`;
