import {
  createFlatError,
  type ErrorDetail,
  type ErrorEntry,
  getErrorStatus,
  MODEL_ERRORS,
  type RequestErrorType,
} from "@sluice/protocol";
import type { AttemptFailure, RequestResult } from "../queue/request-queue.ts";

type Headers = Readonly<Record<string, string>>;

/** What the caller is told when the last attempt failed in this way. */
export const FAILURE_ERRORS: Readonly<Record<AttemptFailure["kind"], RequestErrorType>> = {
  connection_error: "runner_disconnected",
  server_error: "runner_server_error",
  timeout: "request_timeout",
  setup_failed: "runner_scheduling_failure",
};

/** The model's own error or a refused input: `{"detail":[…]}` (fal model API, "Errors: model error types"). */
export function createListResult(detail: readonly ErrorDetail[], status?: number): RequestResult {
  const type = detail[0]?.type ?? "internal_server_error";
  const statusCode = status ?? getErrorStatus(type);
  const table: Readonly<Record<string, ErrorEntry>> = MODEL_ERRORS;
  const isRetryable = table[type]?.retryable ?? false;
  return {
    ...createFailure(
      statusCode,
      { detail },
      {
        "x-fal-retryable": String(isRetryable),
        "x-fal-needs-retry": isRetryable ? "1" : "0",
      },
    ),
    error: `Invalid status code: ${statusCode}`,
    errorType: type,
  };
}

/**
 * What the platform says about a request as a whole: `{"detail":"…","error_type":"…"}` (fal model API, "Errors:
 * request error types").
 */
export function createFlatResult(
  type: RequestErrorType,
  options: { readonly detail?: string; readonly headers?: Headers } = {},
): RequestResult {
  const body = createFlatError(type, options.detail);
  return {
    ...createFailure(getErrorStatus(type), body, { "x-fal-error-type": type, ...options.headers }),
    ...(type === "client_cancelled" || type === "client_disconnected" ? { state: "cancelled" } : {}),
    error: body.detail,
    errorType: type,
  };
}

function createFailure(statusCode: number, body: unknown, headers: Headers): RequestResult {
  return {
    state: "failed",
    statusCode,
    headers: { "content-type": "application/json", "x-fal-billable-units": "0", ...headers },
    body: Buffer.from(JSON.stringify(body)),
    billableUnits: 0,
    inferenceSeconds: null,
    fileIds: [],
  };
}
