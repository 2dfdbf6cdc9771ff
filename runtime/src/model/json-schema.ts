/** A JSON Schema 2020-12 document as data. */
export interface JsonSchema {
  readonly [keyword: string]: unknown;
}

/** A Standard Schema that can also describe itself as JSON Schema (standard-schema.dev). */
export interface StandardJsonSchema<T = unknown> {
  readonly "~standard": {
    readonly version: 1;
    readonly vendor: string;
    readonly types?: { readonly input: T; readonly output: T } | undefined;
    readonly jsonSchema: {
      readonly input: (options: { readonly target: string }) => Record<string, unknown>;
      readonly output: (options: { readonly target: string }) => Record<string, unknown>;
    };
  };
}

/** What a definition accepts as schema. The type parameter is the value's type, for inference only. */
export type SchemaSource<T = unknown> = JsonSchema | StandardJsonSchema<T>;

/** The plain JSON Schema of any source. */
export function toJsonSchema(source: SchemaSource): JsonSchema {
  if (isStandard(source)) return source["~standard"].jsonSchema.input({ target: "draft-2020-12" });
  return source;
}

function isStandard(source: SchemaSource): source is StandardJsonSchema {
  const standard = (source as { readonly "~standard"?: unknown })["~standard"];
  return typeof standard === "object" && standard !== null && "jsonSchema" in standard;
}
