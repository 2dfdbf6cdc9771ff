import type { RequestLog } from "@sluice/protocol";
import type { Statements } from "../database/database.ts";
import type { NewEvent, StoredEvent, StoredLog } from "./request-queue.ts";

/** A request's history ends here, with a line that says so; it is not a place for bulk data. */
const MAX_EVENTS = 20_000;

/** Appends to the history of a request. The caller holds the request's row, so sequences cannot collide. */
export async function insertEvents(
  tx: Statements,
  requestNumber: number,
  attempt: number,
  events: readonly NewEvent[],
): Promise<void> {
  const [only] = events;
  if (events.length === 1 && only !== undefined && only.kind !== "log") {
    await tx.run(INSERT_ONE, [
      requestNumber,
      attempt,
      only.kind,
      Math.round(only.at),
      JSON.stringify(only.data),
    ]);
    return;
  }
  const row = await tx.get<{ last: number | null }>(
    "SELECT max(sequence) AS last FROM events WHERE request_number = $1",
    [requestNumber],
  );
  let sequence = row?.last ?? 0;
  for (const event of events) {
    if (sequence > MAX_EVENTS) return;
    sequence++;
    const kept = sequence > MAX_EVENTS ? TOO_MANY(event.at) : event;
    await tx.run(
      "INSERT INTO events (request_number, sequence, attempt, kind, at, data) VALUES ($1, $2, $3, $4, $5, $6)",
      [requestNumber, sequence, attempt, kept.kind, Math.round(kept.at), JSON.stringify(kept.data)],
    );
  }
}

const INSERT_ONE = `INSERT INTO events (request_number, sequence, attempt, kind, at, data)
  VALUES ($1, (SELECT coalesce(max(sequence), 0) + 1 FROM events WHERE request_number = $1), $2, $3, $4, $5)`;

const TOO_MANY = (at: number): NewEvent => ({
  kind: "log",
  at,
  data: { level: "WARN", message: `Only the first ${MAX_EVENTS} log lines are kept.` },
});

interface EventRow {
  readonly sequence: number;
  readonly attempt: number;
  readonly kind: string;
  readonly at: number;
  readonly data: string;
}

export async function selectLogs(
  tx: Statements,
  requestNumber: number,
  after: number,
  limit: number,
): Promise<readonly StoredLog[]> {
  const rows = await tx.all<EventRow>(
    `SELECT sequence, at, data FROM events
     WHERE request_number = $1 AND sequence > $2 AND kind = 'log' ORDER BY sequence LIMIT $3`,
    [requestNumber, after, limit],
  );
  return rows.map((row) => {
    const data = JSON.parse(row.data) as { message?: unknown; level?: unknown; labels?: unknown };
    return {
      message: String(data.message ?? ""),
      level: (data.level ?? "INFO") as RequestLog["level"],
      source: "USER",
      timestamp: new Date(row.at).toISOString(),
      ...(data.labels === undefined ? {} : { labels: data.labels as Readonly<Record<string, string>> }),
      sequence: row.sequence,
    };
  });
}

/** The request's row as far as it is history itself. */
export interface HistoryRow {
  readonly number: number;
  readonly created_at: number;
  readonly ended_at: number | null;
  readonly attempts: number;
  readonly state: string;
  readonly status_code: number | null;
}

/** What may still happen to a request that has ended. */
const AFTER_END: ReadonlySet<string> = new Set(["delivered", "delivery_given_up"]);

/**
 * Two events are the row itself: `accepted`, sequence 0, and `ended`, which only the end of a webhook delivery follows.
 */
export async function selectEvents(tx: Statements, request: HistoryRow): Promise<readonly StoredEvent[]> {
  const rows = await tx.all<EventRow>(
    "SELECT sequence, attempt, kind, at, data FROM events WHERE request_number = $1 ORDER BY sequence",
    [request.number],
  );
  const before = rows.filter((row) => !AFTER_END.has(row.kind)).map(toEvent);
  const events: StoredEvent[] = [
    { sequence: 0, attempt: 0, kind: "accepted", at: request.created_at, data: {} },
    ...before,
  ];
  if (request.ended_at === null) return events;
  events.push({
    sequence: (before.at(-1)?.sequence ?? 0) + 1,
    attempt: request.attempts,
    kind: "ended",
    at: request.ended_at,
    data: { state: request.state, status_code: request.status_code },
  });
  // Rows know nothing of the end, which takes a place before them.
  const after = rows.filter((row) => AFTER_END.has(row.kind)).map(toEvent);
  return [...events, ...after.map((event) => ({ ...event, sequence: event.sequence + 1 }))];
}

function toEvent(row: EventRow): StoredEvent {
  return {
    sequence: row.sequence,
    attempt: row.attempt,
    kind: row.kind,
    at: row.at,
    data: JSON.parse(row.data) as Record<string, unknown>,
  };
}
