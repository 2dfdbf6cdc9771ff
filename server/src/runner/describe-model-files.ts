import type { ModelFileManifest } from "@sluice/runtime/model";
import { systemClock } from "../clock.ts";
import { WorkerProcess } from "./worker-process.ts";

/**
 * What model files hold, told by one child process that loads them one after the other: the server never imports
 * model code. Files that do not trust each other are described by calls of their own.
 *
 * @param files absolute paths
 * @returns the manifests in the order of the files
 * @throws WorkerStartError whose message names the file and what is wrong with it
 */
export async function describeModelFiles(
  files: readonly string[],
  options: {
    /** Made by `createWorkerEnvironment`. */
    readonly environment: Readonly<Record<string, string>>;
    readonly signal?: AbortSignal;
    /** For each file; default 60,000. */
    readonly timeoutMs?: number;
  },
): Promise<ModelFileManifest[]> {
  if (files.length === 0) return [];
  const { environment, signal, timeoutMs = 60_000 } = options;
  await using worker = new WorkerProcess({ environment, clock: systemClock, memoryBytes: null, graceMs: 0 });
  const manifests: ModelFileManifest[] = [];
  for (const file of files)
    manifests.push(await worker.describe(file, { timeoutMs, ...(signal === undefined ? {} : { signal }) }));
  return manifests;
}
