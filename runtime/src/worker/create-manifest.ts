import { parseEndpointId } from "@sluice/protocol";
import type { ModelDefinition, ModelLimits } from "../model/define-model.ts";
import { type JsonSchema, type SchemaSource, toJsonSchema } from "../model/json-schema.ts";
import type { ModelManifest } from "../model/manifest.ts";

export type CheckedDefinition =
  | { readonly ok: true; readonly manifest: ModelManifest }
  /** Sentences that name the field and say what it should be. */
  | { readonly ok: false; readonly problems: readonly string[] };

/** Checks what a model file exports, fills in defaults and makes the JSON form of it. */
export function createManifest(value: unknown): CheckedDefinition {
  if (!isObject(value)) {
    return { ok: false, problems: ["it is not a model definition: write defineModel({ id, title, … })."] };
  }
  const problems: string[] = [];
  const expect = (condition: boolean, problem: string): void => {
    if (!condition) problems.push(problem);
  };
  const definition = value as unknown as ModelDefinition;

  for (const name of Object.keys(value)) {
    expect(
      FIELDS.has(name),
      `"${name}" is not a field of a model; the fields are ${[...FIELDS].join(", ")}.`,
    );
  }
  expect(
    typeof definition.id === "string" && parseEndpointId(definition.id) !== undefined,
    '"id" must be an endpoint id: owner/name or owner/name/path.',
  );
  expect(isText(definition.title), '"title" must be a text that is not empty.');
  for (const name of ["description", "category", "license"] as const) {
    expect(
      definition[name] === undefined || typeof definition[name] === "string",
      `"${name}" must be a text.`,
    );
  }
  expect(
    definition.tags === undefined || (Array.isArray(definition.tags) && definition.tags.every(isText)),
    '"tags" must be a list of texts.',
  );
  expect(
    isObject(definition.model) && isWord(definition.model.name) && isWord(definition.model.version),
    '"model" must say what answers: { name, version }, printable characters without line breaks.',
  );
  expect(typeof definition.run === "function", '"run" must be a function (input, context) => output.');
  for (const name of ["setup", "teardown", "billableUnits"] as const) {
    expect(
      definition[name] === undefined || typeof definition[name] === "function",
      `"${name}" must be a function.`,
    );
  }
  expect(
    definition.examples === undefined ||
      (Array.isArray(definition.examples) &&
        definition.examples.every((example) => isObject(example) && isObject(example["input"]))),
    '"examples" must be a list of { input: {…}, output?: {…} }.',
  );
  expect(
    definition.price === undefined ||
      (isObject(definition.price) && isText(definition.price.unit) && isAmount(definition.price.amount)),
    '"price" must be { unit, amount } with an amount of 0 or more.',
  );
  problems.push(...checkLimits(definition.limits));
  const input = readSchema(definition.input, "input", problems);
  const output = readSchema(definition.output, "output", problems);
  if (problems.length > 0 || input === undefined || output === undefined) return { ok: false, problems };

  const { limits = {}, price, model } = definition;
  return {
    ok: true,
    manifest: {
      id: definition.id,
      title: definition.title,
      description: definition.description ?? "",
      category: definition.category ?? "other",
      tags: [...(definition.tags ?? [])],
      model: { name: model.name, version: model.version },
      license: definition.license ?? null,
      input,
      output,
      examples: asJson(definition.examples ?? []),
      limits: {
        timeoutMs: limits.timeoutMs ?? 3_600_000,
        setupTimeoutMs: limits.setupTimeoutMs ?? 600_000,
        workers: limits.workers ?? 1,
        idleMs: limits.idleMs ?? 300_000,
        memoryBytes: limits.memoryBytes ?? null,
      },
      price:
        price === undefined ? { unit: "request", amount: 0 } : { unit: price.unit, amount: price.amount },
    },
  };
}

// Typed by the contract, so that a field added there cannot be forgotten here.
const FIELD_TABLE: { readonly [Name in keyof Required<ModelDefinition>]: true } = {
  id: true,
  title: true,
  description: true,
  category: true,
  tags: true,
  model: true,
  license: true,
  input: true,
  output: true,
  examples: true,
  limits: true,
  billableUnits: true,
  price: true,
  setup: true,
  run: true,
  teardown: true,
};
const FIELDS: ReadonlySet<string> = new Set(Object.keys(FIELD_TABLE));

/** Timers cannot wait longer. */
const MAX_MS = 2 ** 31 - 1;

const LIMIT_TABLE: { readonly [Name in keyof Required<ModelLimits>]: true } = {
  timeoutMs: true,
  setupTimeoutMs: true,
  workers: true,
  idleMs: true,
  memoryBytes: true,
};

function checkLimits(limits: unknown): string[] {
  if (limits === undefined) return [];
  if (!isObject(limits)) return ['"limits" must be an object.'];
  return Object.entries(limits).flatMap(([name, value]) => {
    if (!Object.hasOwn(LIMIT_TABLE, name)) {
      return [`"limits.${name}" is not a limit; the limits are ${Object.keys(LIMIT_TABLE).join(", ")}.`];
    }
    const isWhole = value === undefined || (Number.isSafeInteger(value) && (value as number) > 0);
    if (!isWhole) return [`"limits.${name}" must be a whole number above 0.`];
    const isTooLong = name.endsWith("Ms") && typeof value === "number" && value > MAX_MS;
    return isTooLong ? [`"limits.${name}" must be at most ${MAX_MS} (24 days).`] : [];
  });
}

function readSchema(source: unknown, name: "input" | "output", problems: string[]): JsonSchema | undefined {
  if (!isObject(source) && typeof source !== "function") {
    problems.push(`"${name}" must be a JSON Schema, or a schema that can describe itself as one.`);
    return undefined;
  }
  try {
    const schema = asJson(toJsonSchema(source as unknown as SchemaSource, name));
    if (schema["type"] === "object" || ["$ref", "allOf", "anyOf", "oneOf"].some((word) => word in schema))
      return schema;
    problems.push(`"${name}" must describe an object: { type: "object", properties: {…} }.`);
  } catch (error) {
    problems.push(
      `"${name}" cannot be turned into JSON Schema: ${error instanceof Error ? error.message : error}`,
    );
  }
  return undefined;
}

function asJson<T>(value: T): T {
  return JSON.parse(JSON.stringify(value)) as T;
}

function isObject(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

function isText(value: unknown): value is string {
  return typeof value === "string" && value.trim() !== "";
}

/** Goes into a response header. */
function isWord(value: unknown): boolean {
  return typeof value === "string" && /^[\x20-\x7e]+$/.test(value) && value.trim() !== "";
}

function isAmount(value: unknown): boolean {
  return typeof value === "number" && Number.isFinite(value) && value >= 0;
}
