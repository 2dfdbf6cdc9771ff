import { createErrorDetail, type ErrorDetail } from "@sluice/protocol";
import type { JsonSchema } from "@sluice/runtime/model";
import { Ajv2020, type ErrorObject } from "ajv/dist/2020.js";
import addFormats from "ajv-formats";
import { shortenInput } from "./shorten-input.ts";

/** The first problem of a value, or undefined when it fits the schema. */
export type SchemaValidator = (value: unknown) => ErrorDetail | undefined;

/** Compiles schemas of one catalog. Keywords of other tools are allowed: they are annotations here. */
export function createSchemaCompiler(): (schema: JsonSchema, root: string) => SchemaValidator {
  const ajv = new Ajv2020({ strict: false, logger: false, addUsedSchema: false, multipleOfPrecision: 6 });
  addFormats.default(ajv);
  return (schema, root) => {
    // `$id` would make two endpoints with one schema collide; `$schema` may name an older draft that reads alike.
    const { $id, $schema, ...rest } = schema;
    const validate = ajv.compile(rest);
    return (value) => {
      if (validate(value)) return undefined;
      const [error] = validate.errors ?? [];
      return error === undefined
        ? createErrorDetail("value_error", [root])
        : describeError(error, root, value);
    };
  };
}

function describeError(error: ErrorObject, root: string, value: unknown): ErrorDetail {
  const loc: (string | number)[] = [root];
  let found = value;
  for (const part of error.instancePath.split("/").slice(1)) {
    const key = part.replaceAll("~1", "/").replaceAll("~0", "~");
    loc.push(Array.isArray(found) ? Number(key) : key);
    found = (found as Readonly<Record<string, unknown>> | undefined)?.[key];
  }
  const { missingProperty } = error.params as { missingProperty?: string };
  if (error.keyword === "required" && missingProperty !== undefined)
    return createErrorDetail("missing", [...loc, missingProperty], { input: shortenInput(found) });
  const msg = `Value ${error.message ?? "does not fit the schema"}`;
  return createErrorDetail("value_error", loc, { msg, input: shortenInput(found) });
}
