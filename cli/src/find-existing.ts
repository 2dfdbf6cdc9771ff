import { stat } from "node:fs/promises";
import { dirname } from "node:path";

/** The path, or the nearest one above it that exists. */
export async function findExisting(path: string): Promise<string> {
  const exists = await stat(path).then(
    () => true,
    () => false,
  );
  return exists || path === dirname(path) ? path : findExisting(dirname(path));
}
