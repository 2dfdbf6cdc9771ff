import type { RequestLog } from "@sluice/protocol";
import type { AccountId, KeyId, RequestId } from "../ids.ts";

/**
 * The durable record of requests owed and who holds each.
 *
 * States: `queued` → `running` → `succeeded` | `failed` | `cancelled`. A running request whose lease runs out, or
 * whose attempt ends with a retryable failure, goes back to `queued`. A terminal state never changes.
 *
 * Every method that changes something resolves after its commit is synced. Methods that act on a lease are
 * fenced: when the lease is no longer the current one they change nothing and say so. Time is the database's
 * side: expiry is judged by the queue's own clock, never by the runner's.
 *
 * Order within an endpoint's app (owner/alias): priority (`normal` before `low`), then fair rank, then id.
 * fair rank = max(the line's virtual time, the key's last rank in line) + 1, where virtual time is the rank of the
 * request leased last. A request without a key takes its turn under its account.
 */
export interface RequestQueue {
  /** Makes the request durable. Idempotent under `idempotencyKey`. */
  enqueue(request: NewRequest): Promise<EnqueueOutcome>;
  /**
   * May the key make this direct run, by its limit of requests per day? From then on the run counts: in memory until
   * `record` does so durably. A crash loses the counts of the runs that it interrupts.
   */
  admit(run: Pick<NewRequest, "id" | "keyId">): Promise<AdmitOutcome>;
  /**
   * Records a request that was executed or refused without the queue (a direct run, an invalid input on the
   * queue surface): it is terminal from the start. Idempotent under `idempotencyKey`.
   */
  record(
    request: NewRequest,
    result: RequestResult,
    times: { readonly startedAt: number; readonly endedAt: number },
  ): Promise<RecordOutcome>;

  /** Takes the next request of one of these endpoints, or undefined when there is none that may start now. */
  lease(offer: LeaseOffer): Promise<Lease | undefined>;
  /** Renews the lease. */
  heartbeat(lease: LeaseRef): Promise<HeartbeatOutcome>;
  /** Ends the request: the last events, result, end and owed webhook delivery in one commit. */
  complete(
    lease: LeaseRef,
    result: RequestResult,
    events?: readonly NewEvent[],
  ): Promise<"completed" | "lost">;
  /**
   * The attempt failed for a reason that is not the model's answer. The request is queued again after a back-off,
   * or ends with the failure's error when its attempts of that kind are used up.
   */
  abandon(lease: LeaseRef, failure: AttemptFailure): Promise<"requeued" | "failed" | "lost">;
  /** Gives the lease back unused (shutdown): the request is queued again, the attempt does not count. */
  release(lease: LeaseRef): Promise<"requeued" | "lost">;
  /** Appends events to the request's history: log lines, timeline entries. Fenced; lost silently when superseded. */
  appendEvents(lease: LeaseRef, events: readonly NewEvent[]): Promise<void>;

  /** Queued: ends it at once. Running: marks it; the holder learns it from `heartbeat` and from `live`. */
  cancel(id: RequestId): Promise<CancelOutcome>;

  find(id: RequestId): Promise<RequestRecord | undefined>;
  /** As `find`, with only what a caller's status and result are made of: half the cost. */
  findOutline(id: RequestId): Promise<RequestOutline | undefined>;
  /** Requests that would be leased before this one if nothing more arrived; exact to 1,000, then an estimate. */
  getPosition(id: RequestId): Promise<number>;
  /** What keeps a request waiting; undefined for one that does not wait. */
  explainWait(id: RequestId): Promise<Wait | undefined>;
  /** Log lines with `sequence` greater than `after`, oldest first, at most `limit` (default 10,000). */
  listLogs(id: RequestId, after?: number, limit?: number): Promise<readonly StoredLog[]>;
  /** The whole history, oldest first. */
  listEvents(id: RequestId): Promise<readonly StoredEvent[]>;
  /** History, newest first. */
  listRequests(filter: RequestFilter): Promise<RequestPage>;
  /** Input as stored, or undefined when it was not kept or is gone. */
  readInput(id: RequestId): Promise<StoredPayload | undefined>;
  /** Result as stored; undefined while not terminal or when it was removed. */
  readResult(id: RequestId): Promise<StoredResult | undefined>;
  /** Removes stored input and output; gives back what the output referred to. */
  removePayloads(id: RequestId): Promise<boolean>;

  /** Depth, oldest wait and running count per endpoint. */
  getStats(): Promise<readonly EndpointStats[]>;
  /** Who holds what now, at most `limit`, the lease that ends first before the others. */
  listLeases(limit: number): Promise<readonly HeldLease[]>;
  /** Requests that ended at or after this time, by endpoint. */
  countEnded(startAt: number): Promise<ReadonlyMap<string, number>>;
  /** Sums of ended requests by time, endpoint and key, in this order. */
  sumUsage(filter: UsageFilter): Promise<readonly UsageSum[]>;
  pause(endpointId: string): Promise<void>;
  resume(endpointId: string): Promise<void>;
  /** Cancels everything queued for the endpoint; the number of requests ended. */
  flush(endpointId: string): Promise<number>;

  /**
   * Housekeeping, called every second or so by one process: expired leases, start deadlines, retention. Gives back
   * what changed, so that live listeners can be told.
   */
  sweep(): Promise<SweepReport>;
}

export type RequestState = "queued" | "running" | "succeeded" | "failed" | "cancelled";
export type Priority = "normal" | "low";

export interface NewRequest {
  readonly id: RequestId;
  readonly accountId: AccountId;
  readonly keyId: KeyId | null;
  /** Full endpoint id. */
  readonly endpointId: string;
  /** `[namespace/]owner/alias`. */
  readonly app: string;
  /** Where it came from: `queue`, `run`, `stream`, `realtime`. */
  readonly surface: "queue" | "run" | "stream" | "realtime";
  /** The body as it came; null when there was none. */
  readonly input: Uint8Array | null;
  readonly priority: Priority;
  /** Epoch ms by which processing must have started. */
  readonly startDeadlineAt?: number;
  /** Longest one attempt may take, in ms. */
  readonly timeoutMs: number;
  readonly hint?: string;
  readonly retry: RetryPolicy;
  readonly webhookUrl?: string;
  /** False: input and output are removed one hour after completion (`X-Fal-Store-IO: 0`). */
  readonly keepsPayloads: boolean;
  /** `X-Fal-Object-Lifecycle-Preference` as it came, checked. */
  readonly fileLifecycle?: Readonly<Record<string, unknown>>;
  readonly tags?: Readonly<Record<string, string>>;
  /** Headers that model code may see. */
  readonly headers?: Readonly<Record<string, string>>;
  readonly idempotencyKey?: string;
  /** Refuse when this many already wait for the endpoint (`fal_max_queue_length`). */
  readonly maxQueueLength?: number;
  readonly createdAt: number;
}

/** Attempts allowed by kind of failure, including the first. */
export interface RetryPolicy {
  /** Lease lost: the runner or its machine vanished. Default 10. */
  readonly connectionError: number;
  /** The worker process crashed or ran out of memory. Default 3. */
  readonly serverError: number;
  /** The attempt took too long. Default 2. */
  readonly timeout: number;
}

export type EnqueueOutcome =
  | { readonly kind: "enqueued"; readonly position: number }
  /** The same idempotency key with the same body: the first request answers. */
  | { readonly kind: "replayed"; readonly request: RequestRecord }
  /** The same idempotency key with another body. */
  | { readonly kind: "conflict" }
  | { readonly kind: "queue_full"; readonly length: number }
  /** A limit of the key or account; with the time to wait. */
  | {
      readonly kind: "limited";
      readonly limit: "queued" | "requests_per_day";
      readonly retryAfterMs: number;
    };

export type AdmitOutcome =
  | { readonly kind: "admitted" }
  | Extract<EnqueueOutcome, { readonly kind: "limited" }>;

export type RecordOutcome =
  | { readonly kind: "recorded" }
  | Extract<EnqueueOutcome, { readonly kind: "replayed" | "conflict" }>;

export interface LeaseOffer {
  readonly runnerId: string;
  readonly endpointIds: readonly string[];
  /** Time to the first heartbeat's deadline; default 12,000. */
  readonly leaseMs: number;
  /** Hints that this runner has served before: preferred among requests of equal rank. */
  readonly hints?: readonly string[];
}

/** Names one attempt. `token` changes with every lease; writes with an old one are refused. */
export interface LeaseRef {
  readonly requestId: RequestId;
  readonly token: string;
}

export interface Lease extends LeaseRef {
  readonly request: RequestRecord;
  readonly input: Uint8Array | null;
  /** 1 for the first. */
  readonly attempt: number;
  readonly expiresAt: number;
}

export type HeartbeatOutcome = "renewed" | "cancel_requested" | "lost";
export type CancelOutcome = "cancelled" | "requested" | "already_completed" | "not_found";

/** What the result route replays: the model's answer, or the platform's. */
export interface RequestResult {
  readonly state: "succeeded" | "failed" | "cancelled";
  readonly statusCode: number;
  /** Response headers of the result, lower case: content-type, x-fal-billable-units, x-model, … */
  readonly headers: Readonly<Record<string, string>>;
  readonly body: Uint8Array;
  /** For the status of a failed request. */
  readonly error?: string;
  readonly errorType?: string;
  readonly billableUnits: number;
  /** Seconds of the model alone. */
  readonly inferenceSeconds: number | null;
  /** Of all pictures made, together. */
  readonly outputPixels?: number;
  /** Ids of files the request made. */
  readonly fileIds: readonly string[];
}

export interface AttemptFailure {
  readonly kind: "connection_error" | "server_error" | "timeout" | "setup_failed";
  /** For logs and for the final error. */
  readonly message: string;
}

/** One row of the history; small: payloads are read separately. */
export interface RequestRecord {
  readonly id: RequestId;
  readonly accountId: AccountId;
  readonly keyId: KeyId | null;
  readonly endpointId: string;
  readonly app: string;
  readonly surface: NewRequest["surface"];
  readonly state: RequestState;
  readonly priority: Priority;
  readonly createdAt: number;
  /** First time an attempt started. */
  readonly startedAt: number | null;
  readonly endedAt: number | null;
  readonly attempts: number;
  readonly isCancelRequested: boolean;
  readonly timeoutMs: number;
  readonly startDeadlineAt: number | null;
  readonly hint: string | null;
  readonly webhookUrl: string | null;
  readonly keepsPayloads: boolean;
  readonly fileLifecycle: Readonly<Record<string, unknown>> | null;
  readonly tags: Readonly<Record<string, string>>;
  readonly headers: Readonly<Record<string, string>>;
  readonly statusCode: number | null;
  readonly error: string | null;
  readonly errorType: string | null;
  readonly billableUnits: number | null;
  readonly inferenceSeconds: number | null;
  /** Of all pictures made, together; null when none was made. */
  readonly outputPixels: number | null;
}

/** What is asked all day. */
export type RequestOutline = Pick<
  RequestRecord,
  | "id"
  | "accountId"
  | "endpointId"
  | "app"
  | "surface"
  | "state"
  | "hint"
  | "error"
  | "errorType"
  | "inferenceSeconds"
>;

export interface StoredPayload {
  readonly body: Uint8Array | null;
}

export interface StoredResult {
  readonly statusCode: number;
  readonly headers: Readonly<Record<string, string>>;
  readonly body: Uint8Array;
}

export interface StoredLog extends RequestLog {
  readonly sequence: number;
}

/** `log` has `message` and `level` in data; timeline kinds: accepted, leased, loaded, encoded, decoded, stored, ended, … */
export interface NewEvent {
  readonly kind: string;
  readonly at: number;
  readonly data: Readonly<Record<string, unknown>>;
}

export interface StoredEvent extends NewEvent {
  readonly sequence: number;
  readonly attempt: number;
}

export interface RequestFilter {
  readonly accountId?: AccountId;
  readonly keyId?: KeyId;
  readonly endpointIds?: readonly string[];
  readonly states?: readonly RequestState[];
  /** `success` 2xx, `user_error` 4xx, `error` 5xx. */
  readonly outcome?: "success" | "user_error" | "error";
  readonly requestId?: RequestId;
  /**
   * Part of the input, the error, the tags or the id, in any case of ASCII letters. There is no index of texts, which
   * every submit would pay for: a page looks through the next 2,000 requests of the other filters and says how far it
   * came. Inputs over 32 KiB are not looked into.
   */
  readonly text?: string;
  /** On createdAt: inclusive start, exclusive end. */
  readonly startAt?: number;
  readonly endAt?: number;
  readonly sortBy?: "created_at" | "ended_at" | "duration";
  readonly limit: number;
  /** From the page before. */
  readonly cursor?: string;
}

export interface RequestPage {
  readonly requests: readonly RequestRecord[];
  readonly nextCursor: string | null;
  /**
   * Of a search by text that stopped before the page was full: creation of the last request that it looked at. The
   * next page goes on from there. Null when the page is full or the history ended.
   */
  readonly searchedTo: number | null;
}

/** Why a request is not leased now, the first of these that holds, in this order. */
export type Wait = {
  /** Requests that would be leased before it if nothing more arrived. */
  readonly before: number;
  /** Requests of the app that run now. */
  readonly running: number;
} & (
  | { readonly reason: "paused" }
  /** An attempt failed; the next one may start at this time, epoch ms. */
  | { readonly reason: "backing_off"; readonly until: number }
  /** Its key runs as many requests as it may. */
  | { readonly reason: "key_limit"; readonly runningOfKey: number; readonly limit: number }
  | { readonly reason: "behind_others" }
  /** Whatever serves it next, it comes first. */
  | { readonly reason: "next" }
);

export interface EndpointStats {
  readonly endpointId: string;
  readonly queued: number;
  readonly running: number;
  readonly oldestQueuedAt: number | null;
  readonly isPaused: boolean;
}

export interface HeldLease {
  readonly requestId: RequestId;
  readonly endpointId: string;
  readonly runnerId: string | null;
  readonly attempt: number;
  /** When the first attempt started. */
  readonly startedAt: number | null;
  readonly expiresAt: number;
}

export interface UsageFilter {
  readonly accountId?: AccountId;
  /** On createdAt: inclusive start, exclusive end. */
  readonly startAt: number;
  readonly endAt: number;
  /** Length of a piece of time; pieces begin at whole multiples of it since the epoch. */
  readonly bucketMs: number;
}

/** Of one key's requests of one endpoint, made in one piece of time. */
export interface UsageSum {
  /** Epoch ms of the piece's begin. */
  readonly bucketAt: number;
  readonly endpointId: string;
  readonly accountId: AccountId;
  readonly keyId: KeyId | null;
  readonly requests: number;
  readonly succeeded: number;
  /** Of the model alone. */
  readonly seconds: number;
  /** The rest of successful requests only: failures cost nothing. */
  readonly billableSeconds: number;
  readonly billableUnits: number;
  readonly outputPixels: number;
}

export interface SweepReport {
  /** Requests whose lease ran out: queued again or failed. */
  readonly expiredLeases: readonly RequestId[];
  /** Requests whose start deadline passed: ended with 504. */
  readonly expiredStarts: readonly RequestId[];
  /** Terminal requests whose payloads or record were removed by retention. */
  readonly removed: number;
}
