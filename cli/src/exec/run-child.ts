import { spawn } from "node:child_process";
import { constants } from "node:os";
import { CliError } from "../cli-error.ts";

/** How a command ended. */
export type ChildEnd = { readonly code: number } | { readonly signal: NodeJS.Signals };

/** From a terminal these reach the whole foreground group, the command included: passing them on would double them. */
const FROM_TERMINAL: readonly NodeJS.Signals[] = ["SIGINT", "SIGQUIT"];
const PASSED_ON: readonly NodeJS.Signals[] = [...FROM_TERMINAL, "SIGTERM", "SIGHUP"];

/**
 * Runs a command on this terminal and waits for its end. Signals to this process go on to it.
 * @throws CliError when it cannot be started: exit code 127 when there is no such command, 126 when it may not run
 */
export async function runChild(parts: {
  readonly command: string;
  readonly args: readonly string[];
  readonly environment: Readonly<Record<string, string | undefined>>;
}): Promise<ChildEnd> {
  const { command, args, environment } = parts;
  const child = spawn(command, args, { stdio: "inherit", env: environment });
  const listeners = PASSED_ON.map((signal) => {
    const isTerminals = FROM_TERMINAL.includes(signal) && process.stdin.isTTY === true;
    const listener = (): void => {
      if (!isTerminals) child.kill(signal);
    };
    process.on(signal, listener);
    return () => process.off(signal, listener);
  });
  try {
    return await new Promise<ChildEnd>((resolve, reject) => {
      child.once("error", (error: NodeJS.ErrnoException) => reject(describe(error, command)));
      child.once("exit", (code, signal) => resolve(signal === null ? { code: code ?? 1 } : { signal }));
    });
  } finally {
    for (const remove of listeners) remove();
  }
}

/** The exit code that shells give to this end. */
export function toExitCode(end: ChildEnd): number {
  return "code" in end ? end.code : 128 + constants.signals[end.signal];
}

function describe(error: NodeJS.ErrnoException, command: string): CliError {
  if (error.code === "ENOENT")
    return new CliError(`There is no command ${command}.`, {
      next: ["Check its name and the PATH; a clone's own node_modules/.bin is not on the command's PATH."],
      exitCode: 127,
      cause: error,
    });
  return new CliError(`${command} cannot be started: ${error.message}.`, { exitCode: 126, cause: error });
}
