import { createFlatError, REQUEST_ERRORS, type RequestErrorType } from "@sluice/protocol";
import type { Statements } from "../database/database.ts";
import { insertEvents } from "./events.ts";
import { type PlacedPayload, placePayload, removeBlobs } from "./payload-store.ts";
import { perDialect } from "./per-dialect.ts";
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
  readonly account_id: string;
  readonly keeps_payloads: number;
  readonly has_webhook: number;
}

export const ENDABLE_COLUMNS =
  "number, id, app, endpoint_id, priority, fair_rank, state, attempts, account_id, keeps_payloads, has_webhook";

/** The holder's own end of a request. */
export async function completeRequest(
  context: QueueContext,
  lease: LeaseRef,
  result: RequestResult,
  events: readonly NewEvent[] = [],
): Promise<"completed" | "lost"> {
  const output = await placePayload(context, lease.requestId, `result-${lease.token}`, result.body);
  const isCompleted = await context.database.transaction(async (tx) => {
    const row = await tx.get<EndableRow>(SELECT_HELD[context.database.dialect], [
      lease.requestId,
      lease.token,
    ]);
    if (row === undefined) return false;
    if (events.length > 0) await insertEvents(tx, row.number, row.attempts, events);
    return endRequest(tx, row, result, output, context.clock.now());
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
  if (!(await endRequest(tx, row, result, output, now))) return false;
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

/** The fence: the row is found, and held, by the holder of its current lease alone. */
const SELECT_HELD = perDialect(
  ({ lock }) =>
    `SELECT ${ENDABLE_COLUMNS} FROM requests WHERE id = $1 AND lease_token = $2 AND state = 'running'${lock}`,
);

// Without RETURNING, which costs SQLite as much as the change itself.
const END = `UPDATE requests SET state = $1, ended_at = $2, status_code = $3, error = $4, error_type = $5,
    billable_units = $6, inference_seconds = $7, output_pixels = $8, remove_payloads_at = $9,
    lease_token = NULL, lease_expires_at = NULL, lease_ms = NULL
  WHERE number = $10 AND state = $11`;

/** One commit: state, result and the webhook delivery owed. False when the request has moved on. */
async function endRequest(
  tx: Statements,
  row: EndableRow,
  result: RequestResult,
  output: PlacedPayload,
  now: number,
): Promise<boolean> {
  const changed = await tx.run(END, [
    result.state,
    now,
    result.statusCode,
    trimError(result.error),
    result.errorType ?? null,
    result.billableUnits,
    result.inferenceSeconds,
    result.outputPixels ?? null,
    row.keeps_payloads === 1 ? null : now + FORGET_MS,
    row.number,
    row.state,
  ]);
  if (changed === 0) return false;
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
  return true;
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
