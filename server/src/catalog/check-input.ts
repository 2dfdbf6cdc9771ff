import { createErrorDetail, type ErrorDetail, type ModelErrorType } from "@sluice/protocol";
import type { JsonSchema } from "@sluice/runtime/model";
import { coerceBoolean, coerceInteger, coerceNumber } from "./coerce-scalar.ts";
import { findFileUrl, isFileField, isFileUrl } from "./file-field.ts";
import { asList, isSchema, resolveRefs, type Subschema } from "./schema-refs.ts";
import { shortenInput } from "./shorten-input.ts";

type Loc = readonly (string | number)[];
type Fields = Readonly<Record<string, unknown>>;

export interface CheckedInput {
  /** The value with coercions and defaults; what could not be coerced is left as it came. */
  readonly value: unknown;
  /** Problems in the order of the schema's fields; at most 100. */
  readonly detail: readonly ErrorDetail[];
}

const MAX_ITEMS = 100;

/**
 * Reads a value through its schema as the hosted framework does (fal model API, "Errors"): lax coercions, defaults
 * filled in, null for an optional field counts as not given, unknown fields stay as they are. Problems are named
 * in the framework's words. Keywords that have no such word (`not`, `if`, `dependentRequired`, …) are left to the
 * schema validator, which has the last word.
 *
 * @param schema a schema whose references were checked by `checkRefs`
 * @param loc path of the value, `["body"]` for the whole body
 */
export function checkInput(schema: JsonSchema, value: unknown, loc: Loc): CheckedInput {
  const detail: ErrorDetail[] = [];
  const checked = check(schema, value, loc, { root: schema, isStrict: false, detail });
  return { value: checked, detail };
}

interface Walk {
  readonly root: JsonSchema;
  /** Nothing is coerced: used to find the branch of a union that fits as it is. */
  readonly isStrict: boolean;
  readonly detail: ErrorDetail[];
}

function check(subschema: Subschema, given: unknown, loc: Loc, walk: Walk): unknown {
  const schema = resolveRefs(subschema, walk.root);
  if (given === null && acceptsNull(schema, walk.root)) return null;
  let value = given;
  for (const part of asList(schema["allOf"])) value = check(part as Subschema, value, loc, walk);
  const branches = schema["anyOf"] ?? schema["oneOf"];
  if (branches !== undefined) value = checkUnion(asList(branches) as Subschema[], value, loc, walk);

  const types = getTypes(schema);
  const [type] = types;
  if (types.length > 1) {
    const { type: _, ...rest } = schema;
    return checkUnion(
      types.map((each) => ({ ...rest, type: each })),
      value,
      loc,
      walk,
    );
  }
  const before = walk.detail.length;
  value = checkType(type, schema, value, loc, walk);
  if (walk.detail.length === before) checkLimits(schema, value, loc, walk);
  return value;
}

function checkType(
  type: string | undefined,
  schema: JsonSchema,
  value: unknown,
  loc: Loc,
  walk: Walk,
): unknown {
  const choices = getChoices(schema);
  switch (type) {
    case "integer":
    case "number":
    case "boolean": {
      const coerce = { integer: coerceInteger, number: coerceNumber, boolean: coerceBoolean }[type];
      const coerced = coerce(value, walk.isStrict);
      if (coerced.ok) return coerced.value;
      if (choices === undefined) report(walk, coerced.error, loc, value);
      break;
    }
    case "string": {
      const text = isFileField(schema) ? (findFileUrl(value) ?? value) : value;
      if (typeof text === "string") return text;
      if (choices === undefined) report(walk, "string_type", loc, value);
      break;
    }
    case "array":
      if (Array.isArray(value)) return checkList(schema, value, loc, walk);
      report(walk, "list_type", loc, value);
      return value;
    case "object":
      if (isFields(value)) return checkFields(schema, value, loc, walk);
      report(walk, isSchema(schema["properties"]) ? "model_attributes_type" : "dict_type", loc, value);
      return value;
    case "null":
      if (value !== null) report(walk, "none_required", loc, value);
      return value;
    default:
      // No type: structure still applies to values that have it.
      if (Array.isArray(value)) return checkList(schema, value, loc, walk);
      if (isFields(value)) return checkFields(schema, value, loc, walk);
      return value;
  }
  if (choices !== undefined) report(walk, "one_of", loc, value, { expected: choices });
  return value;
}

function checkFields(schema: JsonSchema, given: Fields, loc: Loc, walk: Walk): Fields {
  const properties = isSchema(schema["properties"]) ? schema["properties"] : {};
  const required = new Set(asList(schema["required"]));
  const fields = createFields(given);
  for (const [name, subschema] of Object.entries(properties) as [string, Subschema][]) {
    const property = resolveRefs(subschema, walk.root);
    const isRequired = required.has(name);
    const fallback = property["default"];
    if (fields.get(name) === null && !isRequired && !acceptsNull(property, walk.root)) fields.remove(name);
    if (!fields.has(name) && !isRequired && fallback !== undefined && fallback !== null)
      fields.set(name, structuredClone(fallback));
    if (fields.has(name)) fields.set(name, check(subschema, fields.get(name), [...loc, name], walk));
    else if (isRequired) report(walk, "missing", [...loc, name], given);
  }
  for (const name of required) {
    if (typeof name !== "string" || Object.hasOwn(properties, name) || fields.has(name)) continue;
    report(walk, "missing", [...loc, name], given);
  }
  checkUnknownFields(schema, properties, fields, loc, walk);
  return fields.read();
}

/** Fields that `properties` does not name. Most schemas say nothing about them: then they are not even looked at. */
function checkUnknownFields(
  schema: JsonSchema,
  properties: Fields,
  fields: OwnFields,
  loc: Loc,
  walk: Walk,
): void {
  const additional = schema["additionalProperties"];
  const patterns = Object.entries(
    isSchema(schema["patternProperties"]) ? schema["patternProperties"] : {},
  ).map(([pattern, subschema]) => ({ pattern: new RegExp(pattern, "u"), subschema: subschema as Subschema }));
  if (patterns.length === 0 && additional !== false && !isSchema(additional)) return;
  for (const name of Object.keys(fields.read())) {
    if (Object.hasOwn(properties, name)) continue;
    const matching = patterns.filter(({ pattern }) => pattern.test(name)).map(({ subschema }) => subschema);
    if (matching.length === 0 && additional === false)
      report(
        walk,
        "value_error",
        [...loc, name],
        fields.get(name),
        undefined,
        "Extra inputs are not permitted",
      );
    const applying = matching.length === 0 && isSchema(additional) ? [additional] : matching;
    for (const subschema of applying)
      fields.set(name, check(subschema, fields.get(name), [...loc, name], walk));
  }
}

/** An object that is copied when it is first changed: an input may have a million fields, and few of them change. */
interface OwnFields {
  has(name: string): boolean;
  get(name: string): unknown;
  set(name: string, value: unknown): void;
  remove(name: string): void;
  read(): Fields;
}

function createFields(given: Fields): OwnFields {
  let fields: Record<string, unknown> = given;
  const own = (): Record<string, unknown> => {
    if (fields === given) fields = { ...given };
    return fields;
  };
  const has = (name: string): boolean => Object.hasOwn(fields, name);
  const get = (name: string): unknown => (has(name) ? fields[name] : undefined);
  return {
    has,
    get,
    set(name, value) {
      if (has(name) && fields[name] === value) return;
      // Not an assignment: that would turn a field named __proto__ into something else.
      Object.defineProperty(own(), name, { value, writable: true, enumerable: true, configurable: true });
    },
    remove(name) {
      delete own()[name];
    },
    read: () => fields,
  };
}

function checkList(schema: JsonSchema, list: readonly unknown[], loc: Loc, walk: Walk): readonly unknown[] {
  const { minItems, maxItems } = schema as { minItems?: number; maxItems?: number };
  if (minItems !== undefined && list.length < minItems)
    report(walk, "sequence_too_short", loc, list, { min_length: minItems });
  // The items of a list that is too long are not looked at: there may be a million.
  if (maxItems !== undefined && list.length > maxItems) {
    report(walk, "sequence_too_long", loc, list, { max_length: maxItems });
    return list;
  }
  const first = asList(schema["prefixItems"]) as readonly Subschema[];
  const items = schema["items"] as Subschema | undefined;
  const checked = list.map((value, index) => {
    const subschema = first[index] ?? items;
    return subschema === undefined || subschema === true
      ? value
      : check(subschema, value, [...loc, index], walk);
  });
  return checked.every((value, index) => value === list[index]) ? list : checked;
}

/** Limits of a value that has the right type. */
function checkLimits(schema: JsonSchema, value: unknown, loc: Loc, walk: Walk): void {
  const choices = getChoices(schema);
  if (choices?.every((choice) => !isEqual(choice, value))) {
    report(walk, "one_of", loc, value, { expected: choices });
  } else if (typeof value === "number") {
    checkRange(schema, value, loc, walk);
  } else if (typeof value === "string") {
    checkText(schema, value, loc, walk);
  }
}

const BOUNDS = [
  ["exclusiveMinimum", "greater_than", "gt", (value: number, bound: number) => value > bound],
  ["minimum", "greater_than_equal", "ge", (value: number, bound: number) => value >= bound],
  ["exclusiveMaximum", "less_than", "lt", (value: number, bound: number) => value < bound],
  ["maximum", "less_than_equal", "le", (value: number, bound: number) => value <= bound],
] as const;

function checkRange(schema: JsonSchema, value: number, loc: Loc, walk: Walk): void {
  for (const [keyword, error, name, holds] of BOUNDS) {
    const bound = schema[keyword];
    if (typeof bound === "number" && !holds(value, bound)) report(walk, error, loc, value, { [name]: bound });
  }
  const step = schema["multipleOf"];
  if (typeof step === "number" && Math.abs(Math.round(value / step) - value / step) > 1e-6)
    report(walk, "multiple_of", loc, value, { multiple_of: step });
}

function checkText(schema: JsonSchema, value: string, loc: Loc, walk: Walk): void {
  const { minLength, maxLength, pattern } = schema as {
    minLength?: number;
    maxLength?: number;
    pattern?: string;
  };
  if (minLength !== undefined && countCharacters(value, minLength) < minLength)
    report(walk, "string_too_short", loc, value, { min_length: minLength });
  if (maxLength !== undefined && countCharacters(value, maxLength + 1) > maxLength)
    report(walk, "string_too_long", loc, value, { max_length: maxLength });
  if (pattern !== undefined && !new RegExp(pattern, "u").test(value))
    report(walk, "string_pattern_mismatch", loc, value, { pattern });
  if (isFileField(schema) && !isFileUrl(value))
    report(walk, "value_error", loc, value, undefined, "value must be a valid URL");
}

/**
 * The first branch that fits as it is, else the first that fits after coercion. When none does: the problems of
 * the branch that is meant for this kind of value, or one `one_of` item when there is no such branch.
 */
function checkUnion(branches: readonly Subschema[], value: unknown, loc: Loc, walk: Walk): unknown {
  const resolved = branches.map((branch) => resolveRefs(branch, walk.root));
  for (const isStrict of walk.isStrict ? [true] : [true, false]) {
    const problems = new Map<JsonSchema, ErrorDetail[]>();
    for (const branch of resolved) {
      const detail: ErrorDetail[] = [];
      const checked = check(branch, value, loc, { ...walk, isStrict, detail });
      if (detail.length === 0) return checked;
      problems.set(branch, detail);
    }
    if (isStrict && !walk.isStrict) continue;
    for (const item of pickProblems(problems, value, loc, walk)) add(walk, item);
  }
  return value;
}

/** Of a union whose branches all failed: what to tell the caller. */
function pickProblems(
  problems: ReadonlyMap<JsonSchema, readonly ErrorDetail[]>,
  value: unknown,
  loc: Loc,
  walk: Walk,
): readonly ErrorDetail[] {
  const branches = [...problems.keys()].filter((branch) => !isNullOnly(branch));
  const meant = branches.filter((branch) => {
    const kinds = getKinds(branch, walk.root);
    return branches.length === 1 || kinds.size === 0 || kinds.has(getKind(value));
  });
  const structured = meant.filter((branch) => getChoices(branch) === undefined);
  const [best, ...others] = structured.length > 0 ? structured : meant.length === 1 ? meant : [];
  if (best !== undefined) {
    const count = (branch: JsonSchema): number => problems.get(branch)?.length ?? 0;
    const closest = others.reduce((a, b) => (count(b) < count(a) ? b : a), best);
    return problems.get(closest) ?? [];
  }
  const [listed, named] = [meant.length > 0 ? meant : branches, meant.length > 0 ? [] : branches];
  const expected = [
    ...listed.flatMap((branch) => getChoices(branch) ?? []),
    ...named.filter((branch) => getChoices(branch) === undefined).map(describe),
  ];
  return [createErrorDetail("one_of", loc, { ctx: { expected }, input: shortenInput(value) })];
}

function describe(branch: JsonSchema): string {
  return String(branch["title"] ?? getTypes(branch).join(" or "));
}

function report(
  walk: Walk,
  type: ModelErrorType,
  loc: Loc,
  input: unknown,
  ctx?: Readonly<Record<string, unknown>>,
  msg?: string,
): void {
  if (walk.detail.length < MAX_ITEMS)
    walk.detail.push(createErrorDetail(type, loc, { ctx, msg, input: shortenInput(input) }));
}

function add(walk: Walk, item: ErrorDetail): void {
  if (walk.detail.length < MAX_ITEMS) walk.detail.push(item);
}

/** The schema's types without `null`; what it implies when it names none. */
function getTypes(schema: JsonSchema): readonly string[] {
  const { type } = schema;
  if (typeof type === "string") return [type];
  if (Array.isArray(type)) return type.length > 1 ? type.filter((each) => each !== "null") : type;
  if (isSchema(schema["properties"])) return ["object"];
  return [];
}

function getChoices(schema: JsonSchema): readonly unknown[] | undefined {
  if ("const" in schema) return [schema["const"]];
  return Array.isArray(schema["enum"]) ? schema["enum"] : undefined;
}

function acceptsNull(schema: JsonSchema, root: JsonSchema): boolean {
  const { type } = schema;
  if (type === "null" || (Array.isArray(type) && type.includes("null")) || schema["nullable"] === true)
    return true;
  if (type === undefined && getChoices(schema)?.includes(null)) return true;
  const branches = [...asList(schema["anyOf"]), ...asList(schema["oneOf"])] as readonly Subschema[];
  return branches.some((branch) => acceptsNull(resolveRefs(branch, root), root));
}

function isNullOnly(schema: JsonSchema): boolean {
  return schema["type"] === "null" || ("const" in schema && schema["const"] === null);
}

type Kind = "object" | "array" | "string" | "number" | "boolean" | "null";

function getKind(value: unknown): Kind {
  if (value === null) return "null";
  if (Array.isArray(value)) return "array";
  return typeof value as Kind;
}

/** Kinds of value that a branch is meant for. */
function getKinds(schema: JsonSchema, root: JsonSchema): ReadonlySet<Kind> {
  const types = getTypes(schema);
  if (types.length > 0) return new Set(types.map((type) => (type === "integer" ? "number" : (type as Kind))));
  const choices = getChoices(schema);
  if (choices !== undefined) return new Set(choices.map(getKind));
  const parts = ["allOf", "anyOf", "oneOf"].flatMap((keyword) => asList(schema[keyword])) as Subschema[];
  return new Set(parts.flatMap((part) => [...getKinds(resolveRefs(part, root), root)]));
}

function isFields(value: unknown): value is Fields {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

/** Characters as Unicode counts them, not further than `enough`. */
function countCharacters(text: string, enough: number): number {
  let count = 0;
  for (const _ of text) if (++count >= enough) break;
  return count;
}

function isEqual(a: unknown, b: unknown): boolean {
  return a === b || (typeof a === "object" && a !== null && JSON.stringify(a) === JSON.stringify(b));
}
