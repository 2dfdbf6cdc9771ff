import { mkdir } from "node:fs/promises";
import { availableParallelism } from "node:os";
import type { CancelReason } from "@sluice/runtime/worker/messages";
import type { Catalog } from "../catalog/catalog.ts";
import type { Clock } from "../clock.ts";
import type { FileStore } from "../files/file-store.ts";
import type { RequestId } from "../ids.ts";
import type { DirectRun } from "../live/direct-run.ts";
import type { Live } from "../live/live.ts";
import type { Machine } from "../live/machine.ts";
import type { Logger } from "../logger.ts";
import type { Metrics } from "../metrics/metrics.ts";
import type { RequestQueue, RequestResult } from "../queue/request-queue.ts";
import type { Settings } from "../settings.ts";
import type { ReadInputFile } from "./execute-request.ts";
import { createFlatResult } from "./failure-results.ts";
import { Lane, type LaneParts } from "./lane.ts";
import { createMachine } from "./machine.ts";
import { type DirectTicket, refuseDirect } from "./run-direct.ts";
import { createWorkerEnvironment } from "./worker-environment.ts";
import { type WorkerInfo, WorkerPool } from "./worker-pool.ts";

/** The side that executes: it leases requests, runs model code in workers, stores what they make. */
export interface Runner extends AsyncDisposable {
  readonly directRun: DirectRun;
  /** Leases nothing more; resolves when nothing runs. After `drainMs` the rest is stopped and queued again. */
  drain(): Promise<void>;
  workers(): readonly WorkerInfo[];
  /** What the gateway may show and do. */
  readonly machine: Machine;
  /**
   * The catalog has changed: model files that left it finish what they run and are released, new ones begin, and
   * requests in line go to whoever answers their endpoint now.
   */
  update(): void;
}

export interface RunnerOptions {
  readonly queue: RequestQueue;
  readonly live: Live;
  readonly catalog: Catalog;
  readonly files: FileStore;
  readonly readInputFile: ReadInputFile;
  readonly metrics: Metrics;
  readonly clock: Clock;
  readonly logger: Logger;
  readonly settings: Pick<Settings, "leaseMs" | "threads" | "fileRetentionMs" | "drainMs" | "modelSettings">;
  /** Names this runner in leases; another one at every start. */
  readonly runnerId: string;
  /** Folder for what models download; made when it is not there. */
  readonly cacheDir: string;
  /** The server's environment: workers see it without the server's own settings and credentials. */
  readonly environment: Readonly<Record<string, string | undefined>>;
  /** Shortest time that a cancelled run gets to stop before its worker is ended, in milliseconds; default 2,000. */
  readonly graceMs?: number;
}

/** Starts to execute the requests of every endpoint in the catalog. */
export async function startRunner(options: RunnerOptions): Promise<Runner> {
  const { queue, live, catalog, files, readInputFile, metrics, clock, logger, settings, runnerId } = options;
  await mkdir(options.cacheDir, { recursive: true });
  const running = new Map<RequestId, (reason: CancelReason) => void>();
  const writes = new Set<Promise<void>>();
  const listeners = new Set<() => void>();
  const changed = (): void => {
    for (const listener of listeners) listener();
  };
  const pool = new WorkerPool({
    setup: {
      threads: settings.threads === 0 ? availableParallelism() : settings.threads,
      cacheDir: options.cacheDir,
      settings: settings.modelSettings,
    },
    environment: createWorkerEnvironment(options.environment),
    clock,
    logger,
    graceMs: options.graceMs ?? 2_000,
    readAvailableBytes: () => process.availableMemory(),
    minAvailableBytes: MIN_AVAILABLE_BYTES,
    onChange: (counts) => {
      metrics.setWorkers(counts);
      changed();
    },
  });
  const parts: LaneParts = {
    queue,
    live,
    catalog,
    files,
    readInputFile,
    metrics,
    clock,
    logger,
    pool,
    running,
    runnerId,
    leaseMs: settings.leaseMs,
    fileRetentionMs: settings.fileRetentionMs,
    keepTrack(write) {
      writes.add(write);
      void write.finally(() => writes.delete(write));
    },
  };
  const lanes = new Map<string, Lane>();
  /** Lanes of model files that left the catalog, until they are through. */
  const leaving = new Set<Lane>();
  let isDraining = false;
  let isHeld = false;
  const openLanes = (): void => {
    for (const { modelFile } of catalog.list()) {
      if (lanes.has(modelFile)) continue;
      const lane = new Lane(modelFile, parts);
      if (isHeld) lane.hold();
      lanes.set(modelFile, lane);
    }
  };
  openLanes();
  const hold = (next: boolean): void => {
    isHeld = next;
    for (const lane of [...lanes.values(), ...leaving])
      if (next) lane.hold();
      else lane.letGo();
  };
  const refuse = (): RequestResult => createFlatResult("runner_scheduling_failure");
  const lineUp = (ticket: DirectTicket): void => {
    const lane = lanes.get(catalog.find(ticket.request.endpointId)?.modelFile ?? "");
    if (lane === undefined) refuseDirect(ticket, refuse(), parts);
    else lane.add(ticket);
  };
  const unlisten = live.onCancel((requestId) => running.get(requestId)?.("cancelled"));
  const drain = async (graceMs: number): Promise<void> => {
    isDraining = true;
    await Promise.all([...lanes.values(), ...leaving].map((lane) => lane.drain(graceMs)));
    await Promise.all(writes);
  };

  return {
    directRun: {
      run: (request, { signal, onStart }) =>
        new Promise<RequestResult>((answer) => {
          lineUp({
            request,
            signal,
            answer,
            onStart: onStart === undefined ? undefined : () => onStart(request.id),
          });
        }),
    },
    update() {
      if (isDraining) return;
      openLanes();
      const offered = new Set(catalog.list().map(({ modelFile }) => modelFile));
      pool.keepWarm(offered);
      for (const [path, lane] of lanes) {
        if (offered.has(path)) {
          lane.refresh();
          continue;
        }
        lanes.delete(path);
        leaving.add(lane);
        const { waiting, isThrough } = lane.leave();
        for (const ticket of waiting) lineUp(ticket);
        void isThrough.finally(() => leaving.delete(lane));
      }
      changed();
    },
    drain: () => drain(settings.drainMs),
    workers: () => pool.list(),
    machine: createMachine({ pool, catalog, hold, listeners }),
    async [Symbol.asyncDispose]() {
      await drain(0);
      unlisten();
      await pool[Symbol.asyncDispose]();
    },
  };
}

/** Below this, idle workers are released: 256 MiB leave the system room to start another. */
const MIN_AVAILABLE_BYTES = 256 * 2 ** 20;
