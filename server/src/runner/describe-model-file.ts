import type { ModelFileManifest } from "@sluice/runtime/model";
import { systemClock } from "../clock.ts";
import { WorkerProcess } from "./worker-process.ts";

/**
 * What a model file holds, told by a child process that loads it: the server never imports model code.
 *
 * @param file absolute path
 * @throws WorkerStartError whose message names the file and what is wrong with it
 */
export async function describeModelFile(
  file: string,
  options: {
    /** Made by `createWorkerEnvironment`. */
    readonly environment: Readonly<Record<string, string>>;
    readonly signal?: AbortSignal;
    /** Default 60,000. */
    readonly timeoutMs?: number;
  },
): Promise<ModelFileManifest> {
  const { environment, signal, timeoutMs = 60_000 } = options;
  await using worker = new WorkerProcess({ environment, clock: systemClock, memoryBytes: null, graceMs: 0 });
  return await worker.describe(file, { timeoutMs, ...(signal === undefined ? {} : { signal }) });
}
