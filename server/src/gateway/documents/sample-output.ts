import type { JsonSchema } from "@sluice/runtime/model";
import { asList, isSchema, resolveRefs, type Subschema } from "../../catalog/schema-refs.ts";

/** Types within types; a type that holds itself ends here. */
const MAX_DEPTH = 8;

/** A value of an output's form: examples and defaults where the schema has them, else a value of the type. */
export function createSampleOutput(schema: JsonSchema): unknown {
  return createValue(schema, schema, 0);
}

function createValue(subschema: Subschema, root: JsonSchema, depth: number): unknown {
  const schema = resolveRefs(subschema, root);
  const [first] = [...asList(schema["examples"]), ...asList(schema["enum"])];
  if (first !== undefined) return first;
  for (const word of ["const", "default"]) if (schema[word] !== undefined) return schema[word];
  const branches = ["anyOf", "oneOf", "allOf"].flatMap((word) => asList(schema[word])) as Subschema[];
  const branch = branches.find((each) => resolveRefs(each, root)["type"] !== "null");
  if (branch !== undefined && !isSchema(schema["properties"])) return createValue(branch, root, depth);
  const { type } = schema;
  switch (Array.isArray(type) ? type.find((each) => each !== "null") : type) {
    case "integer":
    case "number":
      return schema["minimum"] ?? 1;
    case "boolean":
      return false;
    case "array": {
      const items = schema["items"] as Subschema | undefined;
      return items === undefined || depth === MAX_DEPTH ? [] : [createValue(items, root, depth + 1)];
    }
    case "string":
      return "…";
    default:
      break;
  }
  if (!isSchema(schema["properties"]) || depth === MAX_DEPTH) return {};
  const fields = Object.entries(schema["properties"]) as [string, Subschema][];
  return Object.fromEntries(fields.map(([name, field]) => [name, createValue(field, root, depth + 1)]));
}
