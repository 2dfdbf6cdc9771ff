import { createModelError } from "@sluice/runtime/model";

/** Fields in which callers name changes to a model. */
const FIELDS = ["loras", "lora", "lora_url", "lora_path", "lora_name"];

/**
 * Schemas let unknown fields pass, so a LoRA would be ignored in silence and the picture be another than was asked for.
 * @throws ModelError naming the field
 */
export function refuseLora(input: unknown): void {
  if (typeof input !== "object" || input === null) return;
  for (const field of FIELDS) {
    const value = (input as Readonly<Record<string, unknown>>)[field];
    if (value === undefined || value === null || value === "" || (Array.isArray(value) && value.length === 0))
      continue;
    throw createModelError("value_error", ["body", field], {
      msg: "LoRA is not supported here: the model answers as it is. Leave the field out, or have the operator merge the LoRA into a model of its own.",
    });
  }
}
