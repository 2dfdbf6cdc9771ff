import { resolveFileLinks } from "../files/file-links.ts";
import { CORS_HEADERS } from "./respond.ts";

/**
 * The answer of a model as HTTP: its status, its body with links to files made absolute, and its own headers with
 * ours added.
 */
export function respondStored(
  stored: {
    readonly statusCode: number;
    readonly headers: Readonly<Record<string, string>>;
    readonly body: Uint8Array;
  },
  filesUrl: string,
  headers: Readonly<Record<string, string>>,
): Response {
  const hasNoBody = NULL_BODY_STATUSES.has(stored.statusCode);
  return new Response(
    hasNoBody ? null : (resolveFileLinks(stored.body, filesUrl) as Uint8Array<ArrayBuffer>),
    {
      status: stored.statusCode,
      headers: {
        "content-type": "application/json",
        ...stored.headers,
        ...CORS_HEADERS,
        ...headers,
      },
    },
  );
}

const NULL_BODY_STATUSES: ReadonlySet<number> = new Set([204, 205, 304]);
