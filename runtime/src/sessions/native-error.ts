/** What onnxruntime and the drivers under it say in their errors, which have no codes. */

/** Whether memory ran out: the machine's, or a graphics card's in the words of its driver. */
export function isMemoryError(error: unknown): boolean {
  return /bad_alloc|allocate memory|out of memory|not enough memory|alloc_failed/i.test(getText(error));
}

/** The part of it that says something to people: the driver's words, else the first line; at most 300 characters. */
export function findReason(error: unknown): string {
  const text = getText(error);
  // Before the driver's words stands the whole signature of the function that called it.
  const [words] = /\b[A-Z]+ failure \d+:[^;\n]*/.exec(text) ?? text.split("\n");
  return (words ?? "").trim().replace(/\.$/, "").slice(0, 300);
}

export function getText(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
