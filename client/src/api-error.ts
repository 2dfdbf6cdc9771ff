import type { Untyped } from "./untyped.ts";

/** One complaint about one field. */
export type ValidationErrorInfo = {
  msg: string;
  /** Where: `["body", "image_size", "width"]`. */
  loc: Array<string | number>;
  type: string;
  url?: string;
  ctx?: Record<string, Untyped>;
  input?: Untyped;
};

export type ApiErrorArgs = {
  message: string;
  status: number;
  body?: Untyped;
  requestId?: string | undefined;
  timeoutType?: string | undefined;
  errorType?: string | undefined;
  isRetryable?: boolean | undefined;
  retryAfterMs?: number | undefined;
  cause?: unknown;
};

/**
 * The server answered with an error. The message is what the server said is wrong, in one line; `status`, `body`
 * and `requestId` are its answer. A server that cannot be reached throws {@link ConnectionError} instead.
 */
export class ApiError<Body = Untyped> extends Error {
  readonly status: number;
  readonly body: Body;
  /** Empty when the server named none. */
  readonly requestId: string;
  /** `user` when the deadline of `startTimeout` passed. */
  declare readonly timeoutType?: string;
  /** The platform's code of the error, such as `request_timeout` or `client_cancelled`. */
  declare readonly errorType?: string;
  /** What the server says about sending the same request again, when it says so. */
  declare readonly isRetryable?: boolean;
  /** How long the server asks to wait before the next try. */
  declare readonly retryAfterMs?: number;

  constructor(args: ApiErrorArgs) {
    super(args.message, args.cause === undefined ? undefined : { cause: args.cause });
    this.name = "ApiError";
    this.status = args.status;
    this.body = args.body;
    this.requestId = args.requestId ?? "";
    if (args.timeoutType !== undefined) this.timeoutType = args.timeoutType;
    if (args.errorType !== undefined) this.errorType = args.errorType;
    if (args.isRetryable !== undefined) this.isRetryable = args.isRetryable;
    if (args.retryAfterMs !== undefined) this.retryAfterMs = args.retryAfterMs;
  }

  /** The caller's own `startTimeout` passed; trying again is up to the caller. */
  get isUserTimeout(): boolean {
    return this.status === 504 && this.timeoutType === "user";
  }
}

/** The input does not fit the endpoint (422): `fieldErrors` says which fields and why. */
export class ValidationError extends ApiError<{ detail: ValidationErrorInfo[] }> {
  constructor(args: ApiErrorArgs) {
    super(args);
    this.name = "ValidationError";
  }

  get fieldErrors(): ValidationErrorInfo[] {
    const detail: unknown = (this.body as Untyped)?.detail;
    if (typeof detail === "string") return [{ loc: ["body"], msg: detail, type: "value_error" }];
    return Array.isArray(detail) ? detail : [];
  }

  /** The complaints whose innermost location is `field`. */
  getFieldErrors(field: string): ValidationErrorInfo[] {
    return this.fieldErrors.filter((error) => error.loc.at(-1) === field);
  }
}

/** The server could not be reached, or went away before it had answered. `cause` is what the runtime said. */
export class ConnectionError extends TypeError {
  readonly url: string;
  /** The request to resume, when there was one already. */
  declare requestId?: string;

  constructor(message: string, url: string, cause: unknown) {
    super(message, { cause });
    this.name = "ConnectionError";
    this.url = url;
  }
}
