import type { GpuReport, MachineReport, WorkerReport } from "../../live/machine.ts";
import type { SurfaceApp, SurfaceTools } from "../caller.ts";
import type { GatewayContext } from "../context.ts";
import type { Notices } from "../events/notices.ts";
import { readLimit } from "./read-query.ts";

/**
 * `/v1/sluice/workers`: the machine that runs models, with its processors, memory and workers; `POST …/drain` lets it
 * finish what runs and begin nothing new, `…/resume` lets it go on. `/v1/sluice/leases`: who holds which request. They
 * concern everybody's requests: scope ADMIN.
 */
export function addWorkerRoutes(
  app: SurfaceApp,
  tools: SurfaceTools,
  context: GatewayContext,
  notices: Notices,
): void {
  const { machine, queue } = context;
  const { respond } = tools;
  const requireAdmin = tools.requireCaller({ scope: "ADMIN" });
  machine.onChange(() => notices.publish({ type: "machine" }, null));

  const answer = async (): Promise<Response> =>
    respond.json(200, { machines: [formatMachine(await machine.describe())] });

  app.get("/sluice/workers", requireAdmin, answer);
  app.post("/sluice/workers/drain", requireAdmin, () => {
    machine.drain();
    return answer();
  });
  app.post("/sluice/workers/resume", requireAdmin, () => {
    machine.resume();
    return answer();
  });

  app.get("/sluice/leases", requireAdmin, async (c) => {
    const limit = readLimit(c.env.url.searchParams, { fallback: 100, max: 1_000 });
    const leases = await queue.listLeases(limit);
    return respond.json(200, {
      leases: leases.map((lease) => ({
        request_id: lease.requestId,
        endpoint_id: lease.endpointId,
        runner_id: lease.runnerId,
        attempt: lease.attempt,
        started_at: formatTime(lease.startedAt),
        expires_at: formatTime(lease.expiresAt),
      })),
    });
  });
}

function formatMachine(report: MachineReport): Readonly<Record<string, unknown>> {
  const { hostname, isDrained, cpu, memory, gpus, workers } = report;
  return {
    hostname,
    is_drained: isDrained,
    cpu: { cores: cpu.cores, usage: cpu.usage, load_average: cpu.loadAverage },
    memory: {
      total_bytes: memory.totalBytes,
      available_bytes: memory.availableBytes,
      server_bytes: memory.serverBytes,
    },
    gpus: gpus.map(formatGpu),
    workers: workers.map(formatWorker),
  };
}

function formatGpu(gpu: GpuReport): Readonly<Record<string, unknown>> {
  return {
    index: gpu.index,
    name: gpu.name,
    usage: gpu.usage,
    memory_used_bytes: gpu.memoryUsedBytes,
    memory_total_bytes: gpu.memoryTotalBytes,
    temperature_celsius: gpu.temperatureCelsius,
  };
}

function formatWorker(worker: WorkerReport): Readonly<Record<string, unknown>> {
  const { request } = worker;
  return {
    pid: worker.pid,
    model_file: worker.modelFile,
    endpoint_ids: worker.endpointIds,
    state: worker.state,
    device: worker.device,
    started_at: formatTime(worker.startedAt),
    load_ms: worker.loadMs === null ? null : Math.round(worker.loadMs),
    runs: worker.runs,
    rss_bytes: worker.rssBytes,
    request:
      request === null
        ? null
        : { request_id: request.id, endpoint_id: request.endpointId, since: formatTime(request.since) },
  };
}

function formatTime(at: number | null): string | null {
  return at === null ? null : new Date(at).toISOString();
}
