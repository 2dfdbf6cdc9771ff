import { spawn, spawnSync } from "node:child_process";
import { join } from "node:path";
import { createInterface } from "node:readline";

export interface RunningRedis extends AsyncDisposable {
  /** Path of its Unix socket. */
  readonly socket: string;
  readonly pid: number;
}

/** Its version line; undefined when it is not installed (Debian: `redis-server`). */
export function findRedis(): string | undefined {
  const { status, stdout } = spawnSync("redis-server", ["--version"], { encoding: "utf8" });
  return status === 0 ? stdout.trim() : undefined;
}

/** Redis as durable as the servers it is compared with: every write is synced before it is answered. */
export async function startRedis(folder: string): Promise<RunningRedis> {
  const socket = join(folder, "redis.sock");
  const child = spawn(
    "redis-server",
    [
      ...["--port", "0", "--unixsocket", socket, "--dir", folder],
      ...["--appendonly", "yes", "--appendfsync", "always", "--save", ""],
    ],
    { stdio: ["ignore", "pipe", "inherit"] },
  );
  const exited = new Promise<void>((resolve) => child.once("exit", () => resolve()));
  await new Promise<void>((resolve, reject) => {
    const timer = setTimeout(() => reject(new Error("Redis did not start within 10 s.")), 10_000);
    child.once("error", reject);
    child.once("exit", (code) => reject(new Error(`Redis ended with exit code ${code}.`)));
    createInterface(child.stdout).on("line", (line) => {
      if (!line.includes("ready to accept connections") && !line.includes("Ready to accept connections"))
        return;
      clearTimeout(timer);
      resolve();
    });
  });
  const { pid } = child;
  if (pid === undefined) throw new Error("Redis has no process id.");
  return {
    socket,
    pid,
    async [Symbol.asyncDispose]() {
      child.kill("SIGTERM");
      await exited;
    },
  };
}
