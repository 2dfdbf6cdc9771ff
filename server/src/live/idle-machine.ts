import type { Machine } from "./machine.ts";

/** A machine without workers: for gateways whose models answer elsewhere, as tests and benchmarks have. */
export function createIdleMachine(): Machine {
  const listeners = new Set<() => void>();
  let isDrained = false;
  const change = (next: boolean): void => {
    isDrained = next;
    for (const listener of listeners) listener();
  };
  return {
    describe: async () => ({
      hostname: "idle",
      isDrained,
      cpu: { cores: 1, usage: null, loadAverage: 0 },
      memory: { totalBytes: 1, availableBytes: 1, serverBytes: 1 },
      gpus: [],
      workers: [],
    }),
    drain: () => change(true),
    resume: () => change(false),
    onChange(listener) {
      listeners.add(listener);
      return () => listeners.delete(listener);
    },
  };
}
