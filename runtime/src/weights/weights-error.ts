/** Weights cannot be pulled, read or bound: what was attempted, and what to do next. */
export class WeightsError extends Error {
  /** Lines, each a thing to do. */
  readonly next: readonly string[];
  constructor(message: string, options: { next?: readonly string[]; cause?: unknown } = {}) {
    super(message, { cause: options.cause });
    this.name = "WeightsError";
    this.next = options.next ?? [];
  }
}
