import { availableParallelism, cpus, loadavg, totalmem } from "node:os";
import type { MachineReport } from "../live/machine.ts";

/** Processor and memory of this machine, as this process may use them. */
export function createResourceReader(): () => Pick<MachineReport, "cpu" | "memory"> {
  let before = readTimes();
  let usage: number | null = null;
  return () => {
    const times = readTimes();
    const all = times.all - before.all;
    // Two looks at once would divide by next to nothing.
    if (all >= MIN_TICKS_MS) {
      usage = Math.min(Math.max(1 - (times.idle - before.idle) / all, 0), 1);
      before = times;
    }
    const limit = process.constrainedMemory();
    const total = totalmem();
    return {
      cpu: { cores: availableParallelism(), usage, loadAverage: loadavg()[0] ?? 0 },
      memory: {
        totalBytes: limit > 0 && limit < total ? limit : total,
        availableBytes: process.availableMemory(),
        serverBytes: process.memoryUsage.rss(),
      },
    };
  };
}

/** Of all cores together. */
const MIN_TICKS_MS = 500;

interface Times {
  readonly idle: number;
  readonly all: number;
}

function readTimes(): Times {
  let idle = 0;
  let all = 0;
  for (const { times } of cpus()) {
    idle += times.idle;
    all += times.user + times.nice + times.sys + times.idle + times.irq;
  }
  return { idle, all };
}
