import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import type { ModelManifest } from "@sluice/runtime/model";
import { createEndpointDocument } from "../gateway/documents/endpoint-document.ts";
import { createCatalog } from "./create-catalog.ts";
import { generateTypes } from "./generate-types.ts";
import { createManifest } from "./testing/create-manifest.ts";
import { fluxProManifest } from "./testing/flux-pro-manifest.ts";

const awkward = createManifest("acme/my-model/v1.1", {
  input: {
    type: "object",
    required: ["picture", "with-dash"],
    properties: {
      picture: { type: "string", ui: { field: "image" }, description: "Ends */ early?\nSecond line." },
      "with-dash": { enum: [1, "two", null] },
      pair: { type: "array", prefixItems: [{ type: "string" }, { type: "integer" }], items: false },
      tree: { $ref: "#/$defs/Tree" },
      thing: {
        allOf: [{ $ref: "#/$defs/Image" }, { type: "object", properties: { extra: { type: "number" } } }],
      },
      anything: {},
    },
    $defs: {
      Tree: { type: "object", properties: { children: { type: "array", items: { $ref: "#/$defs/Tree" } } } },
      Image: { type: "object", properties: { other: { type: "boolean" } } },
    },
  },
  output: { type: "object", required: ["ok"], properties: { ok: { type: ["boolean", "null"] } } },
});

test("the types of all endpoints compile, describe the schemas, and plug into the client", async () => {
  const problems = await compile(
    generateTypes(describeAll([fluxProManifest, awkward])),
    `
    import type { EndpointTypeMap } from "@sluice/client";
    import type { Endpoints, FluxProInput, FluxProOutput } from "./endpoints.js";

    const least: FluxProInput = { prompt: "a fox" };
    const full: FluxProInput = { prompt: "a fox", image_size: { width: 64 }, safety_tolerance: "3", seed: undefined };
    export const preset: FluxProInput = { prompt: "a fox", image_size: "square" };
    export function read(output: FluxProOutput): [string, number, boolean | undefined, number | undefined] {
      return [output.prompt, output.seed, output.has_nsfw_concepts[0], output.timings["inference"]];
    }
    export const width = (output: FluxProOutput): number | null | undefined => output.images[0]?.width;
    // @ts-expect-error: prompt is required
    export const none: FluxProInput = {};
    // @ts-expect-error: not a preset
    export const huge: FluxProInput = { prompt: "a fox", image_size: "huge" };
    // @ts-expect-error: a number is no safety tolerance
    export const tolerance: FluxProInput = { prompt: "a fox", safety_tolerance: 3 };

    type Awkward = Endpoints["acme/my-model/v1.1"];
    export const input: Awkward["input"] = {
      picture: new Blob([]),
      "with-dash": null,
      pair: ["a", 1],
      tree: { children: [{ children: [] }] },
      thing: { other: true, extra: 1 },
    };
    export const ok: boolean | null = ({} as Awkward["output"]).ok;
    // @ts-expect-error: 3 is none of the values
    export const three: Awkward["input"] = { picture: "a", "with-dash": 3 };

    // The client knows the endpoint by what was generated.
    export const known: EndpointTypeMap["acme/my-model/v1.1"]["output"] = { ok: true };
    // @ts-expect-error: ok is no text
    export const unknown: EndpointTypeMap["acme/my-model/v1.1"]["output"] = { ok: "yes" };
    export { full, least };
    `,
  );
  assert.equal(problems, "");
});

test("equal schemas of several endpoints are declared once, different ones under different names", () => {
  const other = createManifest("fal-ai/other", {
    input: {
      type: "object",
      properties: { size: { $ref: "#/$defs/ImageSize" } },
      $defs: { ImageSize: { type: "object" } },
    },
    output: fluxProManifest.output,
  });
  const text = generateTypes(describeAll([fluxProManifest, other]));
  assert.equal(text.match(/export interface Image \{/g)?.length, 1);
  assert.match(text, /export interface ImageSize \{/);
  assert.match(text, /export type OtherImageSize = Record<string, unknown>;/);
  assert.match(text, /"fal-ai\/other": \{ input: OtherInput; output: OtherOutput \};/);
});

test("fields carry their description, default and limits", () => {
  const text = generateTypes(describeAll([fluxProManifest]));
  assert.match(
    text,
    /\/\*\* How many inference steps to perform\. Default: `28`\. At least 1\. At most 50\. \*\/\n {2}num_inference_steps\?: number \| undefined;/,
  );
  assert.doesNotMatch(text, /QueueStatus/);
});

test("something else than a queue document is refused by name", () => {
  assert.throws(() => generateTypes([{ openapi: "3.0.4", info: {} }]), /no queue document of an endpoint/);
});

test("no endpoints make an empty map", async () => {
  assert.equal(await compile(generateTypes([]), 'import "./endpoints.js";'), "");
});

function describeAll(models: readonly ModelManifest[]): ReturnType<typeof createEndpointDocument>[] {
  const catalog = createCatalog([{ path: "x.ts", updatedAt: 0, manifest: { models } }]);
  const urls = { origin: "http://127.0.0.1:7777", queue: "http://127.0.0.1:7777/queue" };
  return catalog.list().map((entry) => createEndpointDocument(entry, urls));
}

/** What the TypeScript compiler says about the generated file beside a program that uses it. */
async function compile(types: string, program: string): Promise<string> {
  const dir = await mkdtemp(join(tmpdir(), "sluice-types-"));
  try {
    await writeFile(join(dir, "endpoints.d.ts"), types);
    await writeFile(join(dir, "program.ts"), program);
    const compilerOptions = {
      strict: true,
      exactOptionalPropertyTypes: true,
      noUncheckedIndexedAccess: true,
      noPropertyAccessFromIndexSignature: true,
      skipLibCheck: false,
      noEmit: true,
      allowImportingTsExtensions: true,
      target: "es2024",
      lib: ["es2024", "dom", "dom.iterable", "dom.asynciterable", "esnext.disposable"],
      module: "preserve",
      moduleResolution: "bundler",
      types: [],
      paths: {
        "@sluice/client": [root("client/src/index.ts")],
        "@sluice/protocol": [root("protocol/src/index.ts")],
        "*": [root("node_modules/*"), root("client/node_modules/*")],
      },
    };
    await writeFile(join(dir, "tsconfig.json"), JSON.stringify({ compilerOptions, files: ["program.ts"] }));
    await promisify(execFile)(process.execPath, [root("node_modules/typescript/bin/tsc"), "-p", dir], {
      timeout: 60_000,
    });
    return "";
  } catch (error) {
    const { stdout } = error as { stdout?: string };
    return stdout ?? String(error);
  } finally {
    await rm(dir, { recursive: true });
  }
}

function root(path: string): string {
  return fileURLToPath(new URL(`../../../${path}`, import.meta.url));
}
