import type { ModelExample, ModelIdentity, ModelLimits } from "./define-model.ts";
import type { JsonSchema } from "./json-schema.ts";

/**
 * A model definition as JSON: what a worker tells the server about a model file. The server never imports
 * model code; this is all it knows.
 */
export interface ModelManifest {
  readonly id: string;
  readonly title: string;
  readonly description: string;
  readonly category: string;
  readonly tags: readonly string[];
  readonly model: ModelIdentity;
  readonly license: string | null;
  readonly input: JsonSchema;
  readonly output: JsonSchema;
  readonly examples: readonly ModelExample[];
  readonly limits: Required<Omit<ModelLimits, "memoryBytes">> & { readonly memoryBytes: number | null };
  readonly price: { readonly unit: string; readonly amount: number };
}

/** What one model file holds. */
export interface ModelFileManifest {
  /** Changes when the file or its models' versions change. */
  readonly models: readonly ModelManifest[];
}
