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

/**
 * The sample input with `picture`, a URL of this server, in the fields of pictures that would lead elsewhere: an address
 * of an example may have no file, or belong to a machine that was not asked for. Undefined when an address remains.
 */
export function fillSampleInput(
  entry: CatalogEntry,
  picture: string | undefined,
): Readonly<Record<string, unknown>> | undefined {
  const schema = resolveRefs(entry.manifest.input, entry.manifest.input);
  const fields = isSchema(schema["properties"]) ? schema["properties"] : {};
  const sample = createSampleInput(entry);
  const isForeign = (name: string): boolean => /"https?:\/\//i.test(JSON.stringify(sample[name]) ?? "");
  const names = Object.keys(sample).filter(isForeign);
  if (names.length === 0) return sample;
  const areImages = names.every((name) => {
    const { ui } = resolveRefs((fields as Record<string, JsonSchema>)[name] ?? {}, entry.manifest.input);
    return isSchema(ui) && ui["field"] === "image" && typeof sample[name] === "string";
  });
  if (picture === undefined || !areImages) return undefined;
  return { ...sample, ...Object.fromEntries(names.map((name) => [name, picture])) };
}

/** Of a sample what the endpoint cannot do without; all of it where it needs nothing. */
export function keepRequired(
  { manifest }: CatalogEntry,
  sample: Readonly<Record<string, unknown>>,
): Readonly<Record<string, unknown>> {
  const required = asList(resolveRefs(manifest.input, manifest.input)["required"]);
  const kept = Object.entries(sample).filter(([name]) => required.includes(name));
  return kept.length === 0 ? sample : Object.fromEntries(kept);
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
