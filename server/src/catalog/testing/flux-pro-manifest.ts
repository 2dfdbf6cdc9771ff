import { readFileSync } from "node:fs";
import type { ModelManifest } from "@sluice/runtime/model";
import { createManifest } from "./create-manifest.ts";

type Json = Readonly<Record<string, unknown>>;

const page = JSON.parse(
  readFileSync(new URL("../fixtures/flux-pro.schema.json", import.meta.url), "utf8"),
) as {
  readonly $defs: Readonly<Record<string, Json>>;
  readonly examples: readonly { input: Json; output: Json }[];
};

/** `fal-ai/flux-pro` as its page describes it, with the suggested limits as keywords. */
export const fluxProManifest: ModelManifest = createManifest("fal-ai/flux-pro", {
  title: "FLUX Pro",
  description: "Pictures from prompts.",
  category: "text-to-image",
  tags: ["image"],
  model: { name: "tiny-flux", version: "1" },
  license: "MIT",
  input: {
    ...withLimits(page.$defs["FluxProInput"] ?? {}),
    $defs: pick(["ImageSize", "ImageSizePreset", "SafetyToleranceEnum"]),
  },
  output: { ...page.$defs["FluxProOutput"], $defs: pick(["Image", "Timings"]) },
  examples: page.examples,
  price: { unit: "image", amount: 0 },
});

function withLimits(schema: Json): Json {
  const properties = Object.entries(schema["properties"] as Record<string, Json>).map(([name, property]) => {
    const { "x-suggested-limits": limits, ...rest } = property;
    return [
      name,
      { ...rest, ...(limits as Json | undefined), ...(name === "prompt" ? { minLength: 1 } : {}) },
    ];
  });
  return { ...schema, properties: Object.fromEntries(properties) };
}

function pick(names: readonly string[]): Json {
  return Object.fromEntries(names.map((name) => [name, page.$defs[name]]));
}
