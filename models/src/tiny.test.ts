import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { isArtifact, isModelError } from "@sluice/runtime/model";
import exifr from "exifr";
import { EXAMPLE_PROMPT } from "./schemas/text-to-image.ts";
import { INPUT, openTiny } from "./testing/open-tiny.ts";
import models from "./tiny.ts";

const [fluxPro, fluxProV11, fluxDev, fluxSchnell] = models;
const isLong = process.env["SLUICE_LONG"] === "1";

describe("the embedded text-to-image endpoints", () => {
  test("an answer has every field of the schema, with the seed and prompt that were used", async () => {
    await using model = await openTiny();
    const output = await model.run({ seed: 42, num_images: 2 });
    assert.deepEqual(Object.keys(output), ["images", "timings", "seed", "has_nsfw_concepts", "prompt"]);
    assert.equal(output.images.length, 2);
    for (const image of output.images) {
      assert.ok(isArtifact(image));
      assert.deepEqual(
        [image.width, image.height, image.contentType, image.inline],
        [256, 192, "image/jpeg", false],
      );
    }
    assert.ok((output.timings["inference"] ?? 0) > 0);
    assert.deepEqual(
      [output.seed, output.prompt, output.has_nsfw_concepts],
      [42, INPUT.prompt, [false, false]],
    );
  });

  test("without a seed the request's own is used and told", async () => {
    await using model = await openTiny();
    const output = await model.run({});
    assert.equal(output.seed, 99);
    assert.deepEqual(output.images[0]?.bytes, (await model.run({ seed: 99 })).images[0]?.bytes);
  });

  test("image i of several is the image of seed + i, byte for byte", async () => {
    await using model = await openTiny();
    const several = await model.run({ seed: 2 ** 32 - 1, num_images: 3 });
    for (const [i, seed] of [2 ** 32 - 1, 0, 1].entries())
      assert.deepEqual((await model.run({ seed })).images[0]?.bytes, several.images[i]?.bytes);
    assert.deepEqual((await model.run({ seed: -1 })).images[0]?.bytes, several.images[0]?.bytes);
  });

  test("the picture says that a model made it, which one, and neither the prompt nor a time", async () => {
    await using model = await openTiny();
    for (const output_format of ["jpeg", "png"]) {
      const [image] = (await model.run({ output_format })).images;
      assert.ok(image);
      assert.equal(image.contentType, `image/${output_format}`);
      const xmp = await exifr.parse(Buffer.from(image.bytes), { xmp: true });
      assert.match(xmp.DigitalSourceType, /trainedAlgorithmicMedia$/);
      assert.equal(xmp.CreatorTool, `Sluice (${fluxPro.model.name}@${fluxPro.model.version})`);
      assert.ok(!Buffer.from(image.bytes).includes("apple"));
    }
  });

  test("sync_mode hands the picture back inside the answer", async () => {
    await using model = await openTiny();
    assert.equal((await model.run({ sync_mode: true })).images[0]?.inline, true);
  });

  test("guidance beyond the model's range is moved to its end, and the log says so", async () => {
    await using model = await openTiny();
    await model.run({ guidance_scale: 20 });
    assert.match(
      model.lines.join("\n"),
      /guidance_scale 20 is outside this model's 1 to [\d.]+; [\d.]+ is used/,
    );
  });

  test("flux-pro/v1.1, flux/dev and flux/schnell answer with the same model and weights", async () => {
    await using model = await openTiny();
    const { prompt, image_size, num_images, safety_tolerance } = INPUT;
    const pro = {
      prompt,
      image_size,
      num_images,
      safety_tolerance,
      output_format: "jpeg",
      enhance_prompt: true,
    } as const;
    assert.equal((await fluxProV11.run(pro, model.context)).images.length, 1);
    assert.match(model.lines.join("\n"), /enhance_prompt is accepted/);
    const dev = {
      ...INPUT,
      enable_safety_checker: true,
      output_format: "png",
      acceleration: "none",
    } as const;
    for (const endpoint of [fluxDev, fluxSchnell])
      assert.equal((await endpoint.run(dev, model.context)).images[0]?.contentType, "image/png");
    assert.equal(new Set(models.map((item) => item.setup)).size, 1);
    assert.match(fluxPro.model.version, /^[0-9a-f]{12}$/);
  });

  test("previews are small pictures that nobody has to wait for", async () => {
    await using model = await openTiny();
    await model.run({ num_inference_steps: 50, num_images: 2 }, { wantsPreviews: true });
    for (const preview of model.previews) assert.equal(preview.contentType, "image/jpeg");
  });

  test("a picture that is too large is refused on its field", async () => {
    await using model = await openTiny();
    await assert.rejects(model.run({ image_size: { width: 4096, height: 4096 } }), (error) => {
      assert.ok(isModelError(error));
      return error.detail[0]?.loc.join(".") === "body.image_size.width";
    });
  });

  test("a prompt that the tolerance refuses gives black pictures, marked; others are untouched", async () => {
    await using model = await openTiny();
    const refused = await model.run({ prompt: "a nude woman", num_images: 2 });
    assert.deepEqual(refused.has_nsfw_concepts, [true, true]);
    assert.equal(typeof refused.timings["inference"], "number");
    const [image] = refused.images;
    assert.deepEqual([image?.width, image?.height], [256, 192]);
    assert.ok((image?.bytes.length ?? 1e9) < 3000, "a black picture is small");
    assert.deepEqual((await model.run({ prompt: "a nude woman", safety_tolerance: "6" })).has_nsfw_concepts, [
      false,
    ]);
  });

  test("the operator may have refused prompts rejected or only marked, and may limit the tolerance", async () => {
    await using rejecting = await openTiny({ safety_action: "reject" });
    await assert.rejects(rejecting.run({ prompt: "a nude woman" }), isContentError);
    await using flagging = await openTiny({ safety_action: "flag", max_safety_tolerance: "2" });
    const output = await flagging.run({ prompt: "a nude apple", safety_tolerance: "6" });
    assert.deepEqual(output.has_nsfw_concepts, [true]);
    assert.ok((output.images[0]?.bytes.length ?? 0) > 3000, "the picture is handed out");
    assert.match(flagging.lines.join("\n"), /tolerance 6 is above what this server allows; 2 is used/);
  });

  test("what is always forbidden is an error at every tolerance and before any picture is made", async () => {
    for (const settings of [{}, { safety_action: "flag" }]) {
      await using model = await openTiny(settings);
      for (const safety_tolerance of ["1", "6"] as const)
        await assert.rejects(model.run({ prompt: "a naked child", safety_tolerance }), isContentError);
      assert.deepEqual(model.phases, []);
    }
  });

  test("harmless prompts are flagged at no seed", { timeout: 3_600_000 }, async (t) => {
    await using model = await openTiny();
    const prompts = [
      EXAMPLE_PROMPT,
      "a red apple on a white table",
      "a red apple",
      "a penguin in the snow",
      "a smiling face",
      "a pink pig on grass",
    ];
    // Short form: few steps and two prompts; the long form (SLUICE_LONG=1) is what is promised.
    const seeds = isLong ? 50 : 12;
    for (const prompt of isLong ? prompts : prompts.slice(0, 5))
      for (let first = 0; first < seeds; first += 4) {
        const { has_nsfw_concepts } = await model.run({
          prompt,
          seed: first,
          num_images: Math.min(4, seeds - first),
          num_inference_steps: isLong ? 28 : 4,
        });
        assert.ok(!has_nsfw_concepts.includes(true), `${prompt}, seeds from ${first}: ${has_nsfw_concepts}`);
      }
    t.diagnostic(`${seeds} seeds`);
  });
});

function isContentError(error: unknown): boolean {
  assert.ok(isModelError(error));
  const [detail] = error.detail;
  return (
    error.status === 422 && detail?.type === "content_policy_violation" && detail.loc.join() === "body,prompt"
  );
}
