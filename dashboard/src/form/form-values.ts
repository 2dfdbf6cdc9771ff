import type { Problem } from "../api/call.ts";
import type { Document } from "../api/models.ts";
import { type Field, listFields, type Schema } from "../schema/schema.ts";

/** What the form holds: a field that is left out was not given. */
export type Values = Readonly<Record<string, unknown>>;

/** The first filling: examples for what is required, defaults for the rest. */
export function createValues(schema: Schema, document: Document): Values {
  const entries = listFields(schema, document).flatMap(({ name, schema: field, isRequired }) => {
    const [example] = field.examples ?? [];
    if (isRequired && example !== undefined && field.ui?.field === undefined)
      return [[name, example] as const];
    return field.default === undefined ? [] : [[name, field.default] as const];
  });
  return Object.fromEntries(entries);
}

/** What is sent and shown as code: what is required, and what differs from the defaults. */
export function createInput(fields: readonly Field[], values: Values): Values {
  const entries = fields.flatMap(({ name, schema, isRequired }) => {
    const value = values[name];
    if (value === undefined || value === "") return isRequired ? [[name, value ?? ""] as const] : [];
    if (!isRequired && JSON.stringify(value) === JSON.stringify(schema.default)) return [];
    return [[name, value] as const];
  });
  return Object.fromEntries(entries);
}

/** Sentences by field name; those that belong to no field are under the empty name. */
export function groupProblems(
  problems: readonly Problem[],
  fields: readonly Field[],
): Readonly<Record<string, string>> {
  const grouped: Record<string, string> = {};
  for (const { loc, msg } of problems) {
    const [place, first, ...rest] = loc;
    const isField = place === "body" && fields.some(({ name }) => name === first);
    const name = isField ? String(first) : "";
    const inner = isField && rest.length > 0 ? `${rest.join(".")}: ` : "";
    const sentence = `${inner}${msg}`;
    grouped[name] = grouped[name] === undefined ? sentence : `${grouped[name]}; ${sentence}`;
  }
  return grouped;
}

const MAX_LINK_LENGTH = 8_000;

/** The part of an address that restores the form; undefined when the values are too large for one. */
export function formatShare(values: Values): string | undefined {
  const bytes = new TextEncoder().encode(JSON.stringify(values));
  const text = btoa(Array.from(bytes, (byte) => String.fromCharCode(byte)).join(""))
    .replaceAll("+", "-")
    .replaceAll("/", "_")
    .replaceAll("=", "");
  return text.length > MAX_LINK_LENGTH ? undefined : `#input=${text}`;
}

/** The values of an address; undefined when it has none or somebody changed it. */
export function parseShare(hash: string): Values | undefined {
  const text = /^#input=([A-Za-z0-9_-]+)$/.exec(hash)?.[1];
  if (text === undefined) return undefined;
  try {
    const bytes = Uint8Array.from(atob(text.replaceAll("-", "+").replaceAll("_", "/")), (letter) =>
      letter.charCodeAt(0),
    );
    const value: unknown = JSON.parse(new TextDecoder().decode(bytes));
    return typeof value === "object" && value !== null && !Array.isArray(value)
      ? (value as Values)
      : undefined;
  } catch {
    return undefined;
  }
}
