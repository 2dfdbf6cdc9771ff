import { formatBytes } from "../terminal/format-bytes.ts";
import { formatDuration } from "../terminal/format-duration.ts";
import { formatTable } from "../terminal/format-table.ts";

/** One request as `/v1/sluice/requests/{request_id}` tells it. Times are ISO 8601. */
export interface RequestDetail {
  readonly request_id: string;
  readonly endpoint_id: string;
  readonly state: string;
  readonly created_at: string;
  readonly started_at: string | null;
  readonly ended_at: string | null;
  readonly attempts: number;
  readonly status_code: number | null;
  readonly error: string | null;
  readonly error_type: string | null;
  readonly timeline: readonly TimelineEvent[];
  /** The input while it is stored, and the result, of an error too. */
  readonly json_input?: unknown;
  readonly json_output?: unknown;
  readonly logs: readonly { readonly timestamp: string; readonly level: string; readonly message: string }[];
}

interface TimelineEvent {
  readonly kind: string;
  readonly at: string;
  readonly attempt: number;
  readonly data: Readonly<Record<string, unknown>>;
}

/** A request for people: what became of it, its input, what happened when (counted from its submit), and its logs. */
export function formatRequest(request: RequestDetail, columns = 120): string {
  const status = request.status_code === null ? "" : `, status ${request.status_code}`;
  const attempts = request.attempts > 1 ? `, ${request.attempts} attempts` : "";
  const facts = [
    ["request", request.request_id],
    ["endpoint", request.endpoint_id],
    ["state", `${request.state}${status}${attempts}`],
    ["created", toClock(request.created_at)],
    ["waited", formatSpan(request.created_at, request.started_at)],
    ["took", formatSpan(request.started_at, request.ended_at)],
    ...(request.error === null ? [] : [["error", describeError(request)]]),
    ...(request.error === null ? [] : listFieldErrors(request.json_output)),
  ];
  const fields = Object.entries(request.json_input ?? {}).map(([name, value]) => [name, toText(value)]);
  const events = request.timeline.map((event) => [
    formatSpan(request.created_at, event.at),
    event.attempt === 0 ? "" : String(event.attempt),
    event.kind.replaceAll("_", " "),
    describeEvent(event),
  ]);
  const logs = request.logs.map(({ timestamp, level, message }) => [
    formatSpan(request.created_at, timestamp),
    level.toLowerCase(),
    message,
  ]);
  const parts = [
    formatTable(["", ""], facts, columns).trimStart(),
    ...(fields.length === 0 ? [] : [formatTable(["INPUT", ""], fields, columns)]),
    ...(events.length === 0 ? [] : [formatTable(["AFTER", "ATTEMPT", "EVENT", ""], events, columns)]),
    ...(logs.length === 0 ? [] : [formatTable(["AFTER", "LEVEL", "LOG"], logs, columns)]),
  ];
  return parts.join("\n\n");
}

/** An error, with its type where the text, as callers get it, is no more than the status. Empty without one. */
export function describeError({
  error,
  error_type,
}: Readonly<Record<"error" | "error_type", string | null>>): string {
  if (error === null) return "";
  return error_type !== null && /^Invalid status code: \d+$/.test(error) ? `${error} (${error_type})` : error;
}

/** Rows of the fields that a validation error names, each with what is wrong with it. */
function listFieldErrors(output: unknown): string[][] {
  const { detail } = (output ?? {}) as { readonly detail?: unknown };
  if (!Array.isArray(detail)) return [];
  return (detail as readonly { readonly loc?: readonly (string | number)[]; readonly msg?: unknown }[]).map(
    ({ loc = [], msg }) => ["", `${loc.slice(1).join(".") || "input"}: ${toText(msg)}`],
  );
}

function toText(value: unknown): string {
  return typeof value === "string" ? value : (JSON.stringify(value) ?? "");
}

/** Time between two moments, or `-` when one of them has not come. */
export function formatSpan(from: string | null, to: string | null): string {
  return from === null || to === null ? "-" : formatDuration(Date.parse(to) - Date.parse(from));
}

/** `2026-11-28 12:57:45`, UTC. */
export function toClock(at: string): string {
  return at.slice(0, 19).replace("T", " ");
}

function describeEvent({ kind, data }: TimelineEvent): string {
  switch (kind) {
    case "loaded":
      if (data["warm"] === true) return "was in memory";
      return typeof data["load_ms"] === "number" ? `in ${formatDuration(data["load_ms"])}` : "";
    case "decoded":
      return typeof data["image"] === "number" ? `picture ${data["image"] + 1}` : "";
    case "stored":
      if (typeof data["files"] !== "number" || typeof data["bytes"] !== "number") return "";
      return `${data["files"]} file${data["files"] === 1 ? "" : "s"}, ${formatBytes(data["bytes"])}`;
    case "abandoned":
      return typeof data["message"] === "string" ? data["message"] : "";
    case "ended":
      return typeof data["state"] === "string" ? data["state"] : "";
    default:
      return "";
  }
}
