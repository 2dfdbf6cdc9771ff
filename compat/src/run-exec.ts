import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { fileURLToPath } from "node:url";

const CLI = fileURLToPath(new URL("../../cli/src/main.ts", import.meta.url));
const FOLDER = fileURLToPath(new URL("..", import.meta.url));

export interface Ended {
  readonly code: number | null;
  readonly out: string;
  readonly err: string;
}

/**
 * Runs `sluice exec -- COMMAND …` in this folder, against a server that runs. The command has no settings of fal's but
 * those given here.
 */
export async function runExec(
  command: readonly string[],
  options: {
    readonly serverUrl: string;
    readonly dataDir: string;
    readonly timeoutMs: number;
    readonly environment?: Readonly<Record<string, string>>;
  },
): Promise<Ended> {
  const { serverUrl, dataDir, timeoutMs, environment } = options;
  return await run(
    [
      process.execPath,
      "--disable-warning=ExperimentalWarning",
      CLI,
      "exec",
      "--data",
      dataDir,
      "--",
      ...command,
    ],
    { timeoutMs, environment: { SLUICE_URL: serverUrl, ...environment } },
  );
}

/** Runs a command in this folder, without fal's settings of whoever runs the tests. */
export async function run(
  [command = "", ...args]: readonly string[],
  options: { readonly timeoutMs: number; readonly environment: Readonly<Record<string, string>> },
): Promise<Ended> {
  const inherited = Object.entries(process.env).filter(([name]) => !/^(FAL_|SLUICE_|NODE_TEST_)/.test(name));
  const child = spawn(command, args, {
    cwd: FOLDER,
    stdio: ["ignore", "pipe", "pipe"],
    // A framework among the packages here declares that everyone has its variable.
    env: { ...Object.fromEntries(inherited), ...options.environment } as NodeJS.ProcessEnv,
    timeout: options.timeoutMs,
    killSignal: "SIGTERM",
  });
  return await end(child);
}

async function end(child: ChildProcess): Promise<Ended> {
  const [out, err, [code]] = await Promise.all([
    read(child.stdout!),
    read(child.stderr!),
    once(child, "close") as Promise<[number | null]>,
  ]);
  return { code, out, err };
}

async function read(stream: NodeJS.ReadableStream): Promise<string> {
  const chunks: Buffer[] = [];
  for await (const chunk of stream) chunks.push(Buffer.from(chunk));
  return Buffer.concat(chunks).toString("utf8");
}
