/** How wide standard output is; `fallback` where it is no terminal, or one that says 0, as in some containers. */
export function readColumns(fallback: number): number {
  return process.stdout.columns || fallback;
}
