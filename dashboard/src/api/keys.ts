import { call } from "./call.ts";

export interface Limits {
  readonly concurrency: number | null;
  readonly queued: number | null;
  readonly requests_per_day: number | null;
  readonly stored_bytes: number | null;
}

export interface Key {
  readonly key_id: string;
  readonly alias: string;
  readonly scope: "API" | "ADMIN";
  readonly created_at: string;
  readonly last_used_at: string | null;
  readonly limits: Limits;
}

/** All keys that are not revoked, newest first; the operator's alone. */
export async function listKeys(signal: AbortSignal): Promise<readonly Key[]> {
  const { keys } = await call<{ readonly keys: readonly Key[] }>("/v1/sluice/keys?limit=1000", { signal });
  return keys;
}

/** @returns `id:secret`, which is told this once */
export async function createKey(fields: {
  readonly alias: string;
  readonly scope: string;
  readonly limits: Limits;
}): Promise<string> {
  const { key } = await call<{ readonly key: string }>("/v1/sluice/keys", { json: fields });
  return key;
}

export function updateKey(
  id: string,
  changes: { readonly alias: string; readonly limits: Limits },
): Promise<unknown> {
  return call(`/v1/sluice/keys/${encodeURIComponent(id)}`, { method: "PATCH", json: changes });
}

export function revokeKey(id: string): Promise<unknown> {
  return call(`/v1/keys/${encodeURIComponent(id)}`, { method: "DELETE" });
}
