import { statSync } from "node:fs";
import { delimiter, dirname, join, resolve } from "node:path";
import type { Environment } from "../connection.ts";
import { quoteWord } from "./quote-word.ts";

/**
 * How this program is called in the shell that it was started from: `sluice` where that is on the PATH, `npx sluice` in
 * a folder whose packages have it, as a clone's have, and `npx --prefix FOLDER sluice` outside of it.
 */
export function findProgramName(
  environment: Environment = process.env,
  installedAt: string = import.meta.dirname,
): string {
  // npm puts the packages' programs on the PATH of what it starts; the shell does not have them there.
  const path = (environment["PATH"] ?? "")
    .split(delimiter)
    .filter((dir) => !/node_modules[\\/]\.bin/.test(dir));
  if (path.some((dir) => hasProgram(dir))) return "sluice";
  if (findPackages(getShellFolder(environment)) !== undefined) return "npx sluice";
  const packages = findPackages(installedAt);
  if (packages === undefined) return "sluice";
  const isFetchedByNpx = /[\\/]_npx[\\/]/.test(packages);
  return isFetchedByNpx ? "npx sluice" : `npx --prefix ${quoteWord(packages)} sluice`;
}

/** The folder in which the person typed: npm starts scripts in another one. */
export function getShellFolder(environment: Environment = process.env): string {
  return resolve(environment["INIT_CWD"] ?? ".");
}

/** The nearest folder at or above whose packages have the program. */
function findPackages(folder: string): string | undefined {
  if (hasProgram(join(folder, "node_modules/.bin"))) return folder;
  const parent = dirname(folder);
  return parent === folder ? undefined : findPackages(parent);
}

function hasProgram(folder: string): boolean {
  const name = process.platform === "win32" ? "sluice.cmd" : "sluice";
  try {
    return folder !== "" && statSync(join(folder, name)).isFile();
  } catch {
    return false; // Not there, or in a folder of somebody else: the shell finds it no more than this.
  }
}
