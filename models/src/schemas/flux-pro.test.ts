import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { test } from "node:test";
import { FLUX_PRO_INPUT, FLUX_PRO_OUTPUT } from "./flux-pro.ts";
import { IMAGE_SIZE_PRESETS, MAX_IMAGE_SIDE, resolveImageSize } from "./image-size.ts";

type Json = Record<string, unknown>;

/** The schema of the endpoint's API page, limits as annotations. */
const page = JSON.parse(
  readFileSync(new URL("./fixtures/flux-pro.schema.json", import.meta.url), "utf8"),
) as { readonly $defs: Readonly<Record<string, Json>> };

test("the input schema of flux-pro is its page's, with the suggested limits as keywords", () => {
  const expected = structuredClone(page.$defs["FluxProInput"]) as Json;
  const properties = expected["properties"] as Record<string, Json>;
  for (const property of Object.values(properties)) {
    Object.assign(property, property["x-suggested-limits"]);
    delete property["x-suggested-limits"];
  }
  properties["prompt"]!["minLength"] = 1;
  const { $schema, $defs, ...actual } = structuredClone(FLUX_PRO_INPUT) as Json;
  delete (actual["properties"] as Record<string, Json>)["image_size"]!["x-fal"];
  assert.deepEqual(actual, expected);
  assert.deepEqual(Object.keys(actual["properties"] as Json), expected["x-fal-order-properties"]);
  assert.equal($schema, "https://json-schema.org/draft/2020-12/schema");

  const defs = structuredClone($defs) as Record<string, Json>;
  const sides = (defs["ImageSize"] as { properties: Record<string, Json> }).properties;
  for (const side of Object.values(sides)) {
    assert.equal(side["maximum"], MAX_IMAGE_SIDE);
    side["maximum"] = 14142;
  }
  for (const name of ["ImageSize", "ImageSizePreset", "SafetyToleranceEnum"]) {
    const { $comment, ...def } = page.$defs[name] as Json;
    assert.deepEqual(defs[name], def, name);
  }
});

test("the output schema of flux-pro is its page's", () => {
  const { $schema, $defs, ...actual } = structuredClone(FLUX_PRO_OUTPUT) as Json;
  assert.deepEqual(actual, page.$defs["FluxProOutput"]);
  for (const name of ["Image", "Timings"]) {
    const { $comment, ...def } = page.$defs[name] as Json;
    assert.deepEqual(($defs as Json)[name], def, name);
  }
});

test("an image size is a preset's pixels or the caller's own", () => {
  assert.deepEqual(resolveImageSize("portrait_16_9"), IMAGE_SIZE_PRESETS.portrait_16_9);
  assert.deepEqual(resolveImageSize({ width: 2560, height: 1080 }), { width: 2560, height: 1080 });
});

test("a picture of too many pixels is refused on its width, with the largest width that would do", () => {
  assert.throws(
    () => resolveImageSize({ width: 4096, height: 4096 }),
    (error: { detail: { loc: unknown; type: string; ctx: { le: number } }[] }) => {
      const [item] = error.detail;
      assert.deepEqual(item!.loc, ["body", "image_size", "width"]);
      assert.equal(item!.type, "less_than_equal");
      assert.deepEqual(resolveImageSize({ width: item!.ctx.le, height: 4096 }).width, item!.ctx.le);
      return true;
    },
  );
});
