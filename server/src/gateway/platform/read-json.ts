import { readBody } from "../read-body.ts";
import { invalid } from "./read-query.ts";

const MAX_BYTES = 1024 * 1024;

/** The members of a JSON object in a request's body. @throws PlatformError for anything else */
export async function readJson(request: Request): Promise<Readonly<Record<string, unknown>>> {
  const body = await readBody(request, MAX_BYTES);
  if (body.kind === "too_large") throw invalid(`The body is larger than ${MAX_BYTES} bytes.`);
  if (body.kind === "aborted") throw invalid("The body ended before it was whole.");
  const value = parse(body.bytes);
  if (typeof value !== "object" || value === null || Array.isArray(value))
    throw invalid("The body must be a JSON object.");
  return value as Readonly<Record<string, unknown>>;
}

function parse(bytes: Uint8Array | null): unknown {
  try {
    return JSON.parse(new TextDecoder("utf-8", { fatal: true }).decode(bytes ?? new Uint8Array()));
  } catch {
    return undefined;
  }
}
