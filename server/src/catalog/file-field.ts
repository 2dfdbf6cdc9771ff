import type { JsonSchema } from "@sluice/runtime/model";

const FILE_FIELDS = new Set<unknown>(["image", "file", "video", "audio"]);
/** Longest http(s) URL of an input file, in characters. */
const MAX_URL_LENGTH = 2048;

/** True for a property that holds a file: `ui: {"field": "image"}` (or `file`, `video`, `audio`). */
export function isFileField(schema: JsonSchema): boolean {
  const ui = schema["ui"];
  return typeof ui === "object" && ui !== null && FILE_FIELDS.has((ui as { field?: unknown }).field);
}

/** The URL in what callers put into a file field: the text itself, or an object with `url`. */
export function findFileUrl(value: unknown): string | undefined {
  if (typeof value === "string") return value;
  if (typeof value !== "object" || value === null) return undefined;
  const { url } = value as { url?: unknown };
  return typeof url === "string" ? url : undefined;
}

/** True for a data URI and for an http(s) URL of bearable length. */
export function isFileUrl(text: string): boolean {
  if (/^data:/i.test(text)) return text.slice(0, 1024).includes(",");
  return /^https?:\/\//i.test(text) && text.length <= MAX_URL_LENGTH && URL.canParse(text);
}
