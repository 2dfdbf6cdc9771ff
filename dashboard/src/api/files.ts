import { call } from "./call.ts";

/** A stored file as `/v1/sluice/files` tells it. */
export interface FileRow {
  readonly url: string;
  /** Of a file that is not public. */
  readonly signed_url: string | null;
  readonly file_name: string;
  readonly content_type: string;
  readonly file_size: number;
  readonly kind: "upload" | "output";
  readonly request_id: string | null;
  readonly endpoint_id: string | null;
  readonly created_at: string;
  readonly expires_at: string | null;
  readonly width: number | null;
  readonly height: number | null;
}

export interface FilePage {
  readonly files: readonly FileRow[];
  readonly next_cursor: string | null;
}

export interface FileQuery {
  readonly q?: string;
  readonly kind?: string;
  readonly media?: string;
  readonly endpoint_id?: string;
  readonly request_id?: string;
  readonly start?: string;
  readonly end?: string;
  readonly expires?: string;
  readonly expires_before?: string;
  readonly cursor?: string;
}

export function listFiles(query: FileQuery, signal: AbortSignal): Promise<FilePage> {
  const parameters = new URLSearchParams({ limit: "60" });
  for (const [name, value] of Object.entries(query) as [string, string | undefined][])
    if (value !== undefined && value !== "") parameters.set(name, value);
  return call(`/v1/sluice/files?${parameters}`, { signal });
}

export function deleteFiles(urls: readonly string[]): Promise<{ readonly deleted: number }> {
  return call("/v1/sluice/files/delete", { json: { urls } });
}

/** @param seconds from now; null: never */
export function setFileExpiry(urls: readonly string[], seconds: number | null): Promise<unknown> {
  return call("/v1/sluice/files/expiry", { json: { urls, expires_in_seconds: seconds } });
}

/** A path of this server that downloads all of them as one ZIP. */
export async function createArchive(urls: readonly string[]): Promise<string> {
  const { url } = await call<{ readonly url: string }>("/v1/sluice/files/archives", { json: { urls } });
  return new URL(url).pathname;
}

const UNITS = ["bytes", "kB", "MB", "GB", "TB"];

/** `812 bytes`, `1.4 MB`. */
export function formatBytes(bytes: number): string {
  let value = bytes;
  let unit = 0;
  while (value >= 1000 && unit < UNITS.length - 1) {
    value /= 1000;
    unit++;
  }
  return `${unit === 0 || value >= 100 ? Math.round(value) : value.toFixed(1)} ${UNITS[unit]}`;
}

/** When a file goes, in words. */
export function formatExpiry(at: string | null, now: number = Date.now()): string {
  if (at === null) return "kept for ever";
  const seconds = (Date.parse(at) - now) / 1000;
  if (seconds <= 0) return "expired";
  if (seconds < 3600) return `expires in ${Math.max(1, Math.round(seconds / 60))} min`;
  if (seconds < 2 * 86_400) return `expires in ${Math.round(seconds / 3600)} h`;
  return `expires in ${Math.round(seconds / 86_400)} days`;
}
