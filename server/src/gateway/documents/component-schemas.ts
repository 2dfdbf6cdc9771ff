import type { JsonSchema } from "@sluice/runtime/model";
import { DATA_KEYWORDS, NAMED_SCHEMA_KEYWORDS } from "../../catalog/schema-refs.ts";

/** Schemas of an OpenAPI document. */
export interface ComponentSchemas {
  /** By component name. */
  readonly schemas: Readonly<Record<string, JsonSchema>>;
  /** Names of an endpoint's own two. */
  readonly names: ReadonlyMap<string, EndpointNames>;
}

export interface EndpointNames {
  readonly input: string;
  readonly output: string;
}

type Json = Readonly<Record<string, unknown>>;

/**
 * Puts the schemas of endpoints side by side as the hosted service writes them (fal model API, "OpenAPI"): `$defs`
 * become components of their own name, enums stand where they are used, `["integer","null"]` becomes `anyOf`. Only
 * inputs have names that end in `Input`, since tools find them that way.
 */
export function createComponentSchemas(
  endpoints: readonly {
    readonly endpointId: string;
    readonly manifest: { readonly input: JsonSchema; readonly output: JsonSchema };
  }[],
): ComponentSchemas {
  const components: Components = new Map();
  const names = new Map<string, EndpointNames>();
  for (const { endpointId } of endpoints) {
    const base = formatPascal(endpointId);
    let name = base;
    for (let number = 2; components.has(`${name}Input`); number++) name = `${base}${number}`;
    names.set(endpointId, { input: `${name}Input`, output: `${name}Output` });
    components.set(`${name}Input`, RESERVED);
    components.set(`${name}Output`, RESERVED);
  }
  for (const { endpointId, manifest } of endpoints) {
    for (const side of ["input", "output"] as const) {
      const name = names.get(endpointId)?.[side] ?? "";
      components.set(name, { schema: hoist(manifest[side], name, components), source: "" });
    }
  }
  return {
    schemas: Object.fromEntries([...components].map(([name, { schema }]) => [name, schema])),
    names,
  };
}

/** `fal-ai/flux-pro/v1.1` → `FluxProV11`: the owner is left out, as the hosted service does. */
export function formatPascal(endpointId: string): string {
  const words = endpointId
    .split("/")
    .slice(1)
    .join("-")
    .split(/[^A-Za-z0-9]+/);
  const name = words.map((word) => word.charAt(0).toUpperCase() + word.slice(1)).join("");
  return /^[A-Za-z]/.test(name) ? name : `Endpoint${name}`;
}

/** Components so far; `source` is what one was made of, so that equal ones are shared. */
type Components = Map<string, { readonly schema: JsonSchema; readonly source: string }>;

const RESERVED = { schema: {}, source: "" };

/** Moves the `$defs` of `schema` into `components` and gives back the rest. */
function hoist(schema: JsonSchema, main: string, components: Components): JsonSchema {
  const { $defs, definitions, $schema, $id, ...body } = schema;
  const defs = new Map<string, JsonSchema>();
  for (const [keyword, group] of Object.entries({ $defs, definitions })) {
    for (const [name, def] of Object.entries((group ?? {}) as Json))
      defs.set(`#/${keyword}/${name.replaceAll("~", "~0").replaceAll("/", "~1")}`, def as JsonSchema);
  }
  /** Name of the component that a pointer stands for. */
  const names = new Map<string, string>();
  const added: string[] = [];
  for (const [pointer, def] of defs) {
    if (isEnum(def)) continue;
    const source = describeSource(pointer);
    const name = chooseName(pointer, source);
    names.set(pointer, name);
    if (components.has(name)) continue;
    components.set(name, { schema: {}, source });
    added.push(pointer);
  }
  for (const pointer of added) {
    const schemaOf = rewriteSchema(defs.get(pointer) ?? {});
    components.set(names.get(pointer) ?? "", { schema: schemaOf, source: describeSource(pointer) });
  }
  return { ...rewriteSchema(body), title: main };

  /** The definition and all it refers to, as text. */
  function describeSource(pointer: string): string {
    const seen = new Set([pointer]);
    for (const each of seen) {
      const text = JSON.stringify(defs.get(each) ?? null);
      for (const other of defs.keys()) if (text.includes(JSON.stringify(other))) seen.add(other);
    }
    return JSON.stringify([...seen].map((each) => [each, defs.get(each)]));
  }

  function chooseName(pointer: string, source: string): string {
    const last = (pointer.split("/").at(-1) ?? "").replaceAll(/[^A-Za-z0-9._-]/g, "_");
    const base = /(?:Input|Output)$/.test(last) ? `${last}Value` : last;
    for (let number = 1; ; number++) {
      const name = number === 1 ? base : `${base}${number}`;
      const taken = components.get(name);
      if (taken === undefined || taken.source === source) return name;
    }
  }

  function rewriteSchema(node: JsonSchema): JsonSchema {
    const members = Object.entries(node).map(([key, value]): [string, unknown] => {
      if (DATA_KEYWORDS.has(key)) return [key, value];
      return [key, NAMED_SCHEMA_KEYWORDS.has(key) ? rewriteNamed(value) : rewrite(value)];
    });
    const copy = Object.fromEntries(members) as Json;
    if (typeof copy["$ref"] === "string") return rewriteRef(copy["$ref"], copy);
    const { properties } = copy;
    const order =
      typeof properties === "object" && properties !== null && !("x-fal-order-properties" in copy)
        ? { "x-fal-order-properties": Object.keys(properties) }
        : {};
    return splitTypes({ ...copy, ...order });
  }

  function rewrite(value: unknown): unknown {
    if (Array.isArray(value)) return value.map(rewrite);
    return typeof value === "object" && value !== null ? rewriteSchema(value as JsonSchema) : value;
  }

  function rewriteNamed(group: unknown): unknown {
    return Object.fromEntries(Object.entries(group as Json).map(([name, value]) => [name, rewrite(value)]));
  }

  function rewriteRef(ref: string, copy: Json): Json {
    const def = defs.get(ref);
    if (def !== undefined && isEnum(def)) {
      const { title, ...choices } = def;
      const { $ref: _, ...beside } = copy;
      return { ...beside, ...choices };
    }
    const pointer = [...names.keys()].find((each) => ref === each || ref.startsWith(`${each}/`));
    if (pointer === undefined) return { ...copy, $ref: `#/components/schemas/${main}${ref.slice(1)}` };
    return { ...copy, $ref: `#/components/schemas/${names.get(pointer)}${ref.slice(pointer.length)}` };
  }
}

function isEnum(schema: JsonSchema): boolean {
  return Array.isArray(schema["enum"]) && schema["properties"] === undefined;
}

/** `{type: ["integer","null"], title}` → `{anyOf: [{type: "integer"}, {type: "null"}], title}`. */
function splitTypes(schema: Json): Json {
  const { type, title, description, default: fallback, examples, deprecated, ...limits } = schema;
  if (!Array.isArray(type)) return schema;
  const annotations = { title, description, default: fallback, examples, deprecated };
  const kept = Object.entries(annotations).filter(([, value]) => value !== undefined);
  const anyOf = type.map((each) => (each === "null" ? { type: each } : { type: each, ...limits }));
  return { anyOf, ...Object.fromEntries(kept) };
}
