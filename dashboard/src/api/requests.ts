import { call } from "./call.ts";
import type { LogLine } from "./watch-request.ts";

export type RequestState = "queued" | "running" | "succeeded" | "failed" | "cancelled";

export const STATES: readonly RequestState[] = ["queued", "running", "succeeded", "failed", "cancelled"];

/** A request as `/v1/sluice/requests` tells it. */
export interface RequestRow {
  readonly request_id: string;
  readonly endpoint_id: string;
  readonly key_id: string | null;
  readonly surface: string;
  readonly state: RequestState;
  readonly created_at: string;
  readonly started_at: string | null;
  readonly ended_at: string | null;
  readonly attempts: number;
  readonly status_code: number | null;
  readonly error: string | null;
  readonly error_type: string | null;
  readonly inference_time: number | null;
  readonly input_excerpt?: string | null;
  readonly json_input?: unknown;
  readonly json_output?: unknown;
}

export interface TimelineEvent {
  readonly kind: string;
  readonly at: string;
  readonly attempt: number | null;
  readonly data: unknown;
}

export interface RequestDetail extends RequestRow {
  readonly queue_position: number | null;
  readonly waiting: { readonly reason: string; readonly message: string } | null;
  readonly timeline: readonly TimelineEvent[];
  readonly logs: readonly (LogLine & { readonly sequence: number })[];
}

export interface RequestFilter {
  readonly endpoint_id?: string;
  readonly state?: string;
  readonly key_id?: string;
  readonly request_id?: string;
  /** Part of the input, the error, the tags or the id. */
  readonly q?: string;
  /** ISO times: inclusive start, exclusive end. */
  readonly start?: string;
  readonly end?: string;
  readonly cursor?: string;
  readonly limit?: number;
  readonly expand?: "payloads" | "excerpt";
}

export interface RequestPage {
  readonly requests: readonly RequestRow[];
  readonly next_cursor: string | null;
  /** Of a search by text that stopped before the page was full: how far it looked. */
  readonly searched_to: string | null;
}

export function listRequests(filter: RequestFilter, signal?: AbortSignal): Promise<RequestPage> {
  const query = new URLSearchParams();
  for (const [name, value] of Object.entries({ limit: 50, ...filter }))
    if (value !== undefined && value !== "") query.set(name, String(value));
  return call(`/v1/sluice/requests?${query}`, signal === undefined ? {} : { signal });
}

/** @param logsAfter only log lines after the one of this sequence */
export function getRequest(id: string, signal?: AbortSignal, logsAfter = 0): Promise<RequestDetail> {
  return call(
    `/v1/sluice/requests/${encodeURIComponent(id)}?expand=payloads&logs_after=${logsAfter}`,
    signal === undefined ? {} : { signal },
  );
}

/** `1.23 s`, `2 min 5 s`. */
export function formatSeconds(seconds: number): string {
  if (seconds < 10) return `${seconds.toFixed(2)} s`;
  if (seconds < 60) return `${seconds.toFixed(1)} s`;
  return `${Math.floor(seconds / 60)} min ${Math.round(seconds % 60)} s`;
}

/** How long ago, in words. */
export function formatAgo(time: string, now: number = Date.now()): string {
  const seconds = Math.max(Math.round((now - Date.parse(time)) / 1000), 0);
  if (seconds < 5) return "just now";
  if (seconds < 60) return `${seconds} s ago`;
  if (seconds < 3600) return `${Math.floor(seconds / 60)} min ago`;
  if (seconds < 86_400) return `${Math.floor(seconds / 3600)} h ago`;
  return new Date(time).toLocaleDateString();
}
