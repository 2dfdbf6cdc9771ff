/** A JSON Schema 2020-12 document as data. */
export interface JsonSchema {
  readonly [keyword: string]: unknown;
}

/** A Standard Schema that can also describe itself as JSON Schema (standard-schema.dev). */
export interface StandardJsonSchema<T = unknown> {
  readonly "~standard": {
    readonly version: 1;
    readonly vendor: string;
    /** `input` is what callers send, `output` what the model gets: defaults are filled in between. */
    readonly types?: { readonly input: unknown; readonly output: T } | undefined;
    readonly jsonSchema: {
      readonly input: (options: { readonly target: "draft-2020-12" }) => Record<string, unknown>;
      readonly output: (options: { readonly target: "draft-2020-12" }) => Record<string, unknown>;
    };
  };
}

/** What a definition accepts as schema. The type parameter is the value's type, for inference only. */
export type SchemaSource<T = unknown> = JsonSchema | StandardJsonSchema<T>;

/**
 * The plain JSON Schema of any source.
 *
 * @param side `input`: what callers may send; `output`: what the model's answer looks like to them
 */
export function toJsonSchema(source: SchemaSource, side: "input" | "output" = "input"): JsonSchema {
  if (isStandard(source)) return source["~standard"].jsonSchema[side]({ target: "draft-2020-12" });
  return source;
}

/** The `validate` function of a Standard Schema; undefined for plain JSON Schema. */
export function readSchemaValidator(source: SchemaSource): SchemaValidator | undefined {
  if (!isStandard(source)) return undefined;
  const { validate } = source["~standard"] as { readonly validate?: unknown };
  return typeof validate === "function" ? (validate as SchemaValidator) : undefined;
}

export type SchemaValidator = (value: unknown) => SchemaOutcome | Promise<SchemaOutcome>;

export type SchemaOutcome =
  | { readonly value: unknown; readonly issues?: undefined }
  | {
      readonly issues: readonly {
        readonly message: string;
        readonly path?: readonly (PropertyKey | { readonly key: PropertyKey })[] | undefined;
      }[];
    };

function isStandard(source: SchemaSource): source is StandardJsonSchema {
  const standard = (source as { readonly "~standard"?: unknown })["~standard"];
  return typeof standard === "object" && standard !== null && "jsonSchema" in standard;
}
