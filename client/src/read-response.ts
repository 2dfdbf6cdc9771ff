import { ApiError, ValidationError, type ValidationErrorInfo } from "./api-error.ts";
import type { Untyped } from "./untyped.ts";

/** What `run`, `subscribe` and `queue.result` resolve to. */
export type Result<Data> = {
  data: Data;
  requestId: string;
};

/** Turns an answer into the data that the caller gets; replaces the built-in one. */
export type ResponseHandler<Output> = (response: Response) => Promise<Output>;

export const REQUEST_ID_HEADER = "x-fal-request-id";

/** Parses a successful answer by its content type: JSON, bytes of `application/octet-stream`, else text. */
export async function readData(response: Response): Promise<Untyped> {
  const type = response.headers.get("content-type") ?? "";
  if (/\bjson\b/i.test(type)) return parseJson(await response.text(), response);
  if (/^application\/octet-stream/i.test(type)) return response.arrayBuffer();
  return response.text();
}

/** The error that a refused call throws. Reads the body; a body that cannot be read is left out. */
export async function createApiError(response: Response): Promise<ApiError> {
  const text = await response.text().catch(() => "");
  let body: Untyped = text;
  try {
    body = JSON.parse(text);
  } catch {
    // Not JSON: a gateway in between has answered. The text is the body.
  }
  const header = (name: string) => response.headers.get(name) ?? undefined;
  const ErrorClass = response.status === 422 && typeof body === "object" ? ValidationError : ApiError;
  return new ErrorClass({
    message: describe(body) ?? `HTTP ${response.status}${response.statusText && `: ${response.statusText}`}`,
    status: response.status,
    body,
    requestId: header(REQUEST_ID_HEADER),
    timeoutType: header("x-fal-request-timeout-type"),
    errorType: header("x-fal-error-type") ?? body?.error_type,
    isRetryable: parseFlag(header("x-fal-needs-retry") ?? header("x-fal-retryable")),
    retryAfterMs: parseRetryAfter(header("retry-after")),
  });
}

/** The failure that is sent as the last event of a stream, as an error; undefined when it is an ordinary event. */
export function findStreamError(event: Untyped, requestId: string): ApiError | undefined {
  const error = event?.error;
  if (typeof error !== "object" || typeof error?.status !== "number") return undefined;
  const ErrorClass = error.status === 422 ? ValidationError : ApiError;
  return new ErrorClass({
    message: describe(error.body) ?? event.message ?? "The stream failed",
    status: error.status,
    body: error.body,
    requestId,
    errorType: error.body?.error_type,
  });
}

/** `prompt: Field required; num_images: Input should be …`, or the sentence of the body, if it has one. */
function describe(body: Untyped): string | undefined {
  const detail: unknown = body?.detail ?? body?.message ?? body?.error?.message ?? body?.status;
  if (Array.isArray(detail)) {
    const parts = detail.map((item: Partial<ValidationErrorInfo> | null) => {
      const [first, ...rest]: unknown[] = Array.isArray(item?.loc) ? item.loc : [];
      const place = (first === "body" ? rest : [first, ...rest])
        .filter((part) => part !== undefined)
        .join(".");
      return place === "" ? item?.msg : `${place}: ${item?.msg}`;
    });
    return parts.length === 0 ? undefined : parts.join("; ");
  }
  return typeof detail === "string" && detail !== "" ? detail : undefined;
}

function parseJson(text: string, response: Response): Untyped {
  try {
    return JSON.parse(text);
  } catch (cause) {
    throw new ApiError({
      message: "The server's answer says it is JSON and is not",
      status: response.status,
      body: text,
      requestId: response.headers.get(REQUEST_ID_HEADER) ?? "",
      cause,
    });
  }
}

function parseFlag(text: string | undefined): boolean | undefined {
  return text === undefined ? undefined : /^(1|true)$/i.test(text);
}

/** Seconds or an HTTP date, as milliseconds from now. */
function parseRetryAfter(text: string | undefined): number | undefined {
  if (text === undefined) return undefined;
  const ms = /^\d+(\.\d+)?$/.test(text) ? Number(text) * 1000 : Date.parse(text) - Date.now();
  return Number.isNaN(ms) ? undefined : Math.max(0, ms);
}
