import type { GivenPart } from "../../files/upload-store.ts";
import { MAX_PARTS } from "../../files/upload-store.ts";

/**
 * Reads the list of a completion: `{"parts":[{"partNumber":1,"etag":"…"}]}`, or with `part_number` as one kind of
 * caller writes it, in any order. A text says what is wrong.
 */
export function readParts(body: unknown): readonly GivenPart[] | string {
  const { parts } = (body ?? {}) as { parts?: unknown };
  if (!Array.isArray(parts) || parts.length === 0 || parts.length > MAX_PARTS)
    return `"parts" must list the uploaded parts, 1 to ${MAX_PARTS} of them.`;
  const read: GivenPart[] = [];
  for (const part of parts as readonly unknown[]) {
    const { partNumber, part_number, etag } = (part ?? {}) as Record<string, unknown>;
    const number = partNumber ?? part_number;
    if (!isPartNumber(number)) return `Every part must have a "partNumber" from 1 to ${MAX_PARTS}.`;
    read.push({ partNumber: number, sha256: typeof etag === "string" ? readEtag(etag) : undefined });
  }
  return read;
}

/** The part number in a path; undefined when it is none. */
export function parsePartNumber(text: string): number | undefined {
  const number = /^\d{1,6}$/.test(text) ? Number(text) : undefined;
  return isPartNumber(number) ? number : undefined;
}

function isPartNumber(value: unknown): value is number {
  return Number.isInteger(value) && Number(value) >= 1 && Number(value) <= MAX_PARTS;
}

/** Some callers strip the quotes; an empty tag is no statement about the content. */
function readEtag(text: string): string | undefined {
  const tag = text.trim().replace(/^W\//, "").replaceAll('"', "");
  return tag === "" ? undefined : tag;
}
