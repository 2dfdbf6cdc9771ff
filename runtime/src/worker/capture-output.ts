import { AsyncLocalStorage } from "node:async_hooks";
import { format } from "node:util";
import type { LogLevel } from "@sluice/protocol";

/** Where everything that model code prints goes. */
export interface CapturedOutput {
  /** Runs `work` so that all it prints, at any depth of asynchrony, belongs to this run. */
  during<T>(runId: string, work: () => T): T;
  /** Adds a line; null for one that belongs to no run. */
  write(runId: string | null, level: LogLevel, message: string): void;
  /** Hands out an unfinished line. What a finished run still prints belongs to nobody. */
  finish(runId: string): void;
}

/** Lines one run may log. More would fill the memory of whoever collects them. */
const MAX_LINES = 10_000;
const MAX_LINE_LENGTH = 16_384;

/**
 * Turns `console.*` and writes to stdout and stderr into log lines, in the order in which they were made. What native
 * code prints goes past this to the process's pipes, where the runner reads it.
 */
export function captureOutput(
  sink: (runId: string | null, level: LogLevel, message: string) => void,
): CapturedOutput {
  const scope = new AsyncLocalStorage<string>();
  const lineCounts = new Map<string, number>();
  /** The one run in progress: owner of what prints outside of its scope, such as callbacks made during setup. */
  let currentRunId: string | null = null;

  const owner = (): string | null => {
    const runId = scope.getStore() ?? currentRunId;
    return runId !== null && lineCounts.has(runId) ? runId : null;
  };
  const write = (runId: string | null, level: LogLevel, message: string): void => {
    const text = message.length > MAX_LINE_LENGTH ? `${message.slice(0, MAX_LINE_LENGTH)} …` : message;
    const count = runId === null ? undefined : lineCounts.get(runId);
    if (runId === null || count === undefined) {
      sink(null, level, text);
      return;
    }
    lineCounts.set(runId, count + 1);
    if (count < MAX_LINES) sink(runId, level, text);
    else if (count === MAX_LINES) sink(runId, "WARN", `More than ${MAX_LINES} lines: the rest is not kept.`);
  };
  const stdout = captureStream(process.stdout, (line) => write(owner(), "STDOUT", line));
  const stderr = captureStream(process.stderr, (line) => write(owner(), "STDERR", line));
  for (const [method, level] of CONSOLE_LEVELS) {
    console[method] = (...values: unknown[]) => write(owner(), level, format(...values));
  }

  return {
    write,
    during(runId, work) {
      lineCounts.set(runId, 0);
      currentRunId = runId;
      return scope.run(runId, work);
    },
    finish(runId) {
      stdout.flush();
      stderr.flush();
      lineCounts.delete(runId);
      if (currentRunId === runId) currentRunId = null;
    },
  };
}

// Everything else of the console (table, dir, group, …) writes to the streams.
const CONSOLE_LEVELS = [
  ["log", "INFO"],
  ["info", "INFO"],
  ["debug", "DEBUG"],
  ["warn", "WARN"],
  ["error", "ERROR"],
] as const;

function captureStream(stream: NodeJS.WriteStream, onLine: (line: string) => void): { flush(): void } {
  let rest = "";
  const take = (text: string): void => {
    const lines = (rest + text).split("\n");
    rest = lines.pop() ?? "";
    for (const line of lines) onLine(line.replace(/\r$/, ""));
    if (rest.length > MAX_LINE_LENGTH) flush();
  };
  const flush = (): void => {
    if (rest !== "") onLine(rest);
    rest = "";
  };
  stream.write = ((chunk: string | Uint8Array, encoding?: unknown, callback?: unknown): boolean => {
    take(typeof chunk === "string" ? chunk : Buffer.from(chunk).toString("utf8"));
    const done = typeof encoding === "function" ? encoding : callback;
    if (typeof done === "function") process.nextTick(done);
    return true;
  }) as typeof stream.write;
  return { flush };
}
