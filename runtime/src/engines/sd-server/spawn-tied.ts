import { type ChildProcess, spawn } from "node:child_process";

/**
 * Starts a program that ends when this process does, however that happens: a `kill -9` runs no code here, and the
 * program would keep its memory and its port. Its standard output and error are pipes, its input is empty.
 *
 * A shell takes the program's place after it has left a watcher behind, which waits at a pipe that only this process
 * holds: the end of the pipe is the end of this process. A line in it sends the watcher
 * home.
 * On Windows the system itself ends the children of a process.
 */
export function spawnTied(path: string, args: readonly string[]): ChildProcess {
  if (process.platform === "win32") return spawn(path, args, { stdio: ["ignore", "pipe", "pipe"] });
  const child = spawn("/bin/sh", ["-c", WATCHED, "sh", path, ...args], {
    stdio: ["ignore", "pipe", "pipe", "pipe"],
  });
  const pipe = child.stdio[3];
  // Writing to a watcher that is already gone is no error worth hearing.
  pipe?.on("error", () => {});
  // Once the program has ended its watcher must not end whoever gets its id next.
  child.once("exit", () => {
    if (pipe && "end" in pipe) pipe.end("\n");
  });
  return child;
}

// `$$` is the shell's own id in the watcher too, and stays the program's after exec.
const WATCHED = '(read -r _ <&3 || kill -9 $$) >/dev/null 2>&1 & exec "$@" 3<&-';
