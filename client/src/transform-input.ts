import { openScope } from "./abort.ts";
import { mapLimited } from "./map-limited.ts";
import { isUploadable, type Uploadable } from "./uploadable.ts";

const PARALLEL_UPLOADS = 4;

/**
 * Replaces everything in the input that stands for bytes (files, buffers, typed arrays, streams), however deep in
 * arrays and plain objects, by the URL that `upload` returns for it. The same object is uploaded once. The input
 * itself is left as it is. When one upload fails the others are ended.
 */
export async function transformInput<Input>(
  input: Input,
  upload: (file: Uploadable, signal: AbortSignal) => Promise<string>,
  signal?: AbortSignal | undefined,
): Promise<Input> {
  const files = new Set<Uploadable>();
  visit(input, (file) => files.add(file));
  if (files.size === 0) return input;
  const scope = openScope(signal);
  try {
    const list = [...files];
    const urls = await mapLimited(list, PARALLEL_UPLOADS, (file) => upload(file, scope.signal));
    const byFile = new Map(list.map((file, index) => [file, urls[index]]));
    return visit(input, (file) => byFile.get(file)) as Input;
  } catch (error) {
    scope.abort(error);
    throw error;
  } finally {
    scope.close();
  }
}

function visit(value: unknown, replace: (file: Uploadable) => unknown): unknown {
  if (isUploadable(value)) return replace(value);
  if (Array.isArray(value)) return value.map((item) => visit(item, replace));
  if (!isPlainObject(value)) return value;
  return Object.fromEntries(Object.entries(value).map(([name, item]) => [name, visit(item, replace)]));
}

function isPlainObject(value: unknown): value is Record<string, unknown> {
  if (typeof value !== "object" || value === null) return false;
  const prototype: unknown = Object.getPrototypeOf(value);
  return prototype === null || Object.getPrototypeOf(prototype) === null;
}
