import type { AccountId, KeyId, RequestId } from "../ids.ts";
import type { LineEntry } from "./positions.ts";
import type { Priority, RequestOutline, RequestRecord, RequestState } from "./request-queue.ts";

/** Columns of a {@link RequestRow}, of `requests AS r` joined with `payloads AS p`. */
export const REQUEST_COLUMNS: string = [
  ...[
    "number",
    "id",
    "account_id",
    "key_id",
    "endpoint_id",
    "app",
    "surface",
    "state",
    "priority",
    "fair_rank",
  ],
  ...["created_at", "started_at", "ended_at", "start_deadline_at", "timeout_ms", "hint", "keeps_payloads"],
  ...["attempts", "is_cancel_requested", "status_code", "error", "error_type", "billable_units"],
  ...["inference_seconds", "output_pixels"],
]
  .map((column) => `r.${column}`)
  .concat("p.webhook_url", "p.file_lifecycle", "p.tags", "p.headers")
  .join(", ");

export interface RequestRow {
  readonly number: number;
  readonly id: string;
  readonly account_id: string;
  readonly key_id: string | null;
  readonly endpoint_id: string;
  readonly app: string;
  readonly surface: string;
  readonly state: string;
  readonly priority: number;
  readonly fair_rank: number;
  readonly created_at: number;
  readonly started_at: number | null;
  readonly ended_at: number | null;
  readonly start_deadline_at: number | null;
  readonly timeout_ms: number;
  readonly hint: string | null;
  readonly keeps_payloads: number;
  readonly attempts: number;
  readonly is_cancel_requested: number;
  readonly status_code: number | null;
  readonly error: string | null;
  readonly error_type: string | null;
  readonly billable_units: number | null;
  readonly inference_seconds: number | null;
  readonly output_pixels: number | null;
  readonly webhook_url: string | null;
  readonly file_lifecycle: string | null;
  readonly tags: string | null;
  readonly headers: string | null;
}

export function toRecord(row: RequestRow): RequestRecord {
  return {
    id: row.id as RequestId,
    accountId: row.account_id as AccountId,
    keyId: row.key_id as KeyId | null,
    endpointId: row.endpoint_id,
    app: row.app,
    surface: row.surface as RequestRecord["surface"],
    state: row.state as RequestState,
    priority: row.priority === 0 ? "normal" : "low",
    createdAt: row.created_at,
    startedAt: row.started_at,
    endedAt: row.ended_at,
    attempts: row.attempts,
    isCancelRequested: row.is_cancel_requested === 1,
    timeoutMs: row.timeout_ms,
    startDeadlineAt: row.start_deadline_at,
    hint: row.hint,
    webhookUrl: row.webhook_url,
    keepsPayloads: row.keeps_payloads === 1,
    fileLifecycle: decode(row.file_lifecycle) ?? null,
    tags: (decode(row.tags) ?? {}) as Record<string, string>,
    headers: (decode(row.headers) ?? {}) as Record<string, string>,
    statusCode: row.status_code,
    error: row.error,
    errorType: row.error_type,
    billableUnits: row.billable_units,
    inferenceSeconds: row.inference_seconds,
    outputPixels: row.output_pixels,
  };
}

/** Columns of an {@link OutlineRow}, of `requests`. */
export const OUTLINE_COLUMNS: string =
  "id, account_id, endpoint_id, app, surface, state, hint, error, error_type, inference_seconds";

export type OutlineRow = Pick<
  RequestRow,
  | "id"
  | "account_id"
  | "endpoint_id"
  | "app"
  | "surface"
  | "state"
  | "hint"
  | "error"
  | "error_type"
  | "inference_seconds"
>;

export function toOutline(row: OutlineRow): RequestOutline {
  return {
    id: row.id as RequestId,
    accountId: row.account_id as AccountId,
    endpointId: row.endpoint_id,
    app: row.app,
    surface: row.surface as RequestOutline["surface"],
    state: row.state as RequestState,
    hint: row.hint,
    error: row.error,
    errorType: row.error_type,
    inferenceSeconds: row.inference_seconds,
  };
}

export function toEntry(
  row: Pick<RequestRow, "id" | "app" | "endpoint_id" | "priority" | "fair_rank">,
): LineEntry {
  return {
    id: row.id,
    app: row.app,
    endpointId: row.endpoint_id,
    priority: row.priority,
    fairRank: row.fair_rank,
  };
}

export const encodePriority = (priority: Priority): number => (priority === "low" ? 1 : 0);

/** JSON for a column; null for nothing and for an empty object. */
export function encode(value: Readonly<Record<string, unknown>> | undefined): string | null {
  if (value === undefined) return null;
  const text = JSON.stringify(value);
  return text === "{}" ? null : text;
}

function decode(text: string | null): Record<string, unknown> | undefined {
  return text === null ? undefined : (JSON.parse(text) as Record<string, unknown>);
}
