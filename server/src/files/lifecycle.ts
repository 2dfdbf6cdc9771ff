import { parseFileAcl } from "./file-acl.ts";
import type { FileAcl } from "./file-store.ts";

/** What a caller asks for a file: how long it is kept and who may read it. Absent members: the server's defaults. */
export interface FileLifecycle {
  /** Time from creation to expiry in milliseconds; null: for ever. */
  readonly expiresAfterMs?: number | null;
  readonly acl?: FileAcl;
}

/** The header or body cannot be used; the message says why and is for the caller. */
export class LifecycleError extends Error {
  constructor(message: string) {
    super(message);
    this.name = "LifecycleError";
  }
}

/**
 * Reads the JSON of `X-Fal-Object-Lifecycle` or `X-Fal-Object-Lifecycle-Preference`:
 * `{"expiration_duration_seconds": 3600, "initial_acl": {"default": "hide", "rules": []}}`. 0 and null seconds mean no
 * expiry; unknown members are ignored.
 *
 * @throws LifecycleError
 */
export function parseLifecycle(text: string): FileLifecycle {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch {
    throw new LifecycleError("The object lifecycle must be JSON.");
  }
  return readLifecycle(value);
}

/** The same from parsed JSON, for example the lifecycle kept with a request. */
export function readLifecycle(value: unknown): FileLifecycle {
  if (typeof value !== "object" || value === null || Array.isArray(value))
    throw new LifecycleError("The object lifecycle must be a JSON object.");
  const { expiration_duration_seconds: seconds, initial_acl: initialAcl } = value as {
    expiration_duration_seconds?: unknown;
    initial_acl?: unknown;
  };
  return { ...readExpiry(seconds), ...readAcl(initialAcl) };
}

/** Epoch milliseconds at which a file made now expires; null: never. */
export function getExpiry(
  lifecycle: FileLifecycle,
  now: number,
  fileRetentionMs: number | null,
): number | null {
  const after = lifecycle.expiresAfterMs === undefined ? fileRetentionMs : lifecycle.expiresAfterMs;
  return after === null ? null : now + after;
}

const MAX_SECONDS = 100 * 366 * 86_400;

function readExpiry(seconds: unknown): Pick<FileLifecycle, "expiresAfterMs"> {
  if (seconds === undefined) return {};
  if (seconds === null || seconds === 0) return { expiresAfterMs: null };
  if (typeof seconds !== "number" || !Number.isFinite(seconds) || seconds < 0 || seconds > MAX_SECONDS)
    throw new LifecycleError('"expiration_duration_seconds" must be a number of seconds or null.');
  return { expiresAfterMs: Math.round(seconds * 1000) };
}

function readAcl(value: unknown): Pick<FileLifecycle, "acl"> {
  if (value === undefined || value === null) return {};
  const acl = parseFileAcl(value);
  if (typeof acl === "string") throw new LifecycleError(`"initial_acl" is not usable: it ${acl}.`);
  return { acl };
}
