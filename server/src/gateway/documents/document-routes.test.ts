import assert from "node:assert/strict";
import { test } from "node:test";
import { Validator } from "@seriousme/openapi-schema-validator";
import type { JsonSchema } from "@sluice/runtime/model";
import { Ajv2020 } from "ajv/dist/2020.js";
import type { Catalog } from "../../catalog/catalog.ts";
import { createCatalog } from "../../catalog/create-catalog.ts";
import { createManifest } from "../../catalog/testing/create-manifest.ts";
import { fluxProManifest } from "../../catalog/testing/flux-pro-manifest.ts";
import type { Call } from "../call.ts";
import type { GatewayContext } from "../context.ts";
import { createAppDocument } from "./app-document.ts";
import { formatPascal } from "./component-schemas.ts";
import { createDocumentRoutes } from "./document-routes.ts";

// biome-ignore lint/suspicious/noExplicitAny: documents are read by path here
type Json = Record<string, any>;

const urls = { origin: "http://127.0.0.1:7777", queue: "http://127.0.0.1:7777/queue", files: "" };

test("the queue document names its schemas after the endpoint and hoists what they refer to", async () => {
  const document = await readDocument(serve([fluxProManifest]), "fal-ai/flux-pro");
  assert.equal(document["openapi"], "3.0.4");
  assert.equal(document["info"].title, "Queue OpenAPI for fal-ai/flux-pro");
  assert.equal(document["info"]["x-fal-metadata"].endpointId, "fal-ai/flux-pro");
  assert.equal(document["info"]["x-fal-metadata"].playgroundUrl, `${urls.origin}/models/fal-ai/flux-pro`);
  assert.deepEqual(document["servers"], [{ url: urls.queue }]);
  assert.deepEqual(Object.keys(document["paths"]), [
    "/fal-ai/flux-pro/requests/{request_id}/status",
    "/fal-ai/flux-pro/requests/{request_id}/cancel",
    "/fal-ai/flux-pro",
    "/fal-ai/flux-pro/requests/{request_id}",
  ]);
  const { schemas } = document["components"];
  assert.deepEqual(Object.keys(schemas).sort(), [
    "FluxProInput",
    "FluxProOutput",
    "Image",
    "ImageSize",
    "QueueStatus",
    "Timings",
  ]);
  const { properties } = schemas["FluxProInput"];
  assert.deepEqual(Object.keys(properties), schemas["FluxProInput"]["x-fal-order-properties"]);
  assert.deepEqual(properties.image_size.anyOf[0], { $ref: "#/components/schemas/ImageSize" });
  assert.deepEqual(properties.image_size.anyOf[1].enum[0], "square_hd");
  assert.deepEqual(properties.safety_tolerance, {
    title: "Safety Tolerance",
    description: fluxProManifest.input["properties"]
      ? (fluxProManifest.input["properties"] as Json)["safety_tolerance"].description
      : "",
    default: "2",
    examples: ["2"],
    type: "string",
    enum: ["1", "2", "3", "4", "5", "6"],
  });
  assert.deepEqual(schemas["Image"].properties.width.anyOf, [{ type: "integer" }, { type: "null" }]);
  assert.deepEqual(
    findRefs(document).filter((ref) => resolve(document, ref) === undefined),
    [],
  );
});

test("the documents are valid OpenAPI", async () => {
  const catalog = serve([fluxProManifest, awkward]);
  const documents = [
    await readDocument(catalog, "fal-ai/flux-pro"),
    await readDocument(catalog, "acme/awkward"),
    createAppDocument(catalog, "fal-ai/flux-pro", urls),
  ];
  for (const document of documents) {
    // The hosted documents say 3.0 and hold keywords of 3.1 (`examples`, type null): they are checked as 3.1.
    const result = await new Validator().validate({ ...document, openapi: "3.1.0" });
    assert.ok(result.valid, JSON.stringify(result.errors));
  }
});

test("a value fits the document's schemas exactly when it fits the endpoint's own", async () => {
  const document = await readDocument(serve([fluxProManifest]), "fal-ai/flux-pro");
  const ajv = new Ajv2020({ strict: false });
  const own = ajv.compile(fluxProManifest.output);
  const hoisted = ajv.compile({ ...document, $ref: "#/components/schemas/FluxProOutput" });
  const [example] = fluxProManifest.examples;
  const output = structuredClone(example?.output) as Json;
  for (const value of [
    output,
    { ...output, seed: "x" },
    { ...output, images: [{ url: "a", width: null }] },
    { ...output, images: [{ url: "a", width: 1.5 }] },
    { ...output, timings: { a: "b" } },
  ])
    assert.equal(hoisted(value), own(value), JSON.stringify(value));
});

/** Everything that could go wrong when schemas are put side by side. */
const awkward = createManifest("acme/awkward", {
  input: {
    type: "object",
    properties: {
      default: { $ref: "#/$defs/Thing" },
      tree: { $ref: "#/definitions/LoraInput" },
      self: { $ref: "#/properties/tree" },
      choice: { type: ["integer", "string"], enum: [1, "a"], default: { $ref: "#/info" } },
    },
    $defs: { Thing: { type: "string" } },
    definitions: {
      LoraInput: {
        type: "object",
        properties: { children: { type: "array", items: { $ref: "#/definitions/LoraInput" } } },
      },
    },
  },
  output: {
    type: "object",
    properties: { thing: { $ref: "#/$defs/Thing" } },
    $defs: { Thing: { type: "integer" } },
  },
});

test("definitions of one name and different content get different names, and none looks like a second input", async () => {
  const document = await readDocument(serve([awkward]), "acme/awkward");
  const { schemas } = document["components"];
  assert.equal(schemas["AwkwardInput"].properties.default.$ref, "#/components/schemas/Thing");
  assert.equal(schemas["Thing"].type, "string");
  assert.equal(schemas["AwkwardOutput"].properties.thing.$ref, "#/components/schemas/Thing2");
  assert.equal(schemas["Thing2"].type, "integer");
  assert.deepEqual(
    Object.keys(schemas).filter((name) => name.endsWith("Input")),
    ["AwkwardInput"],
  );
  assert.equal(
    schemas["LoraInputValue"].properties.children.items.$ref,
    "#/components/schemas/LoraInputValue",
  );
  assert.equal(
    schemas["AwkwardInput"].properties.self.$ref,
    "#/components/schemas/AwkwardInput/properties/tree",
  );
  assert.deepEqual(schemas["AwkwardInput"].properties.choice.default, { $ref: "#/info" });
});

test("names are made from the id without its owner", () => {
  assert.equal(formatPascal("fal-ai/flux-pro/v1.1"), "FluxProV11");
  assert.equal(formatPascal("fal-ai/flux/dev"), "FluxDev");
  assert.equal(formatPascal("acme/3d"), "Endpoint3d");
});

test("an unknown endpoint has no document: 404 with null", async () => {
  for (const id of ["acme/none", ""]) {
    const response = await get(serve([]), `/api/openapi/queue/openapi.json?endpoint_id=${id}`);
    assert.equal(response.status, 404);
    assert.equal(await response.json(), null);
  }
});

test("an app's document holds its endpoints as paths in their order", () => {
  const catalog = serve([createManifest("acme/a/z"), createManifest("acme/a"), createManifest("acme/b")]);
  const document = createAppDocument(catalog, "acme/a", urls) as Json;
  assert.deepEqual(document["x-fal-order-paths"], ["/z", "/"]);
  assert.deepEqual(Object.keys(document["paths"]), ["/z", "/"]);
  assert.equal(createAppDocument(catalog, "acme/none", urls), undefined);
});

test("an endpoint's page names model, license and every field", async () => {
  const response = await get(serve([fluxProManifest]), "/models/fal-ai/flux-pro/llms.txt");
  assert.equal(response.status, 200);
  assert.equal(response.headers.get("content-type"), "text/plain; charset=utf-8");
  const text = await response.text();
  assert.match(text, /Model that answers\*\*: tiny-flux, version 1/);
  assert.match(text, /License of the weights\*\*: MIT/);
  assert.match(text, /- \*\*`prompt`\*\*\* \(`string`\): Text prompt/);
  assert.match(
    text,
    /`image_size`\*\* \(`ImageSize \| Enum`\): .*Default value: `"landscape_4_3"`\. Possible values: `"square_hd"`/,
  );
  assert.match(text, /`num_inference_steps`\*\* \(`integer`\): .*Default value: `28`\. Range: 1 to 50\./);
  assert.match(text, /`guidance_scale`\*\* \(`float`\)/);
  assert.match(text, /`safety_tolerance`\*\* \(`SafetyToleranceEnum`\)/);
  assert.match(text, /`images`\*\*\* \(`list<Image>`\)/);
  assert.ok(text.includes(`${urls.origin}/run/fal-ai/flux-pro`));
});

test("an endpoint's page says what the API page says, in its order", async () => {
  const text = await (await get(serve([fluxProManifest]), "/models/fal-ai/flux-pro/llms.txt")).text();
  assert.deepEqual(
    [...text.matchAll(/^#{2,4} (.+)$/gm)].map(([, heading]) => heading),
    [
      ...["Overview", "Pricing"],
      ...["1. Calling the API", "Install the client", "Set the key"],
      "Submit a request and wait for its result",
      ...["JavaScript", "@sluice/client", "TypeScript", "Python", "cURL", "CLI"],
      ...["The queue, call by call", "Webhooks", "Streaming", "Realtime"],
      ...["2. Authentication", "3. Files", "4. Schema"],
      ...["Input", "Input example", "Output", "Output example", "ImageSize", "Image"],
    ],
  );
  const { origin } = urls;
  for (const part of [
    "npm install @fal-ai/client",
    `proxyUrl: { url: "${origin}/api/fal/proxy", when: "always" },`,
    `npm install ${origin}/client.tgz`,
    'export FAL_KEY="id:secret"',
    'fal.subscribe("fal-ai/flux-pro", {',
    `"${origin}/queue/fal-ai/flux-pro/requests/$REQUEST_ID/status?logs=1"`,
    `--request PUT "${origin}/queue/fal-ai/flux-pro/requests/$REQUEST_ID/cancel"`,
    "?fal_webhook=",
    `"${origin}/run/fal-ai/flux-pro/stream"`,
    'fal.realtime.connect("fal-ai/flux-pro", {',
    "fal.storage.upload(",
    "This endpoint takes no files.",
  ])
    assert.ok(text.includes(part), part);
  const [, imageSize = ""] = /^### ImageSize\n\n([^#]+)/m.exec(text) ?? [];
  assert.match(imageSize, /^- \*\*`width`\*\* \(`integer`\): .*Default value: `512`/m);
  const [, output = ""] = /^### Output example\n\n```json\n(.+?)\n```/ms.exec(text) ?? [];
  assert.deepEqual(JSON.parse(output), fluxProManifest.examples[0]?.output);
});

test("an output example made from the schema says so and fits it", async () => {
  const output = {
    type: "object",
    properties: {
      node: { $ref: "#/$defs/Node" },
      score: { type: "number", minimum: 0.5 },
      kind: { enum: ["a", "b"] },
      maybe: { anyOf: [{ type: "null" }, { type: "string" }] },
      seed: { type: ["null", "integer"], examples: [7] },
    },
    required: ["node", "score", "kind", "maybe", "seed"],
    $defs: {
      Node: { type: "object", properties: { next: { type: "array", items: { $ref: "#/$defs/Node" } } } },
    },
  };
  const input = {
    type: "object",
    properties: { picture: { type: "string", ui: { field: "image" } }, mask_url: { type: "string" } },
  };
  const text = await (
    await get(serve([createManifest("acme/x", { input, output })]), "/models/acme/x/llms.txt")
  ).text();
  assert.match(text, /The fields `picture`, `mask_url` take a data URI/);
  assert.match(text, /^### Node\n\n- \*\*`next`\*\* \(`list<Node>`\)$/m);
  const [, json = ""] =
    /the values are made from the schema, not by the model:\n\n```json\n(.+?)\n```/s.exec(text) ?? [];
  const value = JSON.parse(json);
  assert.ok(new Ajv2020({ strict: false }).validate(output, value), json);
  assert.deepEqual({ ...value, node: 0 }, { node: 0, score: 0.5, kind: "a", maybe: "…", seed: 7 });
});

test("the Python sample writes values as Python does", async () => {
  const example = { input: { flag: true, none: null, list: [1, { a: 'it\'s "b"' }], empty: {} } };
  const catalog = serve([createManifest("acme/x", { examples: [example] })]);
  const text = await (await get(catalog, "/models/acme/x/llms.txt")).text();
  const body = [
    "json.dumps({",
    '        "flag": True,',
    '        "none": None,',
    '        "list": [',
    "            1,",
    "            {",
    '                "a": "it\'s \\"b\\"",',
    "            },",
    "        ],",
    '        "empty": {},',
    "    })",
  ];
  assert.ok(text.includes(body.join("\n")), text);
});

test("the index lists every endpoint with the model that answers", async () => {
  const response = await get(serve([fluxProManifest, awkward]), "/llms.txt");
  const text = await response.text();
  assert.match(
    text,
    /\[fal-ai\/flux-pro\]\(http:\/\/127\.0\.0\.1:7777\/models\/fal-ai\/flux-pro\/llms\.txt\)/,
  );
  assert.match(text, /tiny-flux 1, license MIT/);
  assert.match(text, /acme\/awkward/);
});

test("the page of an unknown endpoint is not found", async () => {
  for (const path of ["/models/acme/none/llms.txt", "/models/llms.txt", "/models/fal-ai/flux-pro"])
    assert.equal((await get(serve([fluxProManifest]), path)).status, 404);
});

function serve(models: Parameters<typeof createCatalog>[0][number]["manifest"]["models"]): Catalog {
  return createCatalog([{ path: "models.ts", updatedAt: 0, manifest: { models } }]);
}

async function get(catalog: Catalog, path: string): Promise<Response> {
  const context = { catalog, settings: { strict: false } } as GatewayContext;
  const url = new URL(path, urls.origin);
  const call = { url, path: url.pathname, urls, request: new Request(url) } as Call;
  return await createDocumentRoutes(context).fetch(call.request, call);
}

async function readDocument(catalog: Catalog, endpointId: string): Promise<Json> {
  const response = await get(catalog, `/api/openapi/queue/openapi.json?endpoint_id=${endpointId}`);
  assert.equal(response.status, 200);
  return (await response.json()) as Json;
}

function findRefs(value: unknown): string[] {
  if (typeof value !== "object" || value === null) return [];
  const { $ref } = value as { $ref?: unknown };
  const own = typeof $ref === "string" ? [$ref] : [];
  return [...own, ...Object.values(value).flatMap(findRefs)];
}

function resolve(document: unknown, ref: string): unknown {
  const parts = ref.slice(2).split("/");
  return parts.reduce<unknown>((value, part) => (value as JsonSchema | undefined)?.[part], document);
}
