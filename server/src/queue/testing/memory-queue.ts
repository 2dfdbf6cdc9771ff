import type { RequestId } from "../../ids.ts";
import type { NewRequest, RequestQueue, RequestRecord, RequestResult, StoredLog } from "../request-queue.ts";

export function createMemoryQueue(): RequestQueue {
  const rows = new Map<
    string,
    { record: RequestRecord; request: NewRequest; result?: RequestResult; token?: string; logs: StoredLog[] }
  >();
  const toRecord = (r: NewRequest): RequestRecord => ({
    id: r.id,
    accountId: r.accountId,
    keyId: r.keyId,
    endpointId: r.endpointId,
    app: r.app,
    surface: r.surface,
    state: "queued",
    priority: r.priority,
    createdAt: r.createdAt,
    startedAt: null,
    endedAt: null,
    attempts: 0,
    isCancelRequested: false,
    timeoutMs: r.timeoutMs,
    startDeadlineAt: r.startDeadlineAt ?? null,
    hint: r.hint ?? null,
    webhookUrl: r.webhookUrl ?? null,
    keepsPayloads: r.keepsPayloads,
    fileLifecycle: r.fileLifecycle ?? null,
    tags: r.tags ?? {},
    headers: r.headers ?? {},
    statusCode: null,
    error: null,
    errorType: null,
    billableUnits: null,
    inferenceSeconds: null,
  });
  const end = (id: string, result: RequestResult): void => {
    const row = rows.get(id)!;
    row.result = result;
    row.record = {
      ...row.record,
      state: result.state,
      statusCode: result.statusCode,
      error: result.error ?? null,
      errorType: result.errorType ?? null,
      inferenceSeconds: result.inferenceSeconds,
      billableUnits: result.billableUnits,
      endedAt: Date.now(),
    };
  };
  const queue = {
    async enqueue(request: NewRequest) {
      if (request.idempotencyKey !== undefined) {
        for (const row of rows.values())
          if (
            row.request.idempotencyKey === request.idempotencyKey &&
            row.request.accountId === request.accountId
          )
            return Buffer.compare(Buffer.from(row.request.input ?? []), Buffer.from(request.input ?? [])) ===
              0
              ? ({ kind: "replayed", request: row.record } as const)
              : ({ kind: "conflict" } as const);
      }
      const waiting = [...rows.values()].filter(
        (row) => row.record.state === "queued" && row.record.endpointId === request.endpointId,
      ).length;
      if (request.maxQueueLength !== undefined && waiting >= request.maxQueueLength)
        return { kind: "queue_full", length: waiting } as const;
      rows.set(request.id, { record: toRecord(request), request, logs: [] });
      return { kind: "enqueued", position: waiting } as const;
    },
    async record(request: NewRequest, result: RequestResult) {
      rows.set(request.id, { record: toRecord(request), request, logs: [] });
      end(request.id, result);
    },
    async lease(offer: { endpointIds: readonly string[] }) {
      for (const row of rows.values())
        if (row.record.state === "queued" && offer.endpointIds.includes(row.record.endpointId)) {
          row.record = { ...row.record, state: "running", attempts: 1, startedAt: Date.now() };
          return {
            requestId: row.record.id,
            token: "t",
            request: row.record,
            input: row.request.input,
            attempt: 1,
            expiresAt: 0,
          };
        }
      return undefined;
    },
    async complete(lease: { requestId: string }, result: RequestResult) {
      end(lease.requestId, result);
      return "completed" as const;
    },
    async appendEvents(
      lease: { requestId: string },
      events: readonly { kind: string; at: number; data: Record<string, unknown> }[],
    ) {
      const row = rows.get(lease.requestId)!;
      for (const event of events)
        if (event.kind === "log")
          row.logs.push({
            sequence: row.logs.length + 1,
            message: String(event.data["message"]),
            level: event.data["level"] as "INFO",
            source: "USER",
            timestamp: new Date(event.at).toISOString(),
          });
    },
    async cancel(id: RequestId) {
      const row = rows.get(id);
      if (row === undefined) return "not_found" as const;
      if (row.record.state === "running") return "requested" as const;
      if (row.record.state !== "queued") return "already_completed" as const;
      end(id, {
        state: "cancelled",
        statusCode: 499,
        headers: { "content-type": "application/json", "x-fal-error-type": "client_cancelled" },
        body: Buffer.from('{"detail":"Request cancelled by the client.","error_type":"client_cancelled"}'),
        error: "Request cancelled by the client.",
        errorType: "client_cancelled",
        billableUnits: 0,
        inferenceSeconds: null,
        fileIds: [],
      });
      return "cancelled" as const;
    },
    async find(id: RequestId) {
      return rows.get(id)?.record;
    },
    async getPosition(id: RequestId) {
      let n = 0;
      for (const row of rows.values()) {
        if (row.record.id === id) return n;
        if (row.record.state === "queued") n++;
      }
      return n;
    },
    async listLogs(id: RequestId, after = 0) {
      return rows.get(id)!.logs.filter((l) => l.sequence > after);
    },
    async readResult(id: RequestId) {
      return rows.get(id)?.result;
    },
  };
  return queue as unknown as RequestQueue;
}
