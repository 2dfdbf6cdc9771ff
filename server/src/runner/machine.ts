import { hostname } from "node:os";
import type { Catalog } from "../catalog/catalog.ts";
import type { Machine, WorkerReport } from "../live/machine.ts";
import { createGpuReader } from "./gpus.ts";
import { createResourceReader } from "./resources.ts";
import type { WorkerInfo, WorkerPool } from "./worker-pool.ts";

/** This machine: the workers of its pool, and whether work is taken for them. */
export function createMachine(parts: {
  readonly pool: Pick<WorkerPool, "list">;
  readonly catalog: Catalog;
  /** Has every lane take no new work, or take it again. */
  readonly hold: (isHeld: boolean) => void;
  /** Told of changes: of the pool by whoever opened it. */
  readonly listeners: Set<() => void>;
}): Machine {
  const { pool, catalog, hold, listeners } = parts;
  const readGpus = createGpuReader();
  const readResources = createResourceReader();
  let isDrained = false;

  const change = (next: boolean): void => {
    if (next === isDrained) return;
    isDrained = next;
    hold(next);
    for (const listener of listeners) listener();
  };
  const report = (worker: WorkerInfo, gpu: number | undefined): readonly WorkerReport[] => {
    const { state, modelFile } = worker;
    if (state === "gone") return [];
    const entries = catalog.list().filter((entry) => entry.modelFile === modelFile);
    return [
      {
        ...worker,
        state,
        endpointIds: entries.map(({ endpointId }) => endpointId),
        device: gpu === undefined ? "cpu" : `gpu:${gpu}`,
      },
    ];
  };

  return {
    async describe() {
      const { gpus, processes } = await readGpus();
      return {
        hostname: hostname(),
        isDrained,
        ...readResources(),
        gpus,
        workers: pool
          .list()
          .flatMap((worker) => report(worker, worker.pid === null ? undefined : processes.get(worker.pid))),
      };
    },
    drain: () => change(true),
    resume: () => change(false),
    onChange(listener) {
      listeners.add(listener);
      return () => listeners.delete(listener);
    },
  };
}
