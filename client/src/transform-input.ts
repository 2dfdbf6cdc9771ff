import { openScope } from "./abort.ts";
import { mapLimited } from "./map-limited.ts";
import { isUploadable, type Uploadable } from "./uploadable.ts";

const PARALLEL_UPLOADS = 4;
const MAX_DEPTH = 200;

/**
 * Replaces everything in the input that stands for bytes (files, buffers, typed arrays, streams), however deep in
 * arrays and plain objects, by the URL that `upload` returns for it. The same object is uploaded once. The input
 * itself is left as it is. When one upload fails the others are ended.
 *
 * @throws TypeError that says where, when the input cannot be sent as JSON
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

/** @throws TypeError that says where, when the value cannot be sent as JSON */
function visit(
  value: unknown,
  replace: (file: Uploadable) => unknown,
  path: readonly (string | number)[] = [],
  parents: readonly unknown[] = [],
): unknown {
  if (isUploadable(value)) return replace(value);
  if (typeof value === "bigint") throw createInputError(path, "is a BigInt: give a number or a text");
  const isList = Array.isArray(value);
  if (!isList && !isPlainObject(value)) return value;
  if (parents.includes(value)) throw createInputError(path, "contains itself");
  if (parents.length >= MAX_DEPTH) throw createInputError([], `is nested more than ${MAX_DEPTH} levels deep`);
  const inner = [...parents, value];
  const visitItem = (item: unknown, name: string | number) => visit(item, replace, [...path, name], inner);
  if (isList) return value.map(visitItem);
  return Object.fromEntries(Object.entries(value).map(([name, item]) => [name, visitItem(item, name)]));
}

function createInputError(path: readonly (string | number)[], problem: string): TypeError {
  return new TypeError(`The input cannot be sent as JSON: ${["input", ...path].join(".")} ${problem}`);
}

function isPlainObject(value: unknown): value is Record<string, unknown> {
  if (typeof value !== "object" || value === null) return false;
  const prototype: unknown = Object.getPrototypeOf(value);
  return prototype === null || Object.getPrototypeOf(prototype) === null;
}
