import { existsSync, readFileSync } from "node:fs";
import { rm, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { run } from "./run-exec.ts";

const FOLDER = fileURLToPath(new URL("../.venv", import.meta.url));
const REQUIREMENTS = fileURLToPath(new URL("../programs/requirements.txt", import.meta.url));

/**
 * A Python with the pinned client in a folder of its own, made at the first run and again when the list of packages changes.
 *
 * @returns its path, or why there is none: no Python, or no registry in reach
 */
export async function ensurePython(): Promise<{ readonly python: string } | { readonly missing: string }> {
  const python = join(FOLDER, process.platform === "win32" ? "Scripts/python.exe" : "bin/python");
  const installed = join(FOLDER, "installed.txt");
  const wanted = readFileSync(REQUIREMENTS, "utf8");
  if (existsSync(python) && existsSync(installed) && readFileSync(installed, "utf8") === wanted)
    return { python };
  await rm(FOLDER, { recursive: true, force: true });
  const steps = [
    [["python3", "-m", "venv", FOLDER], "python3 with its venv module is not installed"],
    [
      [python, "-m", "pip", "install", "--quiet", "--no-input", "-r", REQUIREMENTS],
      "pip could not install the client",
    ],
  ] as const;
  for (const [command, reason] of steps) {
    const { code, err } = await run(command, { timeoutMs: 120_000, environment: {} }).catch(
      (error: Error) => ({
        code: -1,
        err: error.message,
      }),
    );
    if (code !== 0) return { missing: `${reason}: ${err.trim().split("\n").at(-1)}` };
  }
  await writeFile(installed, wanted);
  return { python };
}
