import type { JsonSchema } from "@sluice/runtime/model";
import { asList, isSchema, resolveRefs, type Subschema } from "../../catalog/schema-refs.ts";

/** One field of an input or output in words. */
export interface FieldDescription {
  readonly name: string;
  /** `string`, `integer`, `float`, `boolean`, `list<Image>`, `ImageSize | Enum`, … */
  readonly type: string;
  readonly isRequired: boolean;
  readonly description: string;
  /** As JSON; undefined when there is none. */
  readonly defaultValue: string | undefined;
  /** As JSON; of an enum, also inside of a union. */
  readonly choices: readonly string[];
  /** `1 to 50`, `at least 1 character`, … */
  readonly limits: readonly string[];
}

/** The fields of an object schema in their declared order. */
export function describeFields(schema: JsonSchema): readonly FieldDescription[] {
  const root = resolveRefs(schema, schema);
  const properties = (isSchema(root["properties"]) ? root["properties"] : {}) as Record<string, Subschema>;
  const required = asList(root["required"]);
  const declared = asList(root["x-fal-order-properties"]).filter(
    (name): name is string => typeof name === "string" && Object.hasOwn(properties, name),
  );
  const names = new Set([...declared, ...Object.keys(properties)]);
  return [...names].map((name) => {
    const field = resolveRefs(properties[name] ?? true, schema);
    const { description, default: fallback } = field;
    return {
      name,
      type: describeType(properties[name] ?? true, schema),
      isRequired: required.includes(name),
      description: typeof description === "string" ? description : "",
      defaultValue: fallback === undefined ? undefined : JSON.stringify(fallback),
      choices: findChoices(field, schema).map((choice) => JSON.stringify(choice)),
      limits: describeLimits(field),
    };
  });
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
