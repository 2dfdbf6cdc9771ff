import { spawnSync } from "node:child_process";
import { dirname, sep } from "node:path";
import { fileURLToPath } from "node:url";

/** Where the import of a file failed. */
export interface FailurePlace {
  /** `/path/of/file.ts:3:14`, line and column from 1. */
  readonly at: string;
  /** That line; undefined where only its number is known. */
  readonly code: string | undefined;
  readonly column: number;
}

/**
 * Where in a model file, or in which of the files that it imports, the error is because of which it does not load.
 * Undefined where nothing tells, for instance when an import leads nowhere.
 */
export function locateFailure(error: unknown, file: string): FailurePlace | undefined {
  const stack = error instanceof Error ? (error.stack ?? "") : "";
  const place = readArrow(stack) ?? readFrame(stack);
  if (place !== undefined || !(error instanceof SyntaxError)) return place;
  // Of JavaScript that does not parse Node tells the place only when it ends because of it. Nothing of it has run then.
  const { stderr } = spawnSync(process.execPath, [file], {
    encoding: "utf8",
    timeout: RUN_MS,
    stdio: "pipe",
  });
  return readArrow(stderr ?? ""); // Null where no process could be started.
}

const RUN_MS = 5_000;

/** A line with file and number, the code, and `^` below it: how V8 and the TypeScript parser point at a mistake. */
function readArrow(text: string): FailurePlace | undefined {
  const lines = text.split("\n");
  const first = lines.findIndex((line) => /^(file:|[/\\]|[A-Z]:).*:\d+$/.test(line));
  const arrow = lines.findIndex((line, index) => index > first + 1 && /^\s*\^+\s*$/.test(line));
  const [, path, line] = /^(.*):(\d+)$/.exec(lines[first] ?? "") ?? [];
  if (first < 0 || arrow < 0 || path === undefined) return undefined;
  const column = (lines[arrow] ?? "").indexOf("^") + 1;
  return { at: `${toPath(path)}:${line}:${column}`, code: lines[arrow - 1], column };
}

/** The first call that is not one of this package's. */
function readFrame(stack: string): FailurePlace | undefined {
  const own = dirname(import.meta.dirname) + sep;
  for (const [, url = "", line, column] of stack.matchAll(/\bat (?:.*\()?(file:.*):(\d+):(\d+)\)?$/gm)) {
    const path = toPath(url);
    if (!path.startsWith(own))
      return { at: `${path}:${line}:${column}`, code: undefined, column: Number(column) };
  }
  return undefined;
}

function toPath(path: string): string {
  return path.startsWith("file:") ? fileURLToPath(path) : path;
}
