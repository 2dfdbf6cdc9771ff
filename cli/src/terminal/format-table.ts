import { stripVTControlCharacters } from "node:util";

/** Rows under a header, columns aligned by two spaces. Long cells are cut with `…` when the terminal is narrow. */
export function formatTable(
  header: readonly string[],
  rows: readonly (readonly string[])[],
  columns = 120,
): string {
  const lines = [header, ...rows].map((row) => row.map((cell) => clean(cell)));
  const widths = header.map((_, index) => Math.max(...lines.map((row) => (row[index] ?? "").length)));
  const last = widths.length - 1;
  const before = widths.slice(0, last).reduce((sum, width) => sum + width + 2, 0);
  widths[last] = Math.min(widths[last] ?? 0, Math.max(20, columns - before));
  return lines
    .map((row) =>
      row
        .map((cell, index) => cut(cell, widths[index] ?? 0).padEnd(index === last ? 0 : (widths[index] ?? 0)))
        .join("  ")
        .trimEnd(),
    )
    .join("\n");
}

function clean(cell: string): string {
  return stripVTControlCharacters(cell).replace(/\s+/g, " ");
}

function cut(cell: string, width: number): string {
  return cell.length <= width ? cell : `${cell.slice(0, Math.max(0, width - 1))}…`;
}
