import type { JsonSchema } from "@sluice/runtime/model";
import type { CatalogEntry } from "../../catalog/catalog.ts";
import { asList, isSchema, resolveRefs } from "../../catalog/schema-refs.ts";

/**
 * An input to show: the model's first example, else the fields that have examples, else the required ones with a
 * value of their type.
 */
export function createSampleInput({ manifest }: CatalogEntry): Readonly<Record<string, unknown>> {
  const [example] = manifest.examples;
  if (example !== undefined) return example.input;
  const schema = resolveRefs(manifest.input, manifest.input);
  const required = asList(schema["required"]);
  const fields = Object.entries(isSchema(schema["properties"]) ? schema["properties"] : {}).map(
    ([name, subschema]) => [name, resolveRefs(subschema as JsonSchema, manifest.input)] as const,
  );
  const shown = fields.flatMap(([name, field]): [string, unknown][] => {
    const [first] = asList(field["examples"]);
    if (first !== undefined) return [[name, first]];
    return required.includes(name) ? [[name, invent(field)]] : [];
  });
  return Object.fromEntries(shown);
}

function invent(field: JsonSchema): unknown {
  if (field["default"] !== undefined) return field["default"];
  const [choice] = asList(field["enum"]);
  if (choice !== undefined) return choice;
  switch (field["type"]) {
    case "integer":
    case "number":
      return field["minimum"] ?? 1;
    case "boolean":
      return true;
    case "array":
      return [];
    case "object":
      return {};
    default:
      return isSchema(field["ui"]) ? "https://example.org/image.png" : "…";
  }
}
