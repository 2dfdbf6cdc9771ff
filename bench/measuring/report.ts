import { availableParallelism, cpus, loadavg } from "node:os";
import type { Spread } from "./statistics.ts";

/** Says what is measured and where: a figure without its machine means little. */
export function printHeader(question: string): void {
  const processor = cpus()[0]?.model ?? "unknown processor";
  print(`${question}`);
  print(
    `${new Date().toISOString().slice(0, 16)}Z, Node ${process.version}, ${processor}, ${availableParallelism()} cores, ${describeLoad()}`,
  );
  print("");
}

/** Says how the figures below came about, and how busy the machine was at the end. */
export function printConditions(how: string): void {
  print(`${how}; ${describeLoad()} at the end`);
  print("");
}

/** Others on the machine make every figure worse, and not evenly. */
export function describeLoad(): string {
  const [minute = 0] = loadavg();
  const isBusy = minute > 2 * availableParallelism();
  return `load ${minute.toFixed(1)}${isBusy ? " (busy: repeat on a quieter machine)" : ""}`;
}

export interface Figure extends Spread {
  readonly name: string;
  readonly unit: string;
}

/** `name  min  median  max  unit`, aligned. */
export function printFigures(figures: readonly Figure[]): void {
  const width = Math.max(8, ...figures.map((figure) => figure.name.length));
  print(`${"".padEnd(width)}  ${["min", "median", "max"].map((word) => word.padStart(10)).join("")}`);
  for (const { name, unit, min, median, max } of figures) {
    const numbers = [min, median, max].map((value) => format(value).padStart(10)).join("");
    print(`${name.padEnd(width)}  ${numbers}  ${unit}`);
  }
}

/** One line per budget: what was allowed, what was seen. */
export function printBudget(what: string, isMet: boolean): void {
  print(`${isMet ? "met   " : "MISSED"}  ${what}`);
}

export function print(line: string): void {
  process.stdout.write(`${line}\n`);
}

function format(value: number): string {
  if (Math.abs(value) >= 1_000) return Math.round(value).toLocaleString("en");
  return value >= 100 ? value.toFixed(0) : value >= 10 ? value.toFixed(1) : value.toFixed(2);
}
