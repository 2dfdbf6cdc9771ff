import type { ModelErrorType } from "@sluice/protocol";

/** A value of the wanted type, or the type of the error item that says why there is none. */
export type Coerced<T> =
  | { readonly ok: true; readonly value: T }
  | { readonly ok: false; readonly error: ModelErrorType };

const INTEGER = /^[+-]?\d+(?:_\d+)*(?:\.0*)?$/;
const DECIMAL = /^[+-]?(?:\d+(?:_\d+)*\.?\d*|\.\d+)(?:e[+-]?\d+)?$/i;
const NOT_FINITE = /^[+-]?(?:inf|infinity|nan)$/i;
const TRUE = new Set(["1", "on", "t", "true", "y", "yes"]);
const FALSE = new Set(["0", "off", "f", "false", "n", "no"]);

/*
 * The hosted framework's lax mode (Pydantic 2): "28" → 28, 28.0 → 28, "true" and 1 → true. With `isStrict` only
 * values that already have the type pass.
 */

export function coerceInteger(value: unknown, isStrict: boolean): Coerced<number> {
  if (typeof value === "number") {
    if (!Number.isFinite(value)) return fail("finite_number");
    return Number.isInteger(value) ? pass(value) : fail("int_from_float");
  }
  if (isStrict) return fail("int_type");
  if (typeof value === "boolean") return pass(Number(value));
  if (typeof value !== "string") return fail("int_type");
  const text = value.trim();
  return INTEGER.test(text) ? finite(text) : fail("int_parsing");
}

export function coerceNumber(value: unknown, isStrict: boolean): Coerced<number> {
  if (typeof value === "number") return Number.isFinite(value) ? pass(value) : fail("finite_number");
  if (isStrict) return fail("float_type");
  if (typeof value === "boolean") return pass(Number(value));
  if (typeof value !== "string") return fail("float_type");
  const text = value.trim();
  if (DECIMAL.test(text)) return finite(text);
  return fail(NOT_FINITE.test(text) ? "finite_number" : "float_parsing");
}

export function coerceBoolean(value: unknown, isStrict: boolean): Coerced<boolean> {
  if (typeof value === "boolean") return pass(value);
  if (isStrict) return fail("bool_type");
  if (typeof value === "number") {
    if (!Number.isInteger(value)) return fail("bool_type");
    return value === 0 || value === 1 ? pass(value === 1) : fail("bool_parsing");
  }
  if (typeof value !== "string") return fail("bool_type");
  const word = value.toLowerCase();
  if (TRUE.has(word)) return pass(true);
  return FALSE.has(word) ? pass(false) : fail("bool_parsing");
}

/** `+1_000.0` as JavaScript reads numbers. */
function finite(text: string): Coerced<number> {
  const value = Number(text.replaceAll("_", ""));
  return Number.isFinite(value) ? pass(value) : fail("finite_number");
}

function pass<T>(value: T): Coerced<T> {
  return { ok: true, value };
}

function fail(error: ModelErrorType): Coerced<never> {
  return { ok: false, error };
}
