import type { ErrorDetail } from "@sluice/protocol";
import type { ModelManifest } from "@sluice/runtime/model";

/** The set of endpoints this server offers. Pure data and pure functions: it runs nothing. */
export interface Catalog {
  /** All endpoints, in the order in which their model files were given. */
  list(): readonly CatalogEntry[];
  /** The endpoint with this full id. */
  find(endpointId: string): CatalogEntry | undefined;
  /** True when any endpoint belongs to this `[namespace/]owner/alias`. */
  hasApp(app: string): boolean;
}

export interface CatalogEntry {
  readonly endpointId: string;
  /** `[namespace/]owner/alias`. */
  readonly app: string;
  readonly manifest: ModelManifest;
  /** Path of the model file whose worker answers. Endpoints of one file share a worker. */
  readonly modelFile: string;
  /** Epoch ms of the file's last change, for `updated_at`. */
  readonly updatedAt: number;
  /**
   * Checks an input as the hosted framework does: lax coercions ("28" → 28, 28.0 → 28, "true" → true), defaults
   * filled in, unknown fields ignored, null for an optional field counts as not given.
   */
  validateInput(body: Uint8Array | null): Validation;
  /** Checks what a model returned; a list of problems, empty when it fits. */
  validateOutput(output: unknown): readonly ErrorDetail[];
}

export type Validation =
  | { readonly ok: true; readonly input: Readonly<Record<string, unknown>> }
  | { readonly ok: false; readonly detail: readonly ErrorDetail[] };
