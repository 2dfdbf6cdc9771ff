import { createFlatError, type ErrorDetail, getErrorStatus, type RequestErrorType } from "@sluice/protocol";

/** Sent with every answer: any page may call this server, with a key of its own. */
export const CORS_HEADERS: Readonly<Record<string, string>> = {
  "access-control-allow-origin": "*",
  "access-control-expose-headers": [
    "x-fal-request-id",
    "x-fal-billable-units",
    "x-fal-request-timeout-type",
    "x-fal-error-type",
    "x-fal-retryable",
    "x-fal-needs-retry",
    "x-fal-served-from",
    "x-fal-runner-hints",
    "x-model",
    "etag",
    "retry-after",
    "content-range",
    "location",
  ].join(", "),
};

type Headers = Readonly<Record<string, string>>;

/** Builds answers in the shapes of the fal model API, "Errors: body shapes". */
export interface Respond {
  json(status: number, body: unknown, headers?: Headers): Response;
  /** `{"detail":"…"}`: authentication, unknown paths. */
  sentence(status: number, detail: string, headers?: Headers): Response;
  /** `{"detail":"…","error_type":"…"}` with `X-Fal-Error-Type`; the status and the default text are the table's. */
  flat(type: RequestErrorType, detail?: string, headers?: Headers): Response;
  /** `{"detail":[…]}`; the status is that of the first item's type. */
  list(detail: readonly ErrorDetail[], headers?: Headers): Response;
  /** `{"error":{"type":"…","message":"…"}}`: everything under `/v1`. */
  platform(status: number, type: PlatformErrorType, message: string, headers?: Headers): Response;
}

export type PlatformErrorType =
  | "authorization_error"
  | "validation_error"
  | "not_found"
  | "rate_limited"
  | "server_error"
  | "not_implemented";

/** @param options `strict`: leave out `message` beside a `detail` in words, which the hosted service does not send */
export function createRespond(options: { readonly strict: boolean }): Respond {
  const respond: Respond = {
    json: (status, body, headers) => respondJson(status, body, headers),
    sentence: (status, detail, headers) =>
      respondJson(status, options.strict ? { detail } : { detail, message: detail }, headers),
    flat(type, detail, headers) {
      const body = createFlatError(type, detail);
      return respondJson(getErrorStatus(type), options.strict ? body : { ...body, message: body.detail }, {
        "x-fal-error-type": type,
        ...headers,
      });
    },
    list: (detail, headers) =>
      respondJson(
        getErrorStatus(detail[0]?.type ?? ""),
        { detail },
        {
          "x-fal-billable-units": "0",
          "x-fal-retryable": "false",
          "x-fal-needs-retry": "0",
          ...headers,
        },
      ),
    platform: (status, type, message, headers) => respondJson(status, { error: { type, message } }, headers),
  };
  return respond;
}

function respondJson(status: number, body: unknown, headers: Headers = {}): Response {
  return new Response(JSON.stringify(body), {
    status,
    headers: { "content-type": "application/json", ...CORS_HEADERS, ...headers },
  });
}

/** Adds what every answer has, where the route did not. */
export function addCommonHeaders(response: Response, requestId: string): Response {
  const { headers } = response;
  if (!headers.has("x-fal-request-id")) headers.set("x-fal-request-id", requestId);
  if (!headers.has("access-control-allow-origin"))
    for (const [name, value] of Object.entries(CORS_HEADERS)) headers.set(name, value);
  return response;
}
