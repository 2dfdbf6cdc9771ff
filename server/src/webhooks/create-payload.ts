import { resolveFileLinks } from "../files/file-links.ts";
import type { RequestId } from "../ids.ts";
import type { StoredResult } from "../queue/request-queue.ts";

/** What a webhook tells: a request that has ended. */
export interface EndedRequest {
  readonly id: RequestId;
  readonly statusCode: number;
  /** Undefined when it is not stored any more. */
  readonly result: StoredResult | undefined;
}

/**
 * The body of a delivery as JSON bytes (fal model API, "Webhooks: payload"): `status` is OK when the model answered
 * 2xx; `payload` is the result as it is served, byte for byte, with links to files made absolute, or null beside a
 * `payload_error` when it is not JSON.
 *
 * @param filesUrl base of file URLs without a trailing slash
 */
export function createWebhookPayload(request: EndedRequest, filesUrl: string): Uint8Array {
  const { id, statusCode, result } = request;
  const isOk = statusCode >= 200 && statusCode < 300;
  const json = result === undefined ? undefined : readJson(resolveFileLinks(result.body, filesUrl));
  const fields = {
    request_id: id,
    gateway_request_id: id,
    status: isOk ? "OK" : "ERROR",
    ...(isOk ? {} : { error: describeError(statusCode, result, json?.value) }),
    ...(json === undefined ? { payload_error: result === undefined ? REMOVED : NOT_JSON } : {}),
  };
  // The result's own text goes in, so that numbers keep every digit.
  const head = JSON.stringify(fields).slice(0, -1);
  return Buffer.from(`${head},"payload":${json?.text ?? "null"}}`);
}

const NOT_JSON =
  "Response payload is not JSON serializable. Either return a JSON serializable object or use the queue endpoint to retrieve the response.";
const REMOVED = "The result was removed before it could be delivered.";

function readJson(body: Uint8Array): { readonly text: string; readonly value: unknown } | undefined {
  try {
    const text = new TextDecoder("utf-8", { fatal: true }).decode(body);
    return { text, value: JSON.parse(text) };
  } catch {
    return undefined;
  }
}

/** Failures of the platform are told in its words, except those that callers know by their status. */
function describeError(statusCode: number, result: StoredResult | undefined, body: unknown): string {
  const isPlatforms = result?.headers["x-fal-error-type"] !== undefined;
  const detail = (body as { readonly detail?: unknown } | null | undefined)?.detail;
  return isPlatforms && !BY_STATUS.has(statusCode) && typeof detail === "string"
    ? detail
    : `Invalid status code: ${statusCode}`;
}

/** Cancelled, and too late. */
const BY_STATUS: ReadonlySet<number> = new Set([499, 504]);
