import { join } from "node:path";
import { DEFAULT_URL, type Environment } from "../connection.ts";
import { findProgramName, getShellFolder } from "./find-program-name.ts";
import { quoteWord } from "./quote-word.ts";

/** What a command is to reach; what is left out is where it looks by itself. */
export interface Target {
  /** Origin of the server. */
  readonly url?: string;
  /** Absolute path. */
  readonly dataDir?: string;
}

/** A command line of this program that reaches the target when it is pasted into the shell that started it. */
export function formatCommand(
  words: readonly string[],
  { url, dataDir }: Target = {},
  environment: Environment = process.env,
): string {
  const folder = join(getShellFolder(environment), ".sluice");
  // Another terminal may lack a variable that this one has.
  const isFound = (value: string, fallback: string, variable: string): boolean =>
    value === fallback && [fallback, ""].includes(environment[variable] ?? "");
  return [
    ...(url === undefined || isFound(url, DEFAULT_URL, "SLUICE_URL") ? [] : [`SLUICE_URL=${quoteWord(url)}`]),
    findProgramName(environment),
    ...words.map(quoteWord),
    ...(dataDir === undefined || isFound(dataDir, folder, "SLUICE_DATA")
      ? []
      : ["--data", quoteWord(dataDir)]),
  ].join(" ");
}

/** Every `sluice …` that a text quotes, as it is called in this shell. */
export function nameProgram(text: string, findName: () => string = findProgramName): string {
  if (!text.includes("`sluice ")) return text;
  const name = findName();
  return text.replaceAll("`sluice ", () => `\`${name} `);
}
