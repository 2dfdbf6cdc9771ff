import type { JsonSchema } from "@sluice/runtime/model";
import { asList, isSchema, resolveRefs, type Subschema } from "../catalog/schema-refs.ts";

/** A file as it may stand in an output; `url` always does. */
export interface OutputFile {
  readonly url: string;
  readonly content_type: string;
  readonly file_name: string;
  readonly file_size: number;
  readonly width?: number;
  readonly height?: number;
}

/**
 * Puts a file in the place of every mark that the worker left for an artifact. A file has the members that the output
 * schema declares there, or all of them where it declares none; where it declares a text, the URL stands alone.
 *
 * @throws RangeError for a mark without an artifact
 */
export function placeFiles(output: unknown, schema: JsonSchema, files: readonly OutputFile[]): unknown {
  const expand = (part: unknown): readonly JsonSchema[] => {
    if (!isSchema(part)) return [];
    const found = resolveRefs(part as Subschema, schema);
    const branches = [found["allOf"], found["anyOf"], found["oneOf"]].flatMap(asList);
    return [found, ...branches.flatMap(expand)];
  };

  const place = (value: unknown, schemas: readonly JsonSchema[]): unknown => {
    if (typeof value !== "object" || value === null) return value;
    if (Array.isArray(value)) {
      return value.map((item, index) =>
        place(
          item,
          schemas.flatMap((part) => expand(getItems(part, index))),
        ),
      );
    }
    const fields = value as Readonly<Record<string, unknown>>;
    if (Object.hasOwn(fields, "$artifact")) {
      const index = fields["$artifact"];
      if (index === null) return placeFields(fields["value"] as Readonly<Record<string, unknown>>, schemas);
      const file = files[index as number];
      if (file === undefined)
        throw new RangeError(`The output names artifact ${String(index)}, which is not there.`);
      return formatFile(file, schemas);
    }
    return placeFields(fields, schemas);
  };
  const placeFields = (fields: Readonly<Record<string, unknown>>, schemas: readonly JsonSchema[]): unknown =>
    Object.fromEntries(
      Object.entries(fields).map(([name, field]) => [
        name,
        place(
          field,
          schemas.flatMap((part) => expand(getProperty(part, name))),
        ),
      ]),
    );
  return place(output, expand(schema));
}

function getItems(schema: JsonSchema, index: number): unknown {
  return asList(schema["prefixItems"])[index] ?? schema["items"];
}

function getProperty(schema: JsonSchema, name: string): unknown {
  const properties = schema["properties"];
  const own = isSchema(properties) && Object.hasOwn(properties, name) ? properties[name] : undefined;
  return own ?? schema["additionalProperties"];
}

function formatFile(file: OutputFile, schemas: readonly JsonSchema[]): unknown {
  const declared = new Set(
    schemas.flatMap((part) => (isSchema(part["properties"]) ? Object.keys(part["properties"]) : [])),
  );
  if (declared.has("url")) {
    return Object.fromEntries(Object.entries(file).filter(([name]) => declared.has(name)));
  }
  const isText =
    schemas.some((part) => part["type"] === "string") && !schemas.some((part) => part["type"] === "object");
  return isText ? file.url : file;
}
