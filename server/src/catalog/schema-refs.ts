import type { JsonSchema } from "@sluice/runtime/model";

/** Where a subschema may stand: an object, or `true`/`false`. */
export type Subschema = JsonSchema | boolean;

const ANNOTATIONS = new Set(["title", "description", "default", "examples", "deprecated", "ui", "$comment"]);

/** Keywords whose values are callers' data, not schemas. */
export const DATA_KEYWORDS: ReadonlySet<string> = new Set([
  "default",
  "enum",
  "const",
  "example",
  "examples",
  "required",
]);
/** Keywords that hold schemas by name: a name may look like a keyword. */
export const NAMED_SCHEMA_KEYWORDS: ReadonlySet<string> = new Set([
  "properties",
  "patternProperties",
  "dependentSchemas",
  "$defs",
  "definitions",
]);

export function isSchema(value: unknown): value is JsonSchema {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

/**
 * The schema with its `$ref`s replaced by what they name. What stands beside a `$ref` stays: annotations replace the
 * target's, other keywords must hold too.
 * @throws Error when a `$ref` leads out of `root` or to nothing
 */
export function resolveRefs(schema: Subschema, root: JsonSchema): JsonSchema {
  if (typeof schema === "boolean") return schema ? {} : { not: {} };
  let found = schema;
  for (let hops = 0; typeof found["$ref"] === "string"; hops++) {
    if (hops > 100) throw new Error(`"${String(schema["$ref"])}" refers to itself`);
    const { $ref, ...beside } = found;
    const target = findRef($ref as string, root);
    const isPlain = Object.keys(beside).every((key) => ANNOTATIONS.has(key) || key.startsWith("x-"));
    if (isPlain) found = { ...target, ...beside };
    else return { ...beside, allOf: [...asList(beside["allOf"]), target] };
  }
  return found;
}

/** What a `$ref` names: `#`, or a JSON pointer into `root` such as `#/$defs/Image`. */
export function findRef(ref: string, root: JsonSchema): JsonSchema {
  if (ref !== "#" && !ref.startsWith("#/"))
    throw new Error(`"${ref}" is not a path into the schema; put what it names under "$defs"`);
  let value: unknown = root;
  for (const part of ref.slice(1).split("/").slice(1)) {
    const key = decodeURIComponent(part).replaceAll("~1", "/").replaceAll("~0", "~");
    value =
      isSchema(value) || Array.isArray(value)
        ? (value as unknown as Record<string, unknown>)[key]
        : undefined;
  }
  if (!isSchema(value)) throw new Error(`"${ref}" names nothing in the schema`);
  return value;
}

/** Keywords whose subschemas apply to the same value, so that a loop through them never ends. */
const IN_PLACE = ["allOf", "anyOf", "oneOf"] as const;

/**
 * Checks every `$ref` of a schema.
 * @throws Error that names the first one that cannot be followed or that never ends
 */
export function checkRefs(root: JsonSchema): void {
  const seen = new Set<unknown>();
  visit(root);

  function visit(value: unknown): void {
    if (Array.isArray(value)) value.forEach(visit);
    if (!isSchema(value) || seen.has(value)) return;
    seen.add(value);
    if (typeof value["$ref"] === "string") {
      checkLoop(value, []);
      visit(findRef(value["$ref"], root));
    }
    for (const [keyword, part] of Object.entries(value)) {
      if (NAMED_SCHEMA_KEYWORDS.has(keyword) && isSchema(part)) Object.values(part).forEach(visit);
      else if (!DATA_KEYWORDS.has(keyword)) visit(part);
    }
  }

  function checkLoop(schema: JsonSchema, path: readonly JsonSchema[]): void {
    if (path.includes(schema)) throw new Error(`"${String(path[0]?.["$ref"])}" refers to itself`);
    const next = [...path, schema];
    if (typeof schema["$ref"] === "string") checkLoop(findRef(schema["$ref"], root), next);
    for (const keyword of IN_PLACE) {
      for (const part of asList(schema[keyword])) if (isSchema(part)) checkLoop(part, next);
    }
  }
}

export function asList(value: unknown): readonly unknown[] {
  return Array.isArray(value) ? value : [];
}
