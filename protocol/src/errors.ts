/**
 * Every error that crosses the wire, in one table: what it is called, its HTTP status, whether sending
 * the same request again can help, and who can do something about it.
 *
 * Two families, two body shapes (fal model API, "Errors"):
 * - model errors: `{"detail":[{"loc":["body","prompt"],"msg":"…","type":"<code>"}]}`
 * - request errors: `{"detail":"…","error_type":"<code>"}` with the header `X-Fal-Error-Type`
 */

/** Who can act on an error. */
export type ErrorActor = "caller" | "author" | "operator";

export interface ErrorEntry {
  readonly status: number;
  /** True when the same request may succeed if sent again. */
  readonly retryable: boolean;
  readonly actor: ErrorActor;
  /** Default text; clients must not parse it. `{name}` is filled from `ctx`. */
  readonly message: string;
}

/** Errors of the list shape: validation, and what models report about their input or themselves. */
export const MODEL_ERRORS = {
  internal_server_error: { status: 500, retryable: false, actor: "author", message: "Internal server error" },
  generation_timeout: { status: 504, retryable: true, actor: "author", message: "Generation timeout" },
  downstream_service_error: {
    status: 400,
    retryable: false,
    actor: "operator",
    message: "Downstream service error",
  },
  downstream_service_unavailable: {
    status: 500,
    retryable: true,
    actor: "operator",
    message: "Downstream service unavailable",
  },
  content_policy_violation: {
    status: 422,
    retryable: false,
    actor: "caller",
    message: "The content could not be processed because it contained material flagged by a content checker.",
  },
  no_media_generated: {
    status: 422,
    retryable: false,
    actor: "caller",
    message: "The model made no output for this prompt",
  },
  image_too_small: { status: 422, retryable: false, actor: "caller", message: "Image too small" },
  image_too_large: { status: 422, retryable: false, actor: "caller", message: "Image too large" },
  image_load_error: { status: 422, retryable: false, actor: "caller", message: "Image load error" },
  file_download_error: { status: 422, retryable: false, actor: "caller", message: "File download error" },
  face_detection_error: {
    status: 422,
    retryable: false,
    actor: "caller",
    message: "No face found in the image",
  },
  file_too_large: { status: 422, retryable: false, actor: "caller", message: "File too large" },
  greater_than: {
    status: 422,
    retryable: false,
    actor: "caller",
    message: "Input should be greater than {gt}",
  },
  greater_than_equal: {
    status: 422,
    retryable: false,
    actor: "caller",
    message: "Input should be greater than or equal to {ge}",
  },
  less_than: { status: 422, retryable: false, actor: "caller", message: "Input should be less than {lt}" },
  less_than_equal: {
    status: 422,
    retryable: false,
    actor: "caller",
    message: "Input should be less than or equal to {le}",
  },
  multiple_of: {
    status: 422,
    retryable: false,
    actor: "caller",
    message: "Input should be a multiple of {multiple_of}",
  },
  sequence_too_short: {
    status: 422,
    retryable: false,
    actor: "caller",
    message: "Sequence should have at least {min_length} items",
  },
  sequence_too_long: {
    status: 422,
    retryable: false,
    actor: "caller",
    message: "Sequence should have at most {max_length} items",
  },
  one_of: { status: 422, retryable: false, actor: "caller", message: "Input should be {expected}" },
  feature_not_supported: { status: 422, retryable: false, actor: "caller", message: "Feature not supported" },
  invalid_archive: { status: 422, retryable: false, actor: "caller", message: "The archive cannot be read" },
  archive_file_count_below_minimum: {
    status: 422,
    retryable: false,
    actor: "caller",
    message: "Too few files in the archive",
  },
  archive_file_count_exceeds_maximum: {
    status: 422,
    retryable: false,
    actor: "caller",
    message: "Too many files in the archive",
  },
  audio_duration_too_long: { status: 422, retryable: false, actor: "caller", message: "Audio too long" },
  audio_duration_too_short: { status: 422, retryable: false, actor: "caller", message: "Audio too short" },
  unsupported_audio_format: {
    status: 422,
    retryable: false,
    actor: "caller",
    message: "Unsupported audio format",
  },
  unsupported_image_format: {
    status: 422,
    retryable: false,
    actor: "caller",
    message: "Unsupported image format",
  },
  unsupported_video_format: {
    status: 422,
    retryable: false,
    actor: "caller",
    message: "Unsupported video format",
  },
  video_duration_too_long: { status: 422, retryable: false, actor: "caller", message: "Video too long" },
  video_duration_too_short: { status: 422, retryable: false, actor: "caller", message: "Video too short" },
  // Names of Pydantic 2, which the hosted framework passes through.
  missing: { status: 422, retryable: false, actor: "caller", message: "Field required" },
  json_invalid: { status: 422, retryable: false, actor: "caller", message: "JSON decode error" },
  model_attributes_type: {
    status: 422,
    retryable: false,
    actor: "caller",
    message: "Input should be a valid dictionary or object to extract fields from",
  },
  string_type: { status: 422, retryable: false, actor: "caller", message: "Input should be a valid string" },
  list_type: { status: 422, retryable: false, actor: "caller", message: "Input should be a valid list" },
  dict_type: {
    status: 422,
    retryable: false,
    actor: "caller",
    message: "Input should be a valid dictionary",
  },
  bool_type: { status: 422, retryable: false, actor: "caller", message: "Input should be a valid boolean" },
  bool_parsing: {
    status: 422,
    retryable: false,
    actor: "caller",
    message: "Input should be a valid boolean, unable to interpret input",
  },
  int_type: { status: 422, retryable: false, actor: "caller", message: "Input should be a valid integer" },
  int_parsing: {
    status: 422,
    retryable: false,
    actor: "caller",
    message: "Input should be a valid integer, unable to parse string as an integer",
  },
  int_from_float: {
    status: 422,
    retryable: false,
    actor: "caller",
    message: "Input should be a valid integer, got a number with a fractional part",
  },
  float_type: { status: 422, retryable: false, actor: "caller", message: "Input should be a valid number" },
  float_parsing: {
    status: 422,
    retryable: false,
    actor: "caller",
    message: "Input should be a valid number, unable to parse string as a number",
  },
  finite_number: {
    status: 422,
    retryable: false,
    actor: "caller",
    message: "Input should be a finite number",
  },
  string_too_short: {
    status: 422,
    retryable: false,
    actor: "caller",
    message: "String should have at least {min_length} characters",
  },
  string_too_long: {
    status: 422,
    retryable: false,
    actor: "caller",
    message: "String should have at most {max_length} characters",
  },
  string_pattern_mismatch: {
    status: 422,
    retryable: false,
    actor: "caller",
    message: "String should match pattern '{pattern}'",
  },
  value_error: { status: 422, retryable: false, actor: "caller", message: "Value error" },
  none_required: { status: 422, retryable: false, actor: "caller", message: "Input should be None" },
} as const;

/** Errors of the flat shape: what the platform reports about a request as a whole. */
export const REQUEST_ERRORS = {
  request_timeout: { status: 504, retryable: true, actor: "author", message: "Request timed out" },
  startup_timeout: {
    status: 504,
    retryable: false,
    actor: "caller",
    message: "Request did not start processing in time",
  },
  runner_scheduling_failure: {
    status: 503,
    retryable: true,
    actor: "operator",
    message: "No runner could be allocated for this request",
  },
  runner_connection_timeout: {
    status: 503,
    retryable: true,
    actor: "operator",
    message: "Connection to the runner timed out",
  },
  runner_disconnected: {
    status: 503,
    retryable: true,
    actor: "operator",
    message: "The runner vanished while it processed the request",
  },
  runner_connection_refused: {
    status: 503,
    retryable: true,
    actor: "operator",
    message: "The runner refused the connection",
  },
  runner_connection_error: {
    status: 503,
    retryable: true,
    actor: "operator",
    message: "The connection to the runner failed",
  },
  runner_incomplete_response: {
    status: 502,
    retryable: false,
    actor: "author",
    message: "The runner sent an incomplete response",
  },
  runner_server_error: { status: 500, retryable: false, actor: "author", message: "The runner failed" },
  client_disconnected: {
    status: 499,
    retryable: false,
    actor: "caller",
    message: "The client closed the connection",
  },
  client_cancelled: {
    status: 499,
    retryable: false,
    actor: "caller",
    message: "Request cancelled by the client.",
  },
  bad_request: { status: 400, retryable: false, actor: "caller", message: "Malformed request" },
  internal_error: {
    status: 500,
    retryable: false,
    actor: "operator",
    message: "Unexpected failure of the server",
  },
  concurrent_requests_limit: {
    status: 429,
    retryable: true,
    actor: "caller",
    message: "Too many requests in progress",
  },
  queue_length_exceeded: {
    status: 429,
    retryable: true,
    actor: "caller",
    message: "Queue length limit exceeded",
  },
  rate_limited: { status: 429, retryable: true, actor: "caller", message: "Rate limit exceeded" },
} as const;

export type ModelErrorType = keyof typeof MODEL_ERRORS;
export type RequestErrorType = keyof typeof REQUEST_ERRORS;

/** One item of a list-shaped error body. */
export interface ErrorDetail {
  readonly loc: readonly (string | number)[];
  readonly msg: string;
  readonly type: string;
  readonly url?: string;
  readonly ctx?: Readonly<Record<string, unknown>>;
  readonly input?: unknown;
}

export interface ListErrorBody {
  readonly detail: readonly ErrorDetail[];
}

export interface FlatErrorBody {
  readonly detail: string;
  readonly error_type: string;
}

/** Builds one list item; the message is the table's, filled from `ctx`, unless one is given. */
export function createErrorDetail(
  type: ModelErrorType,
  loc: readonly (string | number)[],
  extra: {
    readonly msg?: string | undefined;
    readonly ctx?: Readonly<Record<string, unknown>> | undefined;
    readonly input?: unknown;
  } = {},
): ErrorDetail {
  const msg = extra.msg ?? fillMessage(MODEL_ERRORS[type].message, extra.ctx ?? {});
  return {
    loc,
    msg,
    type,
    url: `https://docs.fal.ai/errors/#${type}`,
    ...(extra.ctx === undefined ? {} : { ctx: extra.ctx }),
    ...("input" in extra && extra.input !== undefined ? { input: extra.input } : {}),
  };
}

/** Builds a flat body; the text is the table's unless one is given. */
export function createFlatError(type: RequestErrorType, detail?: string): FlatErrorBody {
  return { detail: detail ?? REQUEST_ERRORS[type].message, error_type: type };
}

/** HTTP status of any code of either table; 500 for an unknown one. */
export function getErrorStatus(type: string): number {
  const table: Readonly<Record<string, ErrorEntry>> = { ...MODEL_ERRORS, ...REQUEST_ERRORS };
  return table[type]?.status ?? 500;
}

function fillMessage(template: string, ctx: Readonly<Record<string, unknown>>): string {
  return template.replace(/\{(\w+)\}/g, (whole, name: string) => {
    const value = ctx[name];
    if (value === undefined) return whole;
    if (!Array.isArray(value)) return String(value);
    const words = value.map((item) => `'${String(item)}'`);
    const last = words.pop() ?? "";
    return words.length === 0 ? last : `${words.join(", ")} or ${last}`;
  });
}
