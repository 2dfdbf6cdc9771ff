import { Counter, collectDefaultMetrics, Gauge, Histogram, Registry } from "prom-client";
import type { BlobStore } from "../files/blob-store.ts";
import type { RequestQueue } from "../queue/request-queue.ts";

/** What this server counts, for Prometheus. One registry per server: two in one process do not see each other. */
export interface Metrics {
  /** An attempt ended: `succeeded`, `failed`, `cancelled`, or the kind of failure that queued it again. */
  observeAttempt(attempt: {
    readonly endpointId: string;
    readonly outcome: string;
    readonly runMs: number;
  }): void;
  /** A request reached its end. `waitMs`: from submit to the first start; undefined when it never started. */
  observeRequest(request: {
    readonly endpointId: string;
    readonly surface: string;
    readonly statusCode: number;
    readonly waitMs: number | undefined;
    readonly totalMs: number;
  }): void;
  /** A worker loaded its model. */
  observeLoad(load: { readonly modelFile: string; readonly loadMs: number }): void;
  countFile(file: { readonly kind: "upload" | "output"; readonly bytes: number }): void;
  setWorkers(counts: { readonly running: number; readonly busy: number }): void;
  /** Text exposition format 0.0.4. Queue depth and oldest wait are read when asked for. */
  render(): Promise<{ readonly contentType: string; readonly body: string }>;
}

/** Counts nothing; for tests. */
export const silentMetrics: Metrics = {
  observeAttempt() {},
  observeRequest() {},
  observeLoad() {},
  countFile() {},
  setWorkers() {},
  render: () => Promise.resolve({ contentType: "text/plain", body: "" }),
};

/** Seconds; from a no-op model to an hour on a CPU. */
const BUCKETS = [0.005, 0.025, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 120, 300, 900, 3600];

export function createMetrics(parts: {
  readonly queue: Pick<RequestQueue, "getStats">;
  readonly blobs: Pick<BlobStore, "getFreeBytes">;
  readonly clock: { now(): number };
  /** Endpoints that show with zeros while nothing waits. */
  readonly listEndpointIds: () => readonly string[];
  readonly version: string;
}): Metrics {
  const registry = new Registry();
  const registers = [registry];
  collectDefaultMetrics({ register: registry });
  new Gauge({ name: "sluice_info", help: "Version of the server.", labelNames: ["version"], registers }).set(
    { version: parts.version },
    1,
  );

  const depth = new Gauge({
    name: "sluice_queue_depth",
    help: "Requests waiting.",
    labelNames: ["endpoint"],
    registers,
  });
  const running = new Gauge({
    name: "sluice_queue_running",
    help: "Requests leased.",
    labelNames: ["endpoint"],
    registers,
  });
  const oldest = new Gauge({
    name: "sluice_queue_oldest_wait_seconds",
    help: "Age of the oldest waiting request.",
    labelNames: ["endpoint"],
    registers,
  });
  const paused = new Gauge({
    name: "sluice_queue_paused",
    help: "1 while the endpoint is paused.",
    labelNames: ["endpoint"],
    registers,
  });
  const free = new Gauge({
    name: "sluice_storage_free_bytes",
    help: "Free space of the file store.",
    registers,
  });
  const workers = new Gauge({
    name: "sluice_workers",
    help: "Worker processes.",
    labelNames: ["state"],
    registers,
  });

  const attempts = new Counter({
    name: "sluice_attempts_total",
    help: "Attempts ended.",
    labelNames: ["endpoint", "outcome"],
    registers,
  });
  const runTime = new Histogram({
    name: "sluice_attempt_duration_seconds",
    help: "From lease to end of an attempt.",
    labelNames: ["endpoint"],
    buckets: BUCKETS,
    registers,
  });
  const requests = new Counter({
    name: "sluice_requests_total",
    help: "Requests ended.",
    labelNames: ["endpoint", "surface", "status"],
    registers,
  });
  const waitTime = new Histogram({
    name: "sluice_request_wait_seconds",
    help: "From submit to the first start.",
    labelNames: ["endpoint"],
    buckets: BUCKETS,
    registers,
  });
  const totalTime = new Histogram({
    name: "sluice_request_duration_seconds",
    help: "From submit to end.",
    labelNames: ["endpoint"],
    buckets: BUCKETS,
    registers,
  });
  const loadTime = new Histogram({
    name: "sluice_model_load_seconds",
    help: "From start of a worker to ready.",
    labelNames: ["model_file"],
    buckets: BUCKETS,
    registers,
  });
  const files = new Counter({
    name: "sluice_files_total",
    help: "Files stored.",
    labelNames: ["kind"],
    registers,
  });
  const fileBytes = new Counter({
    name: "sluice_file_bytes_total",
    help: "Bytes of files stored.",
    labelNames: ["kind"],
    registers,
  });

  return {
    observeAttempt({ endpointId, outcome, runMs }) {
      attempts.inc({ endpoint: endpointId, outcome });
      runTime.observe({ endpoint: endpointId }, runMs / 1000);
    },
    observeRequest({ endpointId, surface, statusCode, waitMs, totalMs }) {
      requests.inc({ endpoint: endpointId, surface, status: String(statusCode) });
      if (waitMs !== undefined) waitTime.observe({ endpoint: endpointId }, waitMs / 1000);
      totalTime.observe({ endpoint: endpointId }, totalMs / 1000);
    },
    observeLoad({ modelFile, loadMs }) {
      loadTime.observe({ model_file: modelFile }, loadMs / 1000);
    },
    countFile({ kind, bytes }) {
      files.inc({ kind });
      fileBytes.inc({ kind }, bytes);
    },
    setWorkers(counts) {
      workers.set({ state: "running" }, counts.running);
      workers.set({ state: "busy" }, counts.busy);
    },
    async render() {
      const now = parts.clock.now();
      for (const gauge of [depth, running, oldest, paused]) gauge.reset();
      for (const endpoint of parts.listEndpointIds())
        for (const gauge of [depth, running, oldest, paused]) gauge.set({ endpoint }, 0);
      for (const stats of await parts.queue.getStats()) {
        const endpoint = stats.endpointId;
        depth.set({ endpoint }, stats.queued);
        running.set({ endpoint }, stats.running);
        oldest.set(
          { endpoint },
          stats.oldestQueuedAt === null ? 0 : Math.max(0, now - stats.oldestQueuedAt) / 1000,
        );
        paused.set({ endpoint }, stats.isPaused ? 1 : 0);
      }
      const freeBytes = await parts.blobs.getFreeBytes();
      if (freeBytes !== undefined) free.set(freeBytes);
      return { contentType: registry.contentType, body: await registry.metrics() };
    },
  };
}
