import { readBody } from "../read-body.ts";

/** Largest JSON body of the file and token routes: ten thousand parts fit. */
const MAX_JSON_BYTES = 2 * 1024 * 1024;

export type JsonBody =
  | { readonly kind: "json"; readonly value: unknown }
  | { readonly kind: "empty" }
  | { readonly kind: "invalid"; readonly reason: string }
  | { readonly kind: "too_large" };

/** Reads a small JSON body, whatever content type it claims. Never more than the limit is held in memory. */
export async function readJsonBody(request: Request): Promise<JsonBody> {
  const body = await readBody(request, MAX_JSON_BYTES);
  if (body.kind === "too_large") return { kind: "too_large" };
  if (body.kind === "aborted") return { kind: "invalid", reason: "the body broke off before its end" };
  const text = Buffer.from(body.bytes ?? []).toString("utf8");
  if (text.trim() === "") return { kind: "empty" };
  try {
    return { kind: "json", value: JSON.parse(text) };
  } catch (error) {
    return { kind: "invalid", reason: error instanceof Error ? error.message : "not JSON" };
  }
}
