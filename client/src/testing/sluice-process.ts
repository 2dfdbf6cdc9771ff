import { type ChildProcess, spawn } from "node:child_process";
import { mkdtemp, readFile, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { TestContext } from "node:test";
import { fileURLToPath } from "node:url";

/** `sluice serve` in a process of its own, on a data folder that outlives a kill. */
export interface SluiceProcess {
  readonly url: string;
  /** The key of the first start. */
  readonly key: string;
  /** As a power cut: no signal handler runs. */
  kill(): Promise<void>;
  /** Starts it again on the same data and port. */
  start(): Promise<void>;
}

const START_MS = 60_000;

export async function startSluice(t: TestContext): Promise<SluiceProcess> {
  const data = await mkdtemp(join(tmpdir(), "sluice-data-"));
  let child = await serve(data, 0);
  t.after(async () => {
    await end(child.process, "SIGTERM");
    await rm(data, { recursive: true, force: true, maxRetries: 5 });
  });
  const { url } = child;
  return {
    url,
    key: (await readFile(join(data, "first-key"), "utf8")).trim(),
    kill: () => end(child.process, "SIGKILL"),
    async start() {
      child = await serve(data, Number(new URL(url).port));
    },
  };
}

async function serve(data: string, port: number): Promise<{ url: string; process: ChildProcess }> {
  const main = fileURLToPath(new URL("../../../cli/src/main.ts", import.meta.url));
  const flags = [
    "--disable-warning=ExperimentalWarning",
    main,
    "serve",
    "--port",
    String(port),
    "--data",
    data,
  ];
  const child = spawn(process.execPath, flags, {
    stdio: ["ignore", "pipe", "pipe"],
    env: { ...process.env, SLUICE_THREADS: "1", SLUICE_LEASE: "2s" },
  });
  let output = "";
  const url = await new Promise<string>((resolve, reject) => {
    const fail = (why: string) => reject(new Error(`sluice serve ${why}:\n${output}`));
    const timer = setTimeout(() => fail(`said nothing within ${START_MS} ms`), START_MS);
    const read = (chunk: Buffer) => {
      output += chunk.toString();
      const match = /listening on (http:\S+)/.exec(output);
      if (match === null) return;
      clearTimeout(timer);
      resolve(match[1] ?? "");
    };
    child.stdout.on("data", read);
    child.stderr.on("data", read);
    child.on("exit", (code) => {
      clearTimeout(timer);
      fail(`ended with ${code}`);
    });
  });
  return { url, process: child };
}

function end(child: ChildProcess, signal: NodeJS.Signals): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return Promise.resolve();
  return new Promise((resolve) => {
    child.once("exit", () => resolve());
    child.kill(signal);
  });
}
