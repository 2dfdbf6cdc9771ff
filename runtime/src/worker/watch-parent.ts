import { Worker } from "node:worker_threads";

/**
 * Ends this process and those it started soon after its parent is gone, even while the main thread is inside a
 * native call or an endless loop: a thread of its own looks at the parent's id. A main thread that is free notices
 * the closed channel first and has the grace time to tear down.
 *
 * @param parentId id of the parent, read at once after the start
 */
export function watchParent(parentId: number): void {
  const watcher = new Worker(WATCHER, {
    eval: true,
    workerData: { parentId, everyMs: 500, graceMs: 2_500 },
    env: {},
    execArgv: [],
    resourceLimits: { maxOldGenerationSizeMb: 8, maxYoungGenerationSizeMb: 1, codeRangeSizeMb: 4 },
  });
  watcher.unref();
}

// As text, so that it needs no file of its own once compiled. When a parent dies the system gives its children
// another one; where it does not (Windows), asking for the old one fails.
const WATCHER = `
const { parentId, everyMs, graceMs } = require("node:worker_threads").workerData;
function isGone() {
  if (process.ppid !== parentId) return true;
  try { process.kill(parentId, 0); return false; } catch (error) { return error.code === "ESRCH"; }
}
let waitedMs = 0;
setInterval(() => {
  if (!isGone()) return;
  waitedMs += everyMs;
  if (waitedMs < graceMs) return;
  try { process.kill(-process.pid, "SIGKILL"); } catch {}
  process.kill(process.pid, "SIGKILL");
}, everyMs);
`;
