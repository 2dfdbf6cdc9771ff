import { isAscii } from "node:buffer";
import { resolveFileLinks } from "../files/file-links.ts";
import { CORS_HEADERS } from "./respond.ts";

/** What a model answered, or the platform in its place. */
export interface StoredAnswer {
  readonly statusCode: number;
  readonly headers: Readonly<Record<string, string>>;
  readonly body: Uint8Array;
}

/**
 * The answer of a model as HTTP: its status, its body with links to files made absolute, and its own headers with
 * ours added.
 *
 * @param options `strict`: a `detail` in words gets no `message` beside it
 */
export function respondStored(
  stored: StoredAnswer,
  filesUrl: string,
  headers: Readonly<Record<string, string>>,
  options: { readonly strict: boolean },
): Response {
  const { statusCode } = stored;
  const resolved = resolveFileLinks(stored.body, filesUrl);
  const body = statusCode >= 400 && !options.strict ? addMessage(resolved) : resolved;
  return new Response(NULL_BODY_STATUSES.has(statusCode) ? null : toBody(body), {
    status: statusCode,
    headers: { "content-type": "application/json", ...stored.headers, ...CORS_HEADERS, ...headers },
  });
}

/** Small plain text goes out as a string: Node then writes head and body at once, which halves the cost of a result. */
function toBody(body: Uint8Array): string | Uint8Array<ArrayBuffer> {
  if (body.byteLength > MAX_TEXT_BYTES || !isAscii(body)) return body as Uint8Array<ArrayBuffer>;
  return Buffer.from(body.buffer, body.byteOffset, body.byteLength).toString("latin1");
}

const MAX_TEXT_BYTES = 16_384;
const NULL_BODY_STATUSES: ReadonlySet<number> = new Set([204, 205, 304]);
const MAX_MESSAGE_BODY_BYTES = 8_192;

/** The official client shows `message`, which the hosted service's bodies do not have. */
function addMessage(body: Uint8Array): Uint8Array {
  if (body.byteLength > MAX_MESSAGE_BODY_BYTES) return body;
  try {
    const value: unknown = JSON.parse(Buffer.from(body).toString("utf8"));
    if (typeof value !== "object" || value === null || "message" in value) return body;
    const { detail } = value as { detail?: unknown };
    return typeof detail === "string" ? Buffer.from(JSON.stringify({ ...value, message: detail })) : body;
  } catch {
    return body; // not JSON: as the model gave it
  }
}
