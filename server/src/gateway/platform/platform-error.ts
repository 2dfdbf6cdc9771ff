import type { PlatformErrorType } from "../respond.ts";

const STATUSES: Readonly<Record<PlatformErrorType, number>> = {
  validation_error: 400,
  authorization_error: 401,
  not_found: 404,
  rate_limited: 429,
  server_error: 500,
  not_implemented: 501,
};

/** Ends a platform route: the caller gets `{"error":{"type","message"}}` with the type's status. */
export class PlatformError extends Error {
  readonly type: PlatformErrorType;
  readonly status: number;
  constructor(type: PlatformErrorType, message: string) {
    super(message);
    this.name = "PlatformError";
    this.type = type;
    this.status = STATUSES[type];
  }
}
