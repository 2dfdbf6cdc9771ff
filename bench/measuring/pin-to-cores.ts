import { spawnSync } from "node:child_process";
import { availableParallelism } from "node:os";

/**
 * Gives a process (with all its threads) some cores of the machine. False when there is only one core or no `taskset`.
 * @param cores as `taskset -c` reads them: `0`, `1-3`
 */
export function pinToCores(pid: number, cores: string): boolean {
  if (availableParallelism() < 2) return false;
  const { status } = spawnSync("taskset", ["--all-tasks", "--cpu-list", "--pid", cores, String(pid)]);
  return status === 0;
}
