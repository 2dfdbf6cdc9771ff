import type { RequestId } from "../../ids.ts";
import type { AttemptFailure, LeaseRef, NewRequest, RequestState } from "../request-queue.ts";

/** One request as the model knows it. */
export interface ModelRequest {
  readonly id: RequestId;
  readonly fairKey: string;
  readonly endpointId: string;
  readonly app: string;
  readonly priority: number;
  readonly rank: number;
  readonly retry: Record<AttemptFailure["kind"], number>;
  readonly failures: Record<AttemptFailure["kind"], number>;
  readonly startDeadlineAt: number;
  readonly concurrency: number;
  state: RequestState;
  availableAt: number;
  attempts: number;
  token: string | null;
  expiresAt: number;
  isCancelRequested: boolean;
  errorType: string | null;
}

const BACK_OFF_MS = { connection_error: 100, server_error: 500, timeout: 500, setup_failed: 2_000 };
const ERROR_TYPES = {
  connection_error: "runner_disconnected",
  server_error: "runner_server_error",
  timeout: "request_timeout",
  setup_failed: "runner_scheduling_failure",
};

/** The queue's rules over a plain list: slow, and simple enough to be believed. */
export interface QueueModel {
  readonly requests: readonly ModelRequest[];
  enqueue(request: NewRequest, concurrency: number, now: number): number;
  /** The id that must be leased next. */
  findNext(endpointIds: readonly string[], now: number): ModelRequest | undefined;
  lease(request: ModelRequest, token: string, leaseMs: number, now: number): void;
  heartbeat(lease: LeaseRef, leaseMs: number, now: number): string;
  complete(lease: LeaseRef): string;
  abandon(lease: LeaseRef, kind: AttemptFailure["kind"], now: number): string;
  release(lease: LeaseRef, now: number): string;
  cancel(id: RequestId): string;
  sweep(now: number): { readonly leases: RequestId[]; readonly starts: RequestId[] };
  setPaused(endpointId: string, isPaused: boolean): void;
  getPosition(request: ModelRequest): number;
}

export function createQueueModel(): QueueModel {
  const requests: ModelRequest[] = [];
  const paused = new Set<string>();
  const virtualTimes = new Map<string, number>();
  const lineOf = (request: { app: string; priority: number }): string => `${request.app} ${request.priority}`;
  const isBefore = (a: ModelRequest, b: ModelRequest): boolean =>
    a.priority !== b.priority ? a.priority < b.priority : a.rank !== b.rank ? a.rank < b.rank : a.id < b.id;
  const findHeld = (lease: LeaseRef): ModelRequest | undefined =>
    requests.find(
      (one) => one.id === lease.requestId && one.state === "running" && one.token === lease.token,
    );
  const end = (request: ModelRequest, state: RequestState, errorType: string | null): void => {
    request.state = state;
    request.errorType = errorType;
    request.token = null;
  };
  const fail = (request: ModelRequest, kind: AttemptFailure["kind"], now: number): string => {
    request.failures[kind]++;
    if (request.isCancelRequested) {
      end(request, "cancelled", "client_cancelled");
      return "failed";
    }
    if (request.failures[kind] >= request.retry[kind]) {
      end(request, "failed", ERROR_TYPES[kind]);
      return "failed";
    }
    request.state = "queued";
    request.token = null;
    request.availableAt = now + Math.min(30_000, BACK_OFF_MS[kind] * 2 ** (request.failures[kind] - 1));
    return "requeued";
  };

  return {
    requests,
    enqueue(request, concurrency, now) {
      const priority = request.priority === "low" ? 1 : 0;
      const fairKey = request.keyId ?? request.accountId;
      let rank = virtualTimes.get(`${request.app} ${priority}`) ?? 0;
      for (const other of requests) {
        if (
          other.state === "queued" &&
          lineOf(other) === `${request.app} ${priority}` &&
          other.fairKey === fairKey
        ) {
          rank = Math.max(rank, other.rank);
        }
      }
      const added: ModelRequest = {
        id: request.id,
        fairKey,
        endpointId: request.endpointId,
        app: request.app,
        priority,
        rank: rank + 1,
        retry: {
          connection_error: request.retry.connectionError,
          server_error: request.retry.serverError,
          timeout: request.retry.timeout,
          setup_failed: request.retry.serverError,
        },
        failures: { connection_error: 0, server_error: 0, timeout: 0, setup_failed: 0 },
        startDeadlineAt: request.startDeadlineAt ?? Number.POSITIVE_INFINITY,
        concurrency,
        state: "queued",
        availableAt: now,
        attempts: 0,
        token: null,
        expiresAt: 0,
        isCancelRequested: false,
        errorType: null,
      };
      requests.push(added);
      return this.getPosition(added);
    },
    findNext(endpointIds, now) {
      for (;;) {
        const heads = new Map<string, ModelRequest>();
        for (const one of requests) {
          if (one.state !== "queued" || one.availableAt > now) continue;
          if (!endpointIds.includes(one.endpointId) || paused.has(one.endpointId)) continue;
          const running = requests.filter(
            (other) => other.state === "running" && other.fairKey === one.fairKey,
          ).length;
          if (running >= one.concurrency) continue;
          const head = heads.get(one.app);
          if (head === undefined || isBefore(one, head)) heads.set(one.app, one);
        }
        let next: ModelRequest | undefined;
        for (const head of heads.values()) {
          if (
            next === undefined ||
            head.priority < next.priority ||
            (head.priority === next.priority && head.id < next.id)
          ) {
            next = head;
          }
        }
        if (next === undefined || next.startDeadlineAt > now) return next;
        end(next, "failed", "startup_timeout");
      }
    },
    lease(request, token, leaseMs, now) {
      request.state = "running";
      request.attempts++;
      request.token = token;
      request.expiresAt = now + leaseMs;
      const line = lineOf(request);
      virtualTimes.set(line, Math.max(virtualTimes.get(line) ?? 0, request.rank));
    },
    heartbeat(lease, leaseMs, now) {
      const held = findHeld(lease);
      if (held === undefined) return "lost";
      held.expiresAt = now + leaseMs;
      return held.isCancelRequested ? "cancel_requested" : "renewed";
    },
    complete(lease) {
      const held = findHeld(lease);
      if (held === undefined) return "lost";
      end(held, "succeeded", null);
      return "completed";
    },
    abandon(lease, kind, now) {
      const held = findHeld(lease);
      return held === undefined ? "lost" : fail(held, kind, now);
    },
    release(lease, now) {
      const held = findHeld(lease);
      if (held === undefined) return "lost";
      if (held.isCancelRequested) end(held, "cancelled", "client_cancelled");
      else {
        held.state = "queued";
        held.token = null;
        held.attempts--;
        held.availableAt = now;
      }
      return "requeued";
    },
    cancel(id) {
      const request = requests.find((one) => one.id === id);
      if (request === undefined) return "not_found";
      if (request.state === "queued") {
        end(request, "cancelled", "client_cancelled");
        return "cancelled";
      }
      if (request.state !== "running") return "already_completed";
      request.isCancelRequested = true;
      return "requested";
    },
    sweep(now) {
      const leases: RequestId[] = [];
      const starts: RequestId[] = [];
      for (const one of requests) {
        if (one.state !== "running" || one.expiresAt > now) continue;
        leases.push(one.id);
        fail(one, "connection_error", now);
      }
      for (const one of requests) {
        if (one.state !== "queued" || one.startDeadlineAt > now) continue;
        starts.push(one.id);
        end(one, "failed", "startup_timeout");
      }
      return { leases, starts };
    },
    setPaused(endpointId, isPaused) {
      if (isPaused) paused.add(endpointId);
      else paused.delete(endpointId);
    },
    getPosition(request) {
      if (request.state !== "queued") return 0;
      return requests.filter(
        (other) => other.state === "queued" && other.app === request.app && isBefore(other, request),
      ).length;
    },
  };
}
