import type { Clock } from "../clock.ts";
import type { Database } from "../database/database.ts";
import type { BlobStore } from "../files/blob-store.ts";
import type { KeyId } from "../ids.ts";
import type { KeyLimits } from "../keys/key-store.ts";
import type { Logger } from "../logger.ts";
import { abandonRequest, releaseRequest } from "./abandon-request.ts";
import { cancelRequest, flushEndpoint } from "./cancel-request.ts";
import { collectOrphans } from "./collect-orphans.ts";
import { completeRequest } from "./end-request.ts";
import { admitRun, enqueueRequest, forgetDays, recordRequest } from "./enqueue-request.ts";
import { insertEvents } from "./events.ts";
import { explainWait } from "./explain-wait.ts";
import { leaseRequest, renewLease } from "./lease-request.ts";
import { listRequests } from "./list-requests.ts";
import { createPauses } from "./pauses.ts";
import { perDialect } from "./per-dialect.ts";
import { createQueriedPositions } from "./queried-positions.ts";
import type { QueueContext } from "./queue-context.ts";
import {
  findOutline,
  findRequest,
  getPosition,
  getStats,
  listEvents,
  listLogs,
  readInput,
  readResult,
  removePayloads,
} from "./read-request.ts";
import type { LeaseRef, NewEvent, RequestQueue } from "./request-queue.ts";
import { createRunsUnderWay } from "./runs-under-way.ts";
import { createSteadyClock } from "./steady-clock.ts";
import { countEnded, listLeases, sumUsage } from "./summarize-requests.ts";
import { sweepRequests } from "./sweep-requests.ts";
import { createWindowPositions } from "./window-positions.ts";

export interface RequestQueueOptions {
  /** Migrated. */
  readonly database: Database;
  /** Holds payloads over 32 KiB. */
  readonly blobs: BlobStore;
  readonly clock: Clock;
  readonly logger: Logger;
  /** Asked at every submit with a key: served from memory, please. Default: no limits. */
  readonly getKeyLimits?: (keyId: KeyId) => Promise<KeyLimits | undefined>;
  /** How long the record of a request is kept after its end. Default 30 days. */
  readonly retentionMs?: number;
}

const RETENTION_MS = 30 * 86_400_000;
const DEFAULT_LOGS = 10_000;
/** Between two looks for orphaned payloads. */
const ORPHANS_MS = 6 * 3_600_000;

/** The durable queue over a database. It starts nothing by itself: housekeeping is `sweep`, called from outside. */
export function createRequestQueue(options: RequestQueueOptions): RequestQueue {
  const { database, blobs, clock, logger } = options;
  const retentionMs = options.retentionMs ?? RETENTION_MS;
  const context: QueueContext = {
    database,
    blobs,
    clock,
    logger,
    getKeyLimits: options.getKeyLimits ?? (() => Promise.resolve(undefined)),
    positions:
      database.dialect === "sqlite"
        ? createWindowPositions(database)
        : createQueriedPositions(database, clock),
    pauses: createPauses(database),
    runs: createRunsUnderWay(),
  };
  const steady = createSteadyClock(clock);
  let nextOrphans = clock.monotonic();

  /** The wall clock was set: what is due in the queue keeps its distance in real time. */
  async function followClock(): Promise<void> {
    // Several processes share a PostgreSQL; there, none may speak for the clocks of the others.
    if (database.dialect === "postgres") return;
    const jump = steady.takeJump();
    if (jump === 0) return;
    logger.warn({ jumpMs: jump }, "the system clock was set; leases and deadlines follow");
    await database.transaction(async (tx) => {
      await tx.run("UPDATE requests SET lease_expires_at = lease_expires_at + $1 WHERE state = 'running'", [
        jump,
      ]);
      await tx.run(
        `UPDATE requests SET start_deadline_at = start_deadline_at + $1
         WHERE state = 'queued' AND start_deadline_at IS NOT NULL`,
        [jump],
      );
      await tx.run(
        "UPDATE requests SET available_at = available_at + $1 WHERE state = 'queued' AND available_at > $2",
        [jump, clock.now() - jump],
      );
    });
  }

  return {
    enqueue: (request) => enqueueRequest(context, request),
    admit: (run) => admitRun(context, run),
    record: (request, result, times) =>
      recordRequest(context, request, result, times).finally(() => context.runs.remove(request.id)),
    async lease(offer) {
      await followClock();
      return leaseRequest(context, offer);
    },
    heartbeat: (lease) => renewLease(context, lease),
    complete: (lease, result, events) => completeRequest(context, lease, result, events),
    abandon: (lease, failure) => abandonRequest(context, lease, failure),
    release: (lease) => releaseRequest(context, lease),
    appendEvents: (lease, events) => appendEvents(context, lease, events),
    cancel: (id) => cancelRequest(context, id),
    find: (id) => findRequest(context, id),
    findOutline: (id) => findOutline(context, id),
    getPosition: (id) => getPosition(context, id),
    explainWait: (id) => explainWait(context, id),
    listLogs: (id, after = 0, limit = DEFAULT_LOGS) => listLogs(context, id, after, limit),
    listEvents: (id) => listEvents(context, id),
    listRequests: (filter) => listRequests(context, filter),
    readInput: (id) => readInput(context, id),
    readResult: (id) => readResult(context, id),
    removePayloads: (id) => removePayloads(context, id),
    getStats: () => getStats(context),
    listLeases: (limit) => listLeases(context, limit),
    countEnded: (startAt) => countEnded(context, startAt),
    sumUsage: (filter) => sumUsage(context, filter),
    pause: (endpointId) => context.pauses.pause(endpointId, clock.now()),
    resume: (endpointId) => context.pauses.resume(endpointId),
    flush: (endpointId) => flushEndpoint(context, endpointId),
    async sweep() {
      await followClock();
      if (clock.monotonic() >= nextOrphans) {
        nextOrphans = clock.monotonic() + ORPHANS_MS;
        // Beside the sweep: looking through many blobs must not keep an expired lease waiting.
        Promise.all([collectOrphans(context), forgetDays(context)]).catch((error: unknown) => {
          logger.warn({ err: error }, "could not look for orphaned payloads");
        });
      }
      return sweepRequests(context, { removeBefore: steady.trustedNow() - retentionMs });
    },
  };
}

const SELECT_HELD = perDialect(
  ({ lock }) =>
    `SELECT number, attempts FROM requests WHERE id = $1 AND lease_token = $2 AND state = 'running'${lock}`,
);

async function appendEvents(
  context: QueueContext,
  lease: LeaseRef,
  events: readonly NewEvent[],
): Promise<void> {
  if (events.length === 0) return;
  await context.database.transaction(async (tx) => {
    const row = await tx.get<{ number: number; attempts: number }>(SELECT_HELD[context.database.dialect], [
      lease.requestId,
      lease.token,
    ]);
    if (row !== undefined) await insertEvents(tx, row.number, row.attempts, events);
  });
}
