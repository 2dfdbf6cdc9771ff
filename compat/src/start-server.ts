import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtemp, readFile, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { readGreeting } from "../../cli/src/greeting/read-greeting.ts";

/** A real server in its own process, with a data folder of its own. */
export interface TestServer extends AsyncDisposable {
  readonly url: string;
  /** The ADMIN key of the first start, `id:secret`. */
  readonly key: string;
  readonly dataDir: string;
  readonly process: ChildProcess;
}

const CLI = fileURLToPath(new URL("../../cli/src/main.ts", import.meta.url));

export interface ServerOptions {
  readonly arguments?: readonly string[];
  readonly environment?: Record<string, string>;
  /** Data of an earlier server; kept. Default: a new folder, removed with the server. */
  readonly dataDir?: string;
}

/** Starts `sluice serve` on a free port. */
export async function startServer(options: ServerOptions = {}): Promise<TestServer> {
  const dataDir = options.dataDir ?? (await mkdtemp(join(tmpdir(), "sluice-compat-")));
  const child = spawn(
    process.execPath,
    [
      "--disable-warning=ExperimentalWarning",
      CLI,
      "serve",
      "--port",
      "0",
      "--data",
      dataDir,
      "--log-level",
      "error",
      ...(options.arguments ?? []),
    ],
    { stdio: ["ignore", "pipe", "inherit"], env: { ...process.env, ...options.environment } },
  );
  const { url } = await readGreeting(child);
  const key = (await readFile(join(dataDir, "first-key"), "utf8")).trim();
  return {
    url,
    key,
    dataDir,
    process: child,
    [Symbol.asyncDispose]: async () => {
      if (child.exitCode === null && child.signalCode === null) {
        child.kill("SIGTERM");
        const timer = setTimeout(() => child.kill("SIGKILL"), 15_000);
        await once(child, "exit");
        clearTimeout(timer);
      }
      if (options.dataDir === undefined) await rm(dataDir, { recursive: true, force: true });
    },
  };
}
