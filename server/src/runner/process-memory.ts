import { readFile, writeFile } from "node:fs/promises";

/**
 * Resident memory of a process and of what it has started, in bytes: a model may live in a program of its own.
 * Undefined when the process is gone or the system does not say (not Linux).
 */
export async function readRssBytes(pid: number): Promise<number | undefined> {
  const status = await find(`/proc/${pid}/status`);
  const match = /^VmRSS:\s+(\d+) kB$/m.exec(status);
  if (match === null) return undefined;
  const children = (await find(`/proc/${pid}/task/${pid}/children`)).split(" ").filter(Boolean);
  const sizes = await Promise.all(children.map((child) => readRssBytes(Number(child))));
  return Number(match[1]) * 1024 + sizes.reduce<number>((sum, size) => sum + (size ?? 0), 0);
}

async function find(path: string): Promise<string> {
  return readFile(path, "utf8").catch(() => "");
}

/** When the machine runs out of memory, the system ends this process before the server. Best effort. */
export async function preferAsOomVictim(pid: number): Promise<void> {
  try {
    await writeFile(`/proc/${pid}/oom_score_adj`, "800");
  } catch {
    // Not Linux, or already gone.
  }
}

export function formatMiB(bytes: number): string {
  return `${Math.round(bytes / 2 ** 20)} MiB`;
}
