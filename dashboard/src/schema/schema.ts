import type { Document } from "../api/models.ts";

/** What the app reads of a JSON Schema. */
export interface Schema {
  readonly $ref?: string;
  readonly type?: string;
  readonly title?: string;
  readonly description?: string;
  readonly default?: unknown;
  readonly examples?: readonly unknown[];
  readonly enum?: readonly unknown[];
  readonly anyOf?: readonly Schema[];
  readonly oneOf?: readonly Schema[];
  readonly allOf?: readonly Schema[];
  readonly items?: Schema;
  readonly properties?: Readonly<Record<string, Schema>>;
  readonly required?: readonly string[];
  readonly minimum?: number;
  readonly maximum?: number;
  readonly exclusiveMinimum?: number | boolean;
  readonly exclusiveMaximum?: number | boolean;
  readonly multipleOf?: number;
  readonly minLength?: number;
  readonly maxLength?: number;
  readonly minItems?: number;
  readonly maxItems?: number;
  readonly format?: string;
  readonly ui?: { readonly field?: string; readonly hidden?: boolean; readonly important?: boolean };
  readonly "x-fal-order-properties"?: readonly string[];
  readonly "x-pixel-sizes"?: Readonly<Record<string, { readonly width: number; readonly height: number }>>;
}

export interface Field {
  readonly name: string;
  /** Resolved: no `$ref` at its top. */
  readonly schema: Schema;
  /** As it was written: a `$ref` gives the type its name. */
  readonly written: Schema;
  readonly isRequired: boolean;
}

/** Follows a `$ref`; what stands beside it wins. */
export function resolve(schema: Schema, document: Document): Schema {
  let found = schema;
  for (let hops = 0; found.$ref !== undefined && hops < 20; hops++) {
    const { $ref, ...beside } = found;
    const name = decodeURIComponent($ref?.split("/").at(-1) ?? "");
    found = { ...document.components.schemas[name], ...beside };
  }
  return found;
}

/** The fields of an object schema in their declared order. */
export function listFields(schema: Schema, document: Document): readonly Field[] {
  const properties = schema.properties ?? {};
  const declared = (schema["x-fal-order-properties"] ?? []).filter((name) => Object.hasOwn(properties, name));
  return [...new Set([...declared, ...Object.keys(properties)])].map((name) => ({
    name,
    written: properties[name] ?? {},
    schema: resolve(properties[name] ?? {}, document),
    isRequired: schema.required?.includes(name) ?? false,
  }));
}

export function listBranches(schema: Schema, document: Document): readonly Schema[] {
  return [...(schema.anyOf ?? []), ...(schema.oneOf ?? [])]
    .map((branch) => resolve(branch, document))
    .filter((branch) => branch.type !== "null");
}

/** All values that an enum allows, also one inside of a union. */
export function listChoices(schema: Schema, document: Document): readonly unknown[] {
  return [
    ...(schema.enum ?? []),
    ...listBranches(schema, document).flatMap((branch) => listChoices(branch, document)),
  ];
}

/** `string`, `integer`, `float`, `boolean`, `list<Image>`, `ImageSize | Enum`, … */
export function describeType(written: Schema, document: Document): string {
  const schema = resolve(written, document);
  const name = schema.title !== undefined && written.$ref !== undefined ? refName(written) : undefined;
  const branches = listBranchesWritten(schema);
  if (branches.length > 0) {
    const kinds = branches.map((branch) =>
      resolve(branch, document).enum === undefined ? describeType(branch, document) : "Enum",
    );
    return [...new Set(kinds)].filter((kind) => kind !== "null").join(" | ");
  }
  if (schema.enum !== undefined) return name ?? "Enum";
  switch (schema.type) {
    case "number":
      return "float";
    case "array":
      return `list<${schema.items === undefined ? "any" : describeType(schema.items, document)}>`;
    case "object":
      return name ?? "object";
    case undefined:
      return name ?? "any";
    default:
      return schema.type;
  }
}

function listBranchesWritten(schema: Schema): readonly Schema[] {
  return [...(schema.anyOf ?? []), ...(schema.oneOf ?? [])];
}

function refName(schema: Schema): string | undefined {
  return schema.$ref?.split("/").at(-1);
}

/** `1 to 50`, `at least 1 character`, … */
export function describeLimits(schema: Schema): readonly string[] {
  const { minimum, maximum, multipleOf, minLength, maxLength, minItems, maxItems } = schema;
  const range =
    minimum !== undefined && maximum !== undefined
      ? `${minimum} to ${maximum}`
      : minimum !== undefined
        ? `at least ${minimum}`
        : maximum !== undefined
          ? `at most ${maximum}`
          : undefined;
  const count = (words: string, limit: number | undefined, unit: string): string | undefined =>
    limit === undefined ? undefined : `${words} ${limit} ${unit}${limit === 1 ? "" : "s"}`;
  return [
    range,
    multipleOf === undefined ? undefined : `a multiple of ${multipleOf}`,
    count("at least", minLength, "character"),
    count("at most", maxLength, "character"),
    count("at least", minItems, "item"),
    count("at most", maxItems, "item"),
  ].filter((limit) => limit !== undefined);
}

/** An input to show and to start from: examples of the fields, defaults for the rest, something for what is required. */
export function createSample(schema: Schema, document: Document): Readonly<Record<string, unknown>> {
  const entries = listFields(schema, document).flatMap(({ name, schema: field, isRequired }) => {
    const [example] = field.examples ?? [];
    if (example !== undefined) return [[name, example] as const];
    return isRequired ? [[name, invent(field, document)] as const] : [];
  });
  return Object.fromEntries(entries);
}

function invent(field: Schema, document: Document): unknown {
  if (field.default !== undefined) return field.default;
  const [choice] = listChoices(field, document);
  if (choice !== undefined) return choice;
  switch (field.type) {
    case "integer":
    case "number":
      return field.minimum ?? 1;
    case "boolean":
      return true;
    case "array":
      return [];
    case "object":
      return {};
    default:
      return field.ui?.field === undefined ? "" : "https://example.org/image.png";
  }
}
