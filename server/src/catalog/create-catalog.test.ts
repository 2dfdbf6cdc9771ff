import assert from "node:assert/strict";
import { test } from "node:test";
import type { ErrorDetail } from "@sluice/protocol";
import type { JsonSchema, ModelManifest } from "@sluice/runtime/model";
import { Ajv2020 } from "ajv/dist/2020.js";
import type { CatalogEntry, Validation } from "./catalog.ts";
import { checkInput } from "./check-input.ts";
import { CatalogError, createCatalog } from "./create-catalog.ts";
import { createManifest } from "./testing/create-manifest.ts";
import { fluxProManifest } from "./testing/flux-pro-manifest.ts";

test("a valid input passes with its defaults filled in", () => {
  assert.deepEqual(accept(fluxPro, { prompt: "a fox" }), {
    prompt: "a fox",
    image_size: "landscape_4_3",
    num_inference_steps: 28,
    guidance_scale: 3.5,
    num_images: 1,
    safety_tolerance: "2",
  });
});

test("a member that an image size leaves out takes its default", () => {
  assert.deepEqual(accept(fluxPro, { prompt: "a fox", image_size: { width: 640 } })["image_size"], {
    width: 640,
    height: 512,
  });
});

test("texts, whole floats and numbers are read as the type that the field wants", () => {
  const input = accept(fluxPro, {
    prompt: "a fox",
    num_inference_steps: "28",
    seed: 28.0,
    guidance_scale: " 2.5e0 ",
    sync_mode: "true",
    num_images: " 2 ",
    image_size: { width: "640", height: "480.0" },
  });
  assert.equal(input["num_inference_steps"], 28);
  assert.equal(input["seed"], 28);
  assert.equal(input["guidance_scale"], 2.5);
  assert.equal(input["sync_mode"], true);
  assert.equal(input["num_images"], 2);
  assert.deepEqual(input["image_size"], { width: 640, height: 480 });
  for (const [given, read] of [
    [1, true],
    [0, false],
    ["off", false],
    ["YES", true],
    [1.0, true],
  ])
    assert.equal(accept(fluxPro, { prompt: "a fox", sync_mode: given })["sync_mode"], read);
});

test("null for an optional field counts as not given", () => {
  const input = accept(fluxPro, { prompt: "a fox", seed: null, num_images: null, sync_mode: null });
  assert.equal("seed" in input, false);
  assert.equal("sync_mode" in input, false);
  assert.equal(input["num_images"], 1);
});

test("null stays where the schema allows it", () => {
  const entry = serve({ type: "object", properties: { a: { type: ["string", "null"], default: "x" } } });
  assert.deepEqual(accept(entry, { a: null }), { a: null });
  assert.deepEqual(accept(entry, {}), { a: "x" });
});

test("unknown fields reach the model as they came", () => {
  const input = accept(fluxPro, { prompt: "a fox", output_format: "png", extra: { deep: [1] } });
  assert.equal(input["output_format"], "png");
  assert.deepEqual(input["extra"], { deep: [1] });
});

test("a field named __proto__ is only a field", () => {
  const validation = fluxPro.validateInput(Buffer.from('{"prompt":"a fox","__proto__":{"polluted":1}}'));
  assert.equal(validation.ok, true);
  assert.equal(({} as Record<string, unknown>)["polluted"], undefined);
  assert.equal((validation as { input: Record<string, unknown> }).input["polluted"], undefined);
});

const everything: JsonSchema = {
  type: "object",
  required: ["text"],
  properties: {
    text: { type: "string", minLength: 1, maxLength: 3, pattern: "^[a-z]*$" },
    list: { type: "array", items: { type: "integer" }, minItems: 1, maxItems: 2 },
    map: { type: "object", additionalProperties: { type: "number" } },
    nested: { type: "object", required: ["a"], properties: { a: { type: "string" } } },
    integer: { type: "integer" },
    number: { type: "number" },
    flag: { type: "boolean" },
    above: { type: "number", exclusiveMinimum: 1 },
    atLeast: { type: "number", minimum: 1 },
    below: { type: "number", exclusiveMaximum: 1 },
    atMost: { type: "number", maximum: 1 },
    step: { type: "number", multipleOf: 0.1 },
    letter: { enum: ["a", "b", "c"], type: "string" },
    digits: { type: "string", enum: ["1", "2"] },
    either: { anyOf: [{ type: "integer" }, { type: "string", maxLength: 3 }] },
    maybe: { anyOf: [{ type: "integer", minimum: 5 }, { type: "null" }] },
    image: { type: "string", ui: { field: "image" } },
    nothing: { type: "null" },
    closed: { type: "object", properties: { a: {} }, additionalProperties: false },
    other: { not: { type: "string" } },
  },
};

/** Field of {@link everything}, what is sent, and the item that answers. */
const refusals: readonly [
  field: string,
  value: unknown,
  type: string,
  loc: (string | number)[],
  ctx?: object | undefined,
  msg?: RegExp,
][] = [
  ["text", 5, "string_type", ["text"], undefined, /^Input should be a valid string$/],
  ["text", null, "string_type", ["text"]],
  ["text", "", "string_too_short", ["text"], { min_length: 1 }, /at least 1 character/],
  ["text", "abcd", "string_too_long", ["text"], { max_length: 3 }, /at most 3 characters/],
  ["text", "A", "string_pattern_mismatch", ["text"], { pattern: "^[a-z]*$" }],
  ["list", "x", "list_type", ["list"], undefined, /^Input should be a valid list$/],
  ["list", {}, "list_type", ["list"]],
  ["list", [], "sequence_too_short", ["list"], { min_length: 1 }, /^Sequence should have at least 1 items$/],
  ["list", [1, 2, 3], "sequence_too_long", ["list"], { max_length: 2 }, /at most 2 items$/],
  ["list", [1, "x"], "int_parsing", ["list", 1]],
  ["map", [1], "dict_type", ["map"]],
  ["map", { k: "x" }, "float_parsing", ["map", "k"]],
  ["nested", "x", "model_attributes_type", ["nested"]],
  ["nested", {}, "missing", ["nested", "a"], undefined, /^Field required$/],
  [
    "integer",
    "x",
    "int_parsing",
    ["integer"],
    undefined,
    /^Input should be a valid integer, unable to parse/,
  ],
  ["integer", "2.5", "int_parsing", ["integer"]],
  ["integer", 2.5, "int_from_float", ["integer"]],
  ["integer", [], "int_type", ["integer"]],
  ["number", "x", "float_parsing", ["number"], undefined, /^Input should be a valid number, unable to parse/],
  ["number", {}, "float_type", ["number"]],
  ["number", "nan", "finite_number", ["number"]],
  ["number", "1e999", "finite_number", ["number"]],
  ["flag", "maybe", "bool_parsing", ["flag"]],
  ["flag", 2, "bool_parsing", ["flag"]],
  ["flag", [], "bool_type", ["flag"]],
  ["above", 1, "greater_than", ["above"], { gt: 1 }, /^Input should be greater than 1$/],
  [
    "atLeast",
    0,
    "greater_than_equal",
    ["atLeast"],
    { ge: 1 },
    /^Input should be greater than or equal to 1$/,
  ],
  ["below", 1, "less_than", ["below"], { lt: 1 }, /^Input should be less than 1$/],
  ["atMost", "1.5", "less_than_equal", ["atMost"], { le: 1 }, /^Input should be less than or equal to 1$/],
  ["step", 0.25, "multiple_of", ["step"], { multiple_of: 0.1 }, /^Input should be a multiple of 0.1$/],
  ["letter", "d", "one_of", ["letter"], { expected: ["a", "b", "c"] }, /^Input should be 'a', 'b' or 'c'$/],
  ["letter", {}, "one_of", ["letter"], { expected: ["a", "b", "c"] }],
  ["digits", 1, "one_of", ["digits"], { expected: ["1", "2"] }],
  ["either", [], "one_of", ["either"], { expected: ["integer", "string"] }],
  ["either", "abcd", "string_too_long", ["either"], { max_length: 3 }],
  ["maybe", 4, "greater_than_equal", ["maybe"], { ge: 5 }],
  ["maybe", "x", "int_parsing", ["maybe"]],
  ["image", "ftp://example.org/a.png", "value_error", ["image"], undefined, /^value must be a valid URL$/],
  ["image", "a.png", "value_error", ["image"]],
  ["image", { url: "file:///etc/passwd" }, "value_error", ["image"]],
  ["image", { href: "x" }, "string_type", ["image"]],
  ["nothing", 1, "none_required", ["nothing"]],
  ["closed", { b: 1 }, "value_error", ["closed", "b"]],
  ["other", "x", "value_error", ["other"]],
];

for (const [field, value, type, loc, ctx, msg] of refusals) {
  test(`${field}: ${JSON.stringify(value)} is refused as ${type}`, () => {
    const detail = refuse(serve(everything), { text: "a", [field]: value });
    assert.equal(detail.length, 1, JSON.stringify(detail));
    const [item] = detail as [ErrorDetail];
    assert.deepEqual([item.type, item.loc], [type, ["body", ...loc]]);
    assert.deepEqual(item.ctx, ctx);
    assert.equal(item.url, `https://docs.fal.ai/errors/#${type}`);
    assert.match(item.msg, msg ?? /./);
    assert.ok("input" in item);
  });
}

test("a file field takes a URL, a data URI or an object with a URL", () => {
  const entry = serve(everything);
  const read = (image: unknown): unknown => accept(entry, { text: "a", image })["image"];
  assert.equal(read("https://example.org/ä b.png"), "https://example.org/ä b.png");
  assert.equal(read("data:image/png;base64,AAAA"), "data:image/png;base64,AAAA");
  assert.equal(read({ url: "http://example.org/a.png", file_name: "a.png" }), "http://example.org/a.png");
  assert.equal(refuse(entry, { text: "a", image: `https://example.org/${"a".repeat(2048)}` }).length, 1);
});

test("several wrong fields are all named, in the order of the schema", () => {
  const detail = refuse(fluxPro, { num_images: 5, guidance_scale: "x", num_inference_steps: 0 });
  assert.deepEqual(
    detail.map((item) => [item.loc[1], item.type]),
    [
      ["prompt", "missing"],
      ["num_inference_steps", "greater_than_equal"],
      ["guidance_scale", "float_parsing"],
      ["num_images", "less_than_equal"],
    ],
  );
});

test("an image size that is neither a known name nor an object is one one_of item", () => {
  for (const image_size of ["huge", 5, true, []]) {
    const detail = refuse(fluxPro, { prompt: "a fox", image_size });
    assert.equal(detail.length, 1);
    assert.deepEqual([detail[0]?.type, detail[0]?.loc], ["one_of", ["body", "image_size"]]);
    assert.match(detail[0]?.msg ?? "", /'square_hd'/);
  }
});

test("a side that is too long is refused on that side", () => {
  const detail = refuse(fluxPro, { prompt: "a fox", image_size: { width: 20_000, height: 0 } });
  assert.deepEqual(
    detail.map((item) => [item.loc.join("."), item.type, item.ctx]),
    [
      ["body.image_size.width", "less_than_equal", { le: 14142 }],
      ["body.image_size.height", "greater_than", { gt: 0 }],
    ],
  );
});

test("no body, an empty body and a body of null are a missing body", () => {
  for (const body of [null, new Uint8Array(0), Buffer.from("null")]) {
    const validation = fluxPro.validateInput(body);
    assert.deepEqual(validation.ok ? [] : validation.detail, [
      {
        loc: ["body"],
        msg: "Field required",
        type: "missing",
        url: "https://docs.fal.ai/errors/#missing",
        input: null,
      },
    ]);
  }
});

test("a body that is not an object is refused as such", () => {
  for (const body of ["[]", '"x"', "5", "true"]) {
    const validation = fluxPro.validateInput(Buffer.from(body));
    assert.deepEqual(validation.ok ? [] : validation.detail.map((item) => [item.type, item.loc]), [
      ["model_attributes_type", ["body"]],
    ]);
  }
});

test("an error repeats only a little of a long input", () => {
  const detail = refuse(fluxPro, {
    prompt: 5,
    image_size: "x".repeat(1_000_000),
    junk: "y".repeat(1_000_000),
  });
  assert.ok(JSON.stringify(detail).length < 4000);
  const missing = refuse(fluxPro, { junk: Array.from({ length: 100_000 }, (_, index) => ({ index })) });
  assert.ok(JSON.stringify(missing).length < 4000);
});

test("a number too large for a double is not finite", () => {
  const validation = fluxPro.validateInput(Buffer.from('{"prompt":"a fox","guidance_scale":1e999}'));
  assert.deepEqual(validation.ok ? [] : [validation.detail[0]?.type, validation.detail[0]?.input], [
    "finite_number",
    "inf",
  ]);
});

test("a thousand wrong items make a hundred error items", () => {
  const entry = serve({
    type: "object",
    properties: { list: { type: "array", items: { type: "integer" } } },
  });
  assert.equal(refuse(entry, { list: Array.from({ length: 1000 }, () => "x") }).length, 100);
});

test("a recursive schema is followed, and a deep wrong value is refused quickly", () => {
  const entry = serve({
    type: "object",
    properties: { tree: { $ref: "#/$defs/Tree" } },
    $defs: { Tree: { anyOf: [{ type: "integer" }, { type: "array", items: { $ref: "#/$defs/Tree" } }] } },
  });
  assert.deepEqual(accept(entry, { tree: [1, [2, ["3"]]] }), { tree: [1, [2, [3]]] });
  const startedAt = performance.now();
  refuse(entry, JSON.parse(`{"tree":${"[".repeat(90)}"x"${"]".repeat(90)}}`));
  assert.ok(performance.now() - startedAt < 2000);
});

test("our verdict on 1,000 random inputs of flux-pro is the schema validator's on the coerced value", () => {
  const ajv = new Ajv2020({ strict: false });
  const validate = ajv.compile(fluxProSchema);
  const random = createRandom(20_260_101);
  const pick = <T>(values: readonly T[]): T => values[Math.floor(random() * values.length)] as T;
  const scalars = [
    0,
    1,
    4,
    5,
    28,
    50,
    51,
    -1,
    2.5,
    1e9,
    "1",
    "4",
    "28",
    "2.5",
    "x",
    "",
    "true",
    true,
    null,
    [],
    {},
  ];
  const counts = { accepted: 0, refused: 0 };
  for (let round = 0; round < 1000; round++) {
    const body: Record<string, unknown> =
      random() < 0.9 ? { prompt: pick(["a fox", "a fox", "é", "", 5]) } : {};
    const fields = Object.keys(fluxProSchema["properties"] as object).filter(() => random() < 0.25);
    for (const field of fields) body[field] = pick(random() < 0.5 ? (likely[field] ?? scalars) : scalars);
    const { value, detail } = checkInput(fluxProSchema, body, ["body"]);
    assert.equal(
      detail.length === 0,
      validate(value),
      JSON.stringify({ body, value, detail, e: validate.errors }),
    );
    const validation = fluxPro.validateInput(Buffer.from(JSON.stringify(body)));
    assert.equal(validation.ok, detail.length === 0);
    counts[validation.ok ? "accepted" : "refused"]++;
  }
  assert.ok(counts.accepted > 100 && counts.refused > 100, JSON.stringify(counts));
});

test("no bytes make validation throw, and every refusal says something small", () => {
  const random = createRandom(7);
  const whole = Buffer.from(
    '{"prompt":"a \\u00e9 fox","image_size":{"width":640},"seed":-1.5e3,"list":[null,true]}',
  );
  for (let round = 0; round < 3000; round++) {
    const body = Buffer.from(whole.subarray(0, Math.floor(random() * (whole.length + 1))));
    for (let change = 0; change < 3 && body.length > 0; change++)
      body[Math.floor(random() * body.length)] = Math.floor(random() * 256);
    const validation = fluxPro.validateInput(body);
    if (validation.ok) continue;
    assert.ok(validation.detail.length > 0);
    assert.ok(JSON.stringify(validation.detail).length < 4000);
  }
});

test("an output that fits has no problems, one that does not is named by its path", () => {
  const output = {
    images: [{ url: "https://example.org/a.jpg", width: 4, height: 4, content_type: null }],
    timings: { inference: 1 },
    seed: 5,
    has_nsfw_concepts: [false],
    prompt: "a fox",
  };
  assert.deepEqual(fluxPro.validateOutput(output), []);
  const [wrong] = fluxPro.validateOutput({ ...output, has_nsfw_concepts: ["no"] });
  assert.deepEqual(wrong?.loc, ["output", "has_nsfw_concepts", 0]);
  const { seed, ...without } = output;
  const [missing] = fluxPro.validateOutput(without);
  assert.deepEqual([missing?.loc, missing?.type], [["output", "seed"], "missing"]);
});

test("endpoints are listed in the order of their files and found by their full id", () => {
  const catalog = createCatalog([
    {
      path: "a.ts",
      updatedAt: 1,
      manifest: { models: [createManifest("acme/b/c"), createManifest("acme/b")] },
    },
    { path: "b.ts", updatedAt: 2, manifest: { models: [createManifest("workflows/acme/flow/x")] } },
  ]);
  assert.deepEqual(
    catalog.list().map((entry) => [entry.endpointId, entry.app, entry.modelFile, entry.updatedAt]),
    [
      ["acme/b/c", "acme/b", "a.ts", 1],
      ["acme/b", "acme/b", "a.ts", 1],
      ["workflows/acme/flow/x", "workflows/acme/flow", "b.ts", 2],
    ],
  );
  assert.equal(catalog.find("acme/b/c")?.endpointId, "acme/b/c");
  assert.equal(catalog.find("acme/b/d"), undefined);
  assert.equal(catalog.hasApp("acme/b"), true);
  assert.equal(catalog.hasApp("workflows/acme/flow"), true);
  assert.equal(catalog.hasApp("acme/flow"), false);
});

const unusable: readonly [what: string, manifest: ModelManifest, message: RegExp][] = [
  ["an id without an owner", createManifest("shout"), /an id is "owner\/name"/],
  ["an id with a space", createManifest("acme/my model"), /an id is "owner\/name"/],
  ["an id that looks like a request", createManifest("acme/x/requests/y"), /"requests" is part of/],
  [
    "an input that is not an object",
    createManifest("acme/x", { input: { type: "string" } }),
    /"type": "object"/,
  ],
  [
    "a type that does not exist",
    createManifest("acme/x", { output: { type: "object", properties: { a: { type: "text" } } } }),
    /the output schema cannot be used/,
  ],
  [
    "a reference to nothing",
    createManifest("acme/x", { input: { type: "object", properties: { a: { $ref: "#/$defs/No" } } } }),
    /"#\/\$defs\/No" names nothing/,
  ],
  [
    "a reference to the network",
    createManifest("acme/x", {
      input: { type: "object", properties: { a: { $ref: "https://example.org/" } } },
    }),
    /not a path into the schema/,
  ],
  [
    "a reference to itself",
    createManifest("acme/x", {
      input: {
        type: "object",
        properties: { a: { $ref: "#/$defs/A" } },
        $defs: { A: { anyOf: [{ $ref: "#/$defs/A" }] } },
      },
    }),
    /refers to itself/,
  ],
  [
    "a pattern that is no regular expression",
    createManifest("acme/x", {
      input: { type: "object", properties: { a: { type: "string", pattern: "(" } } },
    }),
    /the input schema cannot be used/,
  ],
];

for (const [what, manifest, message] of unusable) {
  test(`${what} stops the start with the file's and the endpoint's name`, () => {
    assert.throws(
      () => createCatalog([{ path: "models/x.ts", updatedAt: 0, manifest: { models: [manifest] } }]),
      (error: unknown) => {
        assert.ok(error instanceof CatalogError);
        assert.ok(error.message.startsWith(`models/x.ts: endpoint "${manifest.id}": `), error.message);
        assert.match(error.message, message);
        return true;
      },
    );
  });
}

test("an endpoint that two files have stops the start and names both", () => {
  const models = [createManifest("acme/x")];
  assert.throws(
    () =>
      createCatalog([
        { path: "a.ts", updatedAt: 0, manifest: { models } },
        { path: "b.ts", updatedAt: 0, manifest: { models } },
      ]),
    /^CatalogError: b\.ts: endpoint "acme\/x": a\.ts already has it/,
  );
});

test("a file may take over an endpoint of one that is replaceable, in either order", () => {
  const shipped = {
    path: "shipped.ts",
    updatedAt: 0,
    isReplaceable: true,
    manifest: { models: [createManifest("acme/x"), createManifest("acme/y")] },
  };
  const own = { path: "own.ts", updatedAt: 0, manifest: { models: [createManifest("acme/x")] } };
  for (const files of [
    [shipped, own],
    [own, shipped],
  ]) {
    const catalog = createCatalog(files);
    assert.equal(catalog.list().length, 2);
    assert.equal(catalog.find("acme/x")?.modelFile, "own.ts");
    assert.equal(catalog.find("acme/y")?.modelFile, "shipped.ts");
  }
});

test("an operator's schema is compiled at once, a shipped one when it is first needed", () => {
  const broken = {
    path: "a.ts",
    updatedAt: 0,
    manifest: { models: [createManifest("acme/x", { input: BROKEN })] },
  };
  assert.throws(() => createCatalog([broken]), /^CatalogError: a\.ts: endpoint "acme\/x": the input schema/);
  const catalog = createCatalog([{ ...broken, isReplaceable: true }]);
  assert.throws(() => catalog.find("acme/x")?.validateInput(Buffer.from('{"a":1}')), /minimum/);
});

const BROKEN: JsonSchema = { type: "object", properties: { a: { type: "integer", minimum: "one" } } };

test("two endpoints may share a schema that names itself", () => {
  const input = { $id: "urn:x", $schema: "http://json-schema.org/draft-07/schema#", type: "object" };
  const models = [createManifest("acme/x", { input }), createManifest("acme/y", { input })];
  assert.equal(createCatalog([{ path: "a.ts", updatedAt: 0, manifest: { models } }]).list().length, 2);
});

const fluxPro: CatalogEntry = serve(fluxProManifest.input, fluxProManifest.output);
const fluxProSchema: JsonSchema = fluxProManifest.input;
const likely: Readonly<Record<string, readonly unknown[]>> = {
  image_size: ["square", "landscape_16_9", { width: 640, height: 480 }, { width: "64" }, { height: 0 }],
  safety_tolerance: ["1", "6", "7"],
  guidance_scale: [1, 20, "3.5"],
  sync_mode: [true, false, "no", 1],
};

function serve(input: JsonSchema, output: JsonSchema = { type: "object" }): CatalogEntry {
  const models = [createManifest("acme/x", { input, output })];
  return createCatalog([{ path: "x.ts", updatedAt: 0, manifest: { models } }]).find("acme/x")!;
}

function validate(entry: CatalogEntry, body: unknown): Validation {
  return entry.validateInput(Buffer.from(JSON.stringify(body)));
}

function accept(entry: CatalogEntry, body: unknown): Readonly<Record<string, unknown>> {
  const validation = validate(entry, body);
  assert.ok(validation.ok, JSON.stringify(validation));
  return validation.input;
}

function refuse(entry: CatalogEntry, body: unknown): readonly ErrorDetail[] {
  const validation = validate(entry, body);
  assert.ok(!validation.ok, JSON.stringify(validation));
  return validation.detail;
}

/** Numbers from 0 to 1 that are the same in every run (mulberry32). */
function createRandom(seed: number): () => number {
  let state = seed;
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state);
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed;
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  };
}
