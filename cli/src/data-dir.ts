import { resolve } from "node:path";
import type { Command } from "commander";

/** Adds `--data DIR` to a command that touches an embedded store. */
export function addDataOption(command: Command): Command {
  return command.option("--data <dir>", "folder of the embedded store (default: SLUICE_DATA or .sluice)");
}

/** The data folder as an absolute path: flag, `SLUICE_DATA`, `.sluice`. */
export function resolveDataDir(options: { readonly data?: string | undefined }): string {
  return resolve(options.data ?? process.env["SLUICE_DATA"] ?? ".sluice");
}
