import { createFlatError, REQUEST_ERRORS, type RequestErrorType } from "@sluice/protocol";
import type { SqlValue, Statements } from "../database/database.ts";
import { insertEvents } from "./events.ts";
import { type PlacedPayload, placePayload, removeBlobs } from "./payload-store.ts";
import type { LineChange, QueueContext } from "./queue-context.ts";
import type { LeaseRef, NewEvent, RequestResult } from "./request-queue.ts";
import { toEntry } from "./request-rows.ts";

/** How long the payloads of a request that does not keep them stay readable after its end. */
export const FORGET_MS = 3_600_000;
/** Errors in the row are for lists; the whole text is in the result. */
const MAX_ERROR = 300;

/** What ending a request needs to know of it. */
export interface EndableRow {
  readonly number: number;
  readonly id: string;
  readonly app: string;
  readonly endpoint_id: string;
  readonly priority: number;
  readonly fair_rank: number;
  readonly state: string;
  readonly attempts: number;
}

export const ENDABLE_COLUMNS = "number, id, app, endpoint_id, priority, fair_rank, state, attempts";

/** The holder's own end of a request. */
export async function completeRequest(
  context: QueueContext,
  lease: LeaseRef,
  result: RequestResult,
  events: readonly NewEvent[] = [],
): Promise<"completed" | "lost"> {
  const output = await placePayload(context, lease.requestId, `result-${lease.token}`, result.body);
  const isCompleted = await context.database.transaction(async (tx) => {
    const ended = await endRequest(
      tx,
      END_HELD,
      [lease.requestId, lease.token],
      result,
      output,
      context.clock.now(),
    );
    if (ended === undefined) return false;
    if (events.length > 0) await insertEvents(tx, ended.number, ended.attempts, events);
    return true;
  });
  if (!isCompleted) await removeBlobs(context, [output.blob]);
  return isCompleted ? "completed" : "lost";
}

/** Ends a request with an answer of the platform: cancelled, start deadline passed, attempts used up. */
export async function endByPlatform(
  tx: Statements,
  row: EndableRow,
  ending: PlatformEnding,
  now: number,
  changes: LineChange[],
): Promise<boolean> {
  const result = createPlatformResult(ending);
  const output = { inline: result.body, blob: null };
  const ended = await endRequest(tx, END_ROW, [row.number, row.state], result, output, now);
  if (ended === undefined) return false;
  if (row.state === "queued") changes.push({ entry: toEntry(row), change: "left" });
  return true;
}

export interface PlatformEnding {
  readonly errorType: RequestErrorType;
  /** Default: the table's text. */
  readonly detail?: string;
  readonly headers?: Readonly<Record<string, string>>;
}

export const CANCELLED: PlatformEnding = { errorType: "client_cancelled" };

/** The header tells clients that their own deadline ended the request, so that they do not send it again. */
export const START_EXPIRED: PlatformEnding = {
  errorType: "startup_timeout",
  headers: { "x-fal-request-timeout-type": "user" },
};

function createPlatformResult(ending: PlatformEnding): RequestResult {
  const body = createFlatError(ending.errorType, ending.detail);
  return {
    state: ending.errorType === "client_cancelled" ? "cancelled" : "failed",
    statusCode: REQUEST_ERRORS[ending.errorType].status,
    headers: {
      "content-type": "application/json",
      "x-fal-error-type": ending.errorType,
      ...ending.headers,
    },
    body: Buffer.from(JSON.stringify(body)),
    error: body.detail,
    errorType: ending.errorType,
    billableUnits: 0,
    inferenceSeconds: null,
    fileIds: [],
  };
}

const END = `UPDATE requests SET state = $1, ended_at = $2, status_code = $3, error = $4, error_type = $5,
    billable_units = $6, inference_seconds = $7,
    remove_payloads_at = CASE keeps_payloads WHEN 1 THEN NULL ELSE CAST($8 AS BIGINT) END,
    lease_token = NULL, lease_expires_at = NULL, lease_ms = NULL`;
const RETURNING = "RETURNING number, id, account_id, attempts, has_webhook";
/** The fence: only the holder of the current lease ends a request so. */
const END_HELD = `${END} WHERE id = $9 AND lease_token = $10 AND state = 'running' ${RETURNING}`;
const END_ROW = `${END} WHERE number = $9 AND state = $10 ${RETURNING}`;

interface EndedRow {
  readonly number: number;
  readonly id: string;
  readonly account_id: string;
  readonly attempts: number;
  readonly has_webhook: number;
}

/** One commit: state, result and the webhook delivery owed. Undefined when the request has moved on. */
async function endRequest(
  tx: Statements,
  statement: typeof END_HELD | typeof END_ROW,
  which: readonly [SqlValue, SqlValue],
  result: RequestResult,
  output: PlacedPayload,
  now: number,
): Promise<EndedRow | undefined> {
  const row = await tx.get<EndedRow>(statement, [
    result.state,
    now,
    result.statusCode,
    trimError(result.error),
    result.errorType ?? null,
    result.billableUnits,
    result.inferenceSeconds,
    now + FORGET_MS,
    ...which,
  ]);
  if (row === undefined) return undefined;
  await tx.run(
    `UPDATE payloads SET result_headers = $1, result = $2, result_blob = $3, file_ids = $4
     WHERE request_number = $5`,
    [JSON.stringify(result.headers), output.inline, output.blob, JSON.stringify(result.fileIds), row.number],
  );
  if (row.has_webhook === 1) {
    const payload = await tx.get<{ webhook_url: string }>(
      "SELECT webhook_url FROM payloads WHERE request_number = $1",
      [row.number],
    );
    if (payload !== undefined) await insertDelivery(tx, row.id, row.account_id, payload.webhook_url, now);
  }
  return row;
}

/** The webhook's outbox: what this commit owes is delivered by others, at `next_at` or later. */
export async function insertDelivery(
  tx: Statements,
  requestId: string,
  accountId: string,
  url: string,
  now: number,
): Promise<void> {
  await tx.run(
    `INSERT INTO deliveries (request_id, account_id, url, state, attempt, next_at, created_at)
     VALUES ($1, $2, $3, 'owed', 0, $4, $4)`,
    [requestId, accountId, url, Math.round(now)],
  );
}

export function trimError(error: string | undefined): string | null {
  // PostgreSQL has no NUL in text.
  return error?.slice(0, MAX_ERROR).replaceAll("\0", "") ?? null;
}
