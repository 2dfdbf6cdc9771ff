import type { ModelManifest } from "@sluice/runtime/model";

/** A manifest with nothing special about it, for tests. */
export function createManifest(id: string, fields: Partial<ModelManifest> = {}): ModelManifest {
  return {
    id,
    title: id,
    description: "",
    category: "other",
    tags: [],
    model: { name: "test", version: "1" },
    license: null,
    input: { type: "object" },
    output: { type: "object" },
    examples: [],
    limits: { timeoutMs: 3_600_000, setupTimeoutMs: 600_000, workers: 1, idleMs: 300_000, memoryBytes: null },
    price: { unit: "request", amount: 0 },
    ...fields,
  };
}
