import { execFile } from "node:child_process";
import { mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";

const run = promisify(execFile);

/** A program as it is printed on a page, below a line that says that it is run here. */
export interface DocsProgram {
  readonly name: string;
  readonly language: "js" | "sh";
  readonly text: string;
}

/** @param path from the repository's root */
export async function readDocsPrograms(path: string): Promise<DocsProgram[]> {
  const page = await readFile(fileURLToPath(new URL(`../../${path}`, import.meta.url)), "utf8");
  const found = page.matchAll(/<!-- runs in compat\/: ([^>]+) -->\n```(js|sh)\n(.*?)```/gs);
  return [...found].map(([, name = "", language, text = ""]) => ({
    name,
    language: language as DocsProgram["language"],
    text,
  }));
}

/** A folder inside of `compat/`, so that programs in it find the clients and frameworks there. */
export interface ProgramFolder extends AsyncDisposable {
  readonly path: string;
  /** Writes a program and gives its path. */
  write(program: DocsProgram): Promise<string>;
  /** Runs a program to its end and gives the lines that it printed. */
  run(program: DocsProgram, environment: Readonly<Record<string, string>>): Promise<string[]>;
}

export async function makeProgramFolder(): Promise<ProgramFolder> {
  const path = await mkdtemp(fileURLToPath(new URL("../docs-", import.meta.url)));
  let written = 0;
  const write: ProgramFolder["write"] = async ({ language, text }) => {
    // A new name each time: a module is loaded once.
    written += 1;
    const file = join(path, `program-${written}.${language === "js" ? "mjs" : "sh"}`);
    await writeFile(file, text);
    return file;
  };
  return {
    path,
    write,
    async run(program, environment) {
      const command = program.language === "js" ? process.execPath : "bash";
      const { stdout } = await run(command, [await write(program)], {
        cwd: path,
        env: { ...process.env, ...environment },
        timeout: 60_000,
      });
      return stdout.trim().split("\n");
    },
    [Symbol.asyncDispose]: () => rm(path, { recursive: true, force: true }),
  };
}
