import type { ModelManifest } from "@sluice/runtime/model";

export const NOOP_ENDPOINT = "bench/noop";

/** What a worker says of `noop.ts`, for servers that run without workers. */
export const NOOP_MANIFEST: ModelManifest = {
  id: NOOP_ENDPOINT,
  title: "No-op",
  description: "Answers at once.",
  category: "other",
  tags: [],
  model: { name: "noop", version: "1" },
  license: null,
  input: {
    type: "object",
    required: ["prompt"],
    properties: {
      prompt: { type: "string", minLength: 1 },
      wait_ms: { type: "integer", minimum: 0, maximum: 60_000, default: 0 },
    },
  },
  output: { type: "object" },
  examples: [],
  limits: { timeoutMs: 60_000, setupTimeoutMs: 60_000, workers: 1, idleMs: 300_000, memoryBytes: null },
  price: { unit: "request", amount: 0 },
};
