import type { JsonSchema } from "@sluice/runtime/model";
import { isFileField } from "../../catalog/file-field.ts";
import { asList, isSchema, resolveRefs, type Subschema } from "../../catalog/schema-refs.ts";

/** One field of an input or output in words. */
export interface FieldDescription {
  readonly name: string;
  /** `string`, `integer`, `float`, `boolean`, `list<Image>`, `ImageSize | Enum`, … */
  readonly type: string;
  readonly isRequired: boolean;
  /** Takes the URL or data URI of a file. */
  readonly isFile: boolean;
  readonly description: string;
  /** As JSON; undefined when there is none. */
  readonly defaultValue: string | undefined;
  /** As JSON; of an enum, also inside of a union. */
  readonly choices: readonly string[];
  /** `1 to 50`, `at least 1 character`, … */
  readonly limits: readonly string[];
}

/** The fields of an object schema in their declared order; `$ref`s are looked up in `root`. */
export function describeFields(schema: JsonSchema, root: JsonSchema = schema): readonly FieldDescription[] {
  const object = resolveRefs(schema, root);
  const properties = (isSchema(object["properties"]) ? object["properties"] : {}) as Record<
    string,
    Subschema
  >;
  const required = asList(object["required"]);
  const declared = asList(object["x-fal-order-properties"]).filter(
    (name): name is string => typeof name === "string" && Object.hasOwn(properties, name),
  );
  const names = new Set([...declared, ...Object.keys(properties)]);
  return [...names].map((name) => {
    const field = resolveRefs(properties[name] ?? true, root);
    const { description, default: fallback } = field;
    return {
      name,
      type: describeType(properties[name] ?? true, root),
      isRequired: required.includes(name),
      isFile: isFileField(field) || /_url$/.test(name),
      description: typeof description === "string" ? description : "",
      defaultValue: fallback === undefined ? undefined : JSON.stringify(fallback),
      choices: findChoices(field, root).map((choice) => JSON.stringify(choice)),
      limits: describeLimits(field),
    };
  });
}

/** The object types that a schema refers to, by name, in the order in which they are met. */
export function describeTypes(schema: JsonSchema): ReadonlyMap<string, readonly FieldDescription[]> {
  const found = new Map<string, readonly FieldDescription[]>();
  const seen = new Set<string>();
  visit(schema);
  return found;

  function visit(part: unknown): void {
    if (!isSchema(part)) return;
    // Only through a `$ref` a schema leads back to itself.
    const { $ref } = part;
    if (typeof $ref === "string") {
      if (seen.has($ref)) return;
      seen.add($ref);
    }
    const name = findTypeName(part, schema);
    const target = resolveRefs(part, schema);
    if (name !== undefined && isSchema(target["properties"]) && !found.has(name))
      found.set(name, describeFields(target, schema));
    for (const keyword of ["anyOf", "oneOf", "allOf"]) asList(target[keyword]).forEach(visit);
    visit(target["items"]);
    if (isSchema(target["properties"])) Object.values(target["properties"]).forEach(visit);
  }
}

function describeType(subschema: Subschema, root: JsonSchema): string {
  const schema = resolveRefs(subschema, root);
  const name = findTypeName(subschema, root);
  const branches = [...asList(schema["anyOf"]), ...asList(schema["oneOf"])] as Subschema[];
  if (branches.length > 0) {
    const kinds = branches.map((branch) => {
      const resolved = resolveRefs(branch, root);
      return resolved["enum"] === undefined ? describeType(branch, root) : "Enum";
    });
    return [...new Set(kinds)].filter((kind) => kind !== "null").join(" | ");
  }
  if (schema["enum"] !== undefined) return name ?? "Enum";
  const { type } = schema;
  if (Array.isArray(type)) {
    const kinds = type.map((each) => describeType({ ...schema, type: each }, root));
    return kinds.filter((kind) => kind !== "null").join(" | ");
  }
  switch (type) {
    case "number":
      return "float";
    case "array":
      return `list<${schema["items"] === undefined ? "any" : describeType(schema["items"] as Subschema, root)}>`;
    case "object":
      return name ?? "object";
    case undefined:
      return name ?? "any";
    default:
      return String(type);
  }
}

/** The name of what a `$ref` names: its title, else the last part of its path. */
function findTypeName(subschema: Subschema, root: JsonSchema): string | undefined {
  const ref = typeof subschema === "object" ? subschema["$ref"] : undefined;
  if (typeof ref !== "string") return undefined;
  const { title } = resolveRefs({ $ref: ref }, root);
  return typeof title === "string" ? title : ref.split("/").at(-1);
}

function findChoices(schema: JsonSchema, root: JsonSchema): readonly unknown[] {
  const branches = [...asList(schema["anyOf"]), ...asList(schema["oneOf"])] as Subschema[];
  return [
    ...asList(schema["enum"]),
    ...branches.flatMap((branch) => findChoices(resolveRefs(branch, root), root)),
  ];
}

function describeLimits(schema: JsonSchema): readonly string[] {
  const { minimum, maximum, exclusiveMinimum, exclusiveMaximum, multipleOf } = schema;
  const { minLength, maxLength, minItems, maxItems } = schema;
  const limits: (string | undefined)[] = [
    minimum !== undefined && maximum !== undefined
      ? `${minimum} to ${maximum}`
      : (say("at least", minimum) ?? say("at most", maximum)),
    say("more than", exclusiveMinimum),
    say("less than", exclusiveMaximum),
    say("a multiple of", multipleOf),
    say("at least", minLength, "characters"),
    say("at most", maxLength, "characters"),
    say("at least", minItems, "items"),
    say("at most", maxItems, "items"),
  ];
  return limits.filter((limit) => limit !== undefined);
}

function say(words: string, limit: unknown, unit?: string): string | undefined {
  if (limit === undefined) return undefined;
  if (unit === undefined) return `${words} ${limit}`;
  return `${words} ${limit} ${limit === 1 ? unit.replace(/s$/, "") : unit}`;
}
