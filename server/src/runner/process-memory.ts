import { readFile, writeFile } from "node:fs/promises";

/** Resident memory of a process in bytes; undefined when it is gone or the system does not say (not Linux). */
export async function readRssBytes(pid: number): Promise<number | undefined> {
  try {
    const status = await readFile(`/proc/${pid}/status`, "utf8");
    const match = /^VmRSS:\s+(\d+) kB$/m.exec(status);
    return match === null ? undefined : Number(match[1]) * 1024;
  } catch {
    return undefined;
  }
}

/** When the machine runs out of memory, the system ends this process before the server. Best effort. */
export async function preferAsOomVictim(pid: number): Promise<void> {
  try {
    await writeFile(`/proc/${pid}/oom_score_adj`, "800");
  } catch {
    // Not Linux, or already gone.
  }
}
