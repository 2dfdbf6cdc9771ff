import { readFile } from "node:fs/promises";
import { basename, extname } from "node:path";
import type { FalClient } from "@sluice/client";
import { CliError } from "./cli-error.ts";

/** Input fields as they were typed; a `File` stands where an uploaded one's URL will be. */
export type InputFields = Readonly<Record<string, unknown>>;

/**
 * Reads `key=value` words, and the files that they name, without calling anybody. Values that start with `{` or `[`
 * are JSON, those that start with `@` are paths.
 * @throws CliError that names the word
 */
export async function parseFields(words: readonly string[]): Promise<InputFields> {
  const fields: Record<string, unknown> = {};
  for (const word of words) {
    const at = word.indexOf("=");
    if (at < 1) {
      throw new CliError(`"${word}" is not key=value.`, {
        next: ['Quote values with spaces: prompt="a red apple".'],
      });
    }
    const key = word.slice(0, at);
    if (Object.hasOwn(fields, key)) {
      throw new CliError(`${key} is given twice.`, {
        next: [`Give it once; for a list, as JSON: ${key}='["…", "…"]'.`],
      });
    }
    fields[key] = await parseValue(key, word.slice(at + 1));
  }
  return fields;
}

/**
 * The fields with every file uploaded; `onUpload` is told the name of each before it is.
 * @throws the signal's reason
 */
export async function uploadFiles(
  client: Pick<FalClient, "storage">,
  fields: InputFields,
  { signal, onUpload }: { readonly signal: AbortSignal; readonly onUpload: (name: string) => void },
): Promise<InputFields> {
  const uploaded: Record<string, unknown> = {};
  for (const [key, value] of Object.entries(fields)) {
    if (value instanceof File) onUpload(value.name);
    uploaded[key] =
      value instanceof File ? await client.storage.upload(value, { abortSignal: signal }) : value;
  }
  return uploaded;
}

async function parseValue(key: string, text: string): Promise<unknown> {
  if (text.startsWith("@")) {
    const path = text.slice(1);
    const bytes = await readFile(path).catch((cause: unknown) => {
      throw new CliError(`The file for ${key} cannot be read: ${path}`, { cause });
    });
    return new File([bytes], basename(path), { type: guessContentType(path) });
  }
  if (text.startsWith("{") || text.startsWith("[")) {
    try {
      return JSON.parse(text);
    } catch (cause) {
      throw new CliError(`The value of ${key} starts like JSON but is not: ${(cause as Error).message}`, {
        cause,
      });
    }
  }
  return text;
}

const CONTENT_TYPES: Readonly<Record<string, string>> = {
  ".png": "image/png",
  ".jpg": "image/jpeg",
  ".jpeg": "image/jpeg",
  ".webp": "image/webp",
  ".gif": "image/gif",
  ".mp3": "audio/mpeg",
  ".wav": "audio/wav",
  ".mp4": "video/mp4",
  ".json": "application/json",
  ".txt": "text/plain",
};

function guessContentType(path: string): string {
  return CONTENT_TYPES[extname(path).toLowerCase()] ?? "application/octet-stream";
}
