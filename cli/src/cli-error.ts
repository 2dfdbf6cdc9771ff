/** A failure that the person at the terminal can act on: what went wrong and what to do next. */
export class CliError extends Error {
  /** One or more lines, each a thing to do. */
  readonly next: readonly string[];
  readonly exitCode: number;
  constructor(
    message: string,
    options: { next?: readonly string[]; exitCode?: number; cause?: unknown } = {},
  ) {
    super(message, { cause: options.cause });
    this.name = "CliError";
    this.next = options.next ?? [];
    this.exitCode = options.exitCode ?? 1;
  }
}
