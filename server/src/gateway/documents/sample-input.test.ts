import assert from "node:assert/strict";
import { test } from "node:test";
import type { CatalogEntry } from "../../catalog/catalog.ts";
import { createSampleInput, keepRequired } from "./sample-input.ts";

test("a short sample has what an endpoint cannot do without, or all where it needs nothing", () => {
  const properties = {
    prompt: { type: "string", examples: ["a cat"] },
    style: { type: "string" },
    seed: { examples: [7] },
  };
  const entry = (required: readonly string[]): CatalogEntry =>
    ({
      manifest: { examples: [], input: { type: "object", properties, required } },
    }) as unknown as CatalogEntry;
  const shorten = (required: readonly string[]) =>
    keepRequired(entry(required), createSampleInput(entry(required)));
  assert.deepEqual(shorten(["prompt", "style"]), { prompt: "a cat", style: "…" });
  assert.deepEqual(shorten([]), { prompt: "a cat", seed: 7 });
});
