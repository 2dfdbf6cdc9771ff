import { createHash } from "node:crypto";
import type { Dialect, SqlValue, Statements } from "../database/database.ts";
import type { KeyId } from "../ids.ts";
import type { KeyLimits } from "../keys/key-store.ts";
import { FORGET_MS, insertDelivery, trimError } from "./end-request.ts";
import { type PlacedPayload, placePayload, removeBlobs } from "./payload-store.ts";
import { perDialect } from "./per-dialect.ts";
import { changeLines, type QueueContext } from "./queue-context.ts";
import type {
  AdmitOutcome,
  EnqueueOutcome,
  NewRequest,
  RecordOutcome,
  RequestResult,
} from "./request-queue.ts";
import { encode, encodePriority, REQUEST_COLUMNS, type RequestRow, toRecord } from "./request-rows.ts";

const DAY_MS = 86_400_000;
/** A queue that is full now may have room after the next request or two. */
const FULL_RETRY_MS = 1_000;
/** Longest queue that is counted request by request. */
const MAX_COUNTED = 1_000;
/** Hints are compared, not shown; longer ones are cut. */
const MAX_HINT = 256;

export async function enqueueRequest(context: QueueContext, request: NewRequest): Promise<EnqueueOutcome> {
  const limits = request.keyId === null ? undefined : await context.getKeyLimits(request.keyId);
  const waiting = await countLongQueue(context, request);
  const input = await placePayload(context, request.id, "input", request.input);
  const outcome = await changeLines(context, async (tx, changes): Promise<Outcome> => {
    const refusal =
      (await findDuplicate(tx, request)) ?? (await checkLimits(tx, context, request, limits, waiting));
    if (refusal !== undefined) return refusal;
    const inserted = await insertRequest(tx, context.database.dialect, request, {
      input,
      keyConcurrency: limits?.concurrency ?? null,
      isCounted: limits?.queued !== undefined,
    });
    // PostgreSQL: another process was faster with the same idempotency key.
    if (inserted === undefined) return (await findDuplicate(tx, request)) ?? { kind: "conflict" };
    const entry = {
      id: request.id,
      app: request.app,
      endpointId: request.endpointId,
      priority: encodePriority(request.priority),
      fairRank: inserted.fairRank,
    };
    changes.push({ entry, change: "joined" });
    return { kind: "joined", entry };
  });
  if (outcome.kind === "joined") {
    return { kind: "enqueued", position: await context.positions.getPosition(outcome.entry) };
  }
  await removeBlobs(context, [input.blob]);
  return outcome;
}

type Outcome =
  | Exclude<EnqueueOutcome, { kind: "enqueued" }>
  | { readonly kind: "joined"; readonly entry: Parameters<QueueContext["positions"]["join"]>[0] };

/** Without a write: what is counted durably is read, what is under way is added. */
export async function admitRun(
  context: QueueContext,
  { id, keyId }: Pick<NewRequest, "id" | "keyId">,
): Promise<AdmitOutcome> {
  const limit = keyId === null ? undefined : (await context.getKeyLimits(keyId))?.requestsPerDay;
  if (keyId === null || limit === undefined) return { kind: "admitted" };
  return await context.database.read(async (tx) => {
    const day = getDay(context);
    const counted = await readDay(tx, keyId, day);
    // Decided and counted in one go, inside the read: there, no commit comes in between.
    if (isUsedUp(context, keyId, counted, limit)) return refuseDay(context, day);
    context.runs.add(id, keyId);
    return { kind: "admitted" };
  });
}

export async function recordRequest(
  context: QueueContext,
  request: NewRequest,
  result: RequestResult,
  times: { readonly startedAt: number; readonly endedAt: number },
): Promise<RecordOutcome> {
  const limits = request.keyId === null ? undefined : await context.getKeyLimits(request.keyId);
  const input = await placePayload(context, request.id, "input", request.input);
  const output = await placePayload(context, request.id, "result", result.body);
  const outcome = await context.database.transaction(async (tx): Promise<RecordOutcome> => {
    const duplicate = await findDuplicate(tx, request);
    if (duplicate !== undefined) return duplicate;
    if (request.keyId !== null && limits?.requestsPerDay !== undefined) {
      await countForDay(tx, request.keyId, getDay(context));
      context.runs.remove(request.id);
    }
    const inserted = await insertRequest(tx, context.database.dialect, request, {
      input,
      keyConcurrency: null,
      isCounted: false,
      ended: { result, output, ...times },
    });
    // PostgreSQL: another process was faster with the same idempotency key.
    if (inserted === undefined) return (await findDuplicate(tx, request)) ?? { kind: "conflict" };
    if (request.webhookUrl !== undefined) {
      await insertDelivery(tx, request.id, request.accountId, request.webhookUrl, times.endedAt);
    }
    return { kind: "recorded" };
  });
  if (outcome.kind !== "recorded") await removeBlobs(context, [input.blob, output.blob]);
  return outcome;
}

async function findDuplicate(
  tx: Statements,
  request: NewRequest,
): Promise<Extract<EnqueueOutcome, { kind: "replayed" | "conflict" }> | undefined> {
  if (request.idempotencyKey === undefined) return undefined;
  const row = await tx.get<RequestRow & { readonly input_sha256: string }>(
    `SELECT ${REQUEST_COLUMNS}, r.input_sha256 FROM requests r JOIN payloads p ON p.request_number = r.number
     WHERE r.account_id = $1 AND r.endpoint_id = $2 AND r.idempotency_key = $3`,
    [request.accountId, request.endpointId, request.idempotencyKey],
  );
  if (row === undefined) return undefined;
  return row.input_sha256 === hashInput(request.input)
    ? { kind: "replayed", request: toRecord(row) }
    : { kind: "conflict" };
}

async function checkLimits(
  tx: Statements,
  context: QueueContext,
  request: NewRequest,
  limits: KeyLimits | undefined,
  waiting: number | undefined,
): Promise<Extract<EnqueueOutcome, { kind: "queue_full" | "limited" }> | undefined> {
  if (request.maxQueueLength !== undefined) {
    const length =
      waiting ?? (await countUpTo(tx, "endpoint_id = $1", request.endpointId, request.maxQueueLength));
    if (length >= request.maxQueueLength) return { kind: "queue_full", length };
  }
  if (request.keyId === null || limits === undefined) return undefined;
  if (limits.queued !== undefined) {
    const queued = await countUpTo(tx, "is_counted = 1 AND key_id = $1", request.keyId, limits.queued);
    if (queued >= limits.queued) return { kind: "limited", limit: "queued", retryAfterMs: FULL_RETRY_MS };
  }
  if (limits.requestsPerDay !== undefined) {
    const day = getDay(context);
    const counted = await readDay(tx, request.keyId, day);
    if (isUsedUp(context, request.keyId, counted, limits.requestsPerDay)) return refuseDay(context, day);
    await countForDay(tx, request.keyId, day);
  }
  return undefined;
}

/** Days of UTC. */
function getDay(context: QueueContext): number {
  return Math.floor(context.clock.now() / DAY_MS);
}

async function readDay(tx: Statements, keyId: KeyId, day: number): Promise<number> {
  const row = await tx.get<{ requests: number }>(
    "SELECT requests FROM key_days WHERE key_id = $1 AND day = $2",
    [keyId, day],
  );
  return row?.requests ?? 0;
}

function isUsedUp(context: QueueContext, keyId: KeyId, counted: number, limit: number): boolean {
  return counted + context.runs.count(keyId) >= limit;
}

function refuseDay(context: QueueContext, day: number): Extract<EnqueueOutcome, { kind: "limited" }> {
  const retryAfterMs = Math.max((day + 1) * DAY_MS - context.clock.now(), 0);
  return { kind: "limited", limit: "requests_per_day", retryAfterMs };
}

/**
 * For a long maximum the count is taken beside the transaction, where it costs the same however long the queue is:
 * requests accepted in the same instant may pass the maximum by a few.
 */
async function countLongQueue(context: QueueContext, request: NewRequest): Promise<number | undefined> {
  if ((request.maxQueueLength ?? 0) <= MAX_COUNTED) return undefined;
  return (await context.positions.countWaiting()).get(request.endpointId) ?? 0;
}

/** Counting stops at the limit: what a refusal costs does not grow with the queue. */
async function countUpTo(tx: Statements, condition: string, value: string, limit: number): Promise<number> {
  const row = await tx.get<{ count: number }>(
    `SELECT count(*) AS count FROM (SELECT 1 FROM requests WHERE state = 'queued' AND ${condition} LIMIT $2) AS waiting`,
    [value, limit],
  );
  return row?.count ?? 0;
}

/** Counts of days that are over decide nothing any more. */
export async function forgetDays(context: QueueContext): Promise<void> {
  const today = getDay(context);
  await context.database.transaction((tx) => tx.run("DELETE FROM key_days WHERE day < $1", [today - 1]));
}

async function countForDay(tx: Statements, keyId: string, day: number): Promise<void> {
  await tx.run(
    `INSERT INTO key_days (key_id, day, requests) VALUES ($1, $2, 1)
     ON CONFLICT (key_id, day) DO UPDATE SET requests = key_days.requests + 1`,
    [keyId, day],
  );
}

interface Insertion {
  readonly input: PlacedPayload;
  readonly keyConcurrency: number | null;
  readonly isCounted: boolean;
  /** For a request that is terminal from the start. */
  readonly ended?: {
    readonly result: RequestResult;
    readonly output: PlacedPayload;
    readonly startedAt: number;
    readonly endedAt: number;
  };
}

const COLUMNS = [
  ...["id", "account_id", "key_id", "fair_key", "endpoint_id", "app", "surface", "state", "priority"],
  "fair_rank",
  ...["created_at", "available_at", "start_deadline_at", "timeout_ms", "hint", "keeps_payloads"],
  "has_webhook",
  ...["idempotency_key", "input_sha256", "key_concurrency", "is_counted"],
  ...["connection_attempts", "server_attempts", "timeout_attempts"],
];
const ENDED_COLUMNS = [
  ...["attempts", "started_at", "ended_at", "status_code", "error", "error_type", "billable_units"],
  ...["inference_seconds", "output_pixels", "remove_payloads_at"],
];
/**
 * Where the request comes: the ranks beyond which it goes (what the line has got to, the key's last in line), and
 * on SQLite its number. There, one statement that looks and one that inserts cost half of one with RETURNING.
 */
const SELECT_PLACE = perDialect(
  ({ dialect }) => `SELECT
    coalesce((SELECT virtual_time FROM lines WHERE app = $1 AND priority = $2), 0) AS virtual_time,
    coalesce((SELECT max(fair_rank) FROM requests
      WHERE state = 'queued' AND app = $1 AND fair_key = $3 AND priority = $2), 0) AS last_rank,
    ${dialect === "sqlite" ? "coalesce((SELECT max(number) FROM requests), 0) + 1" : "NULL"} AS number`,
);

const INSERT_QUEUED = perDialect(({ dialect }) => formatInsert(COLUMNS, dialect));
const INSERT_ENDED = perDialect(({ dialect }) => formatInsert([...COLUMNS, ...ENDED_COLUMNS], dialect));

function formatInsert(common: readonly string[], dialect: Dialect): string {
  const columns = dialect === "sqlite" ? [...common, "number"] : common;
  const insert = `INSERT INTO requests (${columns.join(", ")})
    VALUES (${columns.map((_, index) => `$${index + 1}`).join(", ")})`;
  if (dialect === "sqlite") return insert;
  return `${insert}
    ON CONFLICT (account_id, endpoint_id, idempotency_key) WHERE idempotency_key IS NOT NULL DO NOTHING
    RETURNING number`;
}

interface Place {
  readonly virtual_time: number;
  readonly last_rank: number;
  readonly number: number | null;
}

const INSERT_PAYLOADS = `INSERT INTO payloads (request_number, webhook_url, file_lifecycle, tags, headers, has_input,
    input, input_blob, result_headers, result, result_blob, file_ids)
  VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12)`;

/** Undefined when the idempotency key is taken. */
async function insertRequest(
  tx: Statements,
  dialect: Dialect,
  request: NewRequest,
  { input, keyConcurrency, isCounted, ended }: Insertion,
): Promise<{ readonly number: number; readonly fairRank: number } | undefined> {
  const priority = encodePriority(request.priority);
  const fairKey = request.keyId ?? request.accountId;
  const place = await tx.get<Place>(SELECT_PLACE[dialect], [request.app, priority, fairKey]);
  const fairRank = 1 + Math.max(place?.virtual_time ?? 0, place?.last_rank ?? 0);
  const values: SqlValue[] = [
    request.id,
    request.accountId,
    request.keyId,
    fairKey,
    request.endpointId,
    request.app,
    request.surface,
    ended === undefined ? "queued" : ended.result.state,
    priority,
    fairRank,
    Math.round(request.createdAt),
    Math.round(request.createdAt),
    request.startDeadlineAt === undefined ? null : Math.round(request.startDeadlineAt),
    Math.round(request.timeoutMs),
    request.hint?.slice(0, MAX_HINT) ?? null,
    request.keepsPayloads ? 1 : 0,
    request.webhookUrl === undefined ? 0 : 1,
    request.idempotencyKey ?? null,
    request.idempotencyKey === undefined ? null : hashInput(request.input),
    keyConcurrency,
    isCounted ? 1 : 0,
    request.retry.connectionError,
    request.retry.serverError,
    request.retry.timeout,
  ];
  if (ended !== undefined) {
    const { result } = ended;
    values.push(
      1,
      Math.round(ended.startedAt),
      Math.round(ended.endedAt),
      result.statusCode,
      trimError(result.error),
      result.errorType ?? null,
      result.billableUnits,
      result.inferenceSeconds,
      result.outputPixels ?? null,
      request.keepsPayloads ? null : Math.round(ended.endedAt) + FORGET_MS,
    );
  }
  const statement = (ended === undefined ? INSERT_QUEUED : INSERT_ENDED)[dialect];
  let number = place?.number ?? null;
  if (number === null) {
    number = (await tx.get<{ number: number }>(statement, values))?.number ?? null;
    if (number === null) return undefined;
  } else {
    await tx.run(statement, [...values, number]);
  }
  await tx.run(INSERT_PAYLOADS, [
    number,
    request.webhookUrl ?? null,
    encode(request.fileLifecycle),
    encode(request.tags),
    encode(request.headers),
    request.input === null ? 0 : 1,
    input.inline,
    input.blob,
    ended === undefined ? null : JSON.stringify(ended.result.headers),
    ended?.output.inline ?? null,
    ended?.output.blob ?? null,
    ended === undefined ? null : JSON.stringify(ended.result.fileIds),
  ]);
  return { number, fairRank };
}

function hashInput(input: Uint8Array | null): string {
  return createHash("sha256")
    .update(input ?? "")
    .digest("hex");
}
