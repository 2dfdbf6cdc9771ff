import type { RequestId } from "../ids.ts";

/**
 * The machine that runs models, as an operator sees it: what it has, which workers it runs, and whether it takes work.
 * The gateway gets this as an argument, so that it never imports the runner.
 */
export interface Machine {
  /** What is now. */
  describe(): Promise<MachineReport>;
  /** What runs is finished, nothing new is begun, until {@link resume} or the next start of the server. */
  drain(): void;
  resume(): void;
  /** Calls the listener when a worker starts, is taken, is free or ends, and at drain and resume. */
  onChange(listener: () => void): () => void;
}

export interface MachineReport {
  readonly hostname: string;
  readonly isDrained: boolean;
  readonly cpu: {
    readonly cores: number;
    /** 0 to 1 of all cores, since the look before; null at the first. */
    readonly usage: number | null;
    /** Processes that run or wait, over the last minute; 0 where the system does not count them. */
    readonly loadAverage: number;
  };
  readonly memory: {
    /** What this server and its workers may use: the machine's, or the container's limit. */
    readonly totalBytes: number;
    readonly availableBytes: number;
    /** Resident memory of the server's own process. */
    readonly serverBytes: number;
  };
  /** Empty where there is none, or none that can be asked. */
  readonly gpus: readonly GpuReport[];
  readonly workers: readonly WorkerReport[];
}

export interface GpuReport {
  readonly index: number;
  readonly name: string;
  /** 0 to 1; null when the driver does not say. */
  readonly usage: number | null;
  readonly memoryUsedBytes: number | null;
  readonly memoryTotalBytes: number | null;
  readonly temperatureCelsius: number | null;
}

export interface WorkerReport {
  readonly pid: number | null;
  readonly modelFile: string;
  /** Endpoints that this worker's model file answers. */
  readonly endpointIds: readonly string[];
  readonly state: "starting" | "idle" | "busy";
  /** `cpu`, or `gpu:INDEX` when its process holds memory of that GPU. */
  readonly device: string;
  /** Epoch milliseconds. */
  readonly startedAt: number;
  /** How long the model took to load; null while it loads. */
  readonly loadMs: number | null;
  /** Requests that it has executed. */
  readonly runs: number;
  /** Resident memory; null when unknown. */
  readonly rssBytes: number | null;
  /** What it executes now. */
  readonly request: { readonly id: RequestId; readonly endpointId: string; readonly since: number } | null;
}
