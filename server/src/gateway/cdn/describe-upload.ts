import { createSafeFileName, findContentType, normalizeContentType } from "../../files/content-type.ts";
import { type FileLifecycle, LifecycleError, parseLifecycle } from "../../files/lifecycle.ts";

/**
 * Name and content type of an upload from what the caller said of it: a missing name is `upload` with the extension of
 * the type, a missing type is that of the name.
 */
export function nameUpload(
  fileName: string | null | undefined,
  contentType: string | null | undefined,
): { fileName: string; contentType: string } {
  const given = fileName?.trim() ?? "";
  const declared = contentType?.trim() ?? "";
  const type = normalizeContentType(declared === "" ? findContentType(given) : declared);
  if (given !== "") return { fileName: given.slice(0, 500), contentType: type };
  const name = createSafeFileName("upload", type);
  return { fileName: name.includes(".") ? name : "upload.bin", contentType: type };
}

/** What the lifecycle header of an upload asks for, under either of its names; a text says what is wrong with it. */
export function readLifecycleHeader({ headers }: Request): FileLifecycle | string {
  const text = headers.get("x-fal-object-lifecycle") ?? headers.get("x-fal-object-lifecycle-preference");
  try {
    return text === null ? {} : parseLifecycle(text);
  } catch (error) {
    if (error instanceof LifecycleError) return error.message;
    throw error;
  }
}
