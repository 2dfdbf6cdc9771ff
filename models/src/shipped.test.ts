import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { createModelError, isModelError, type ModelDefinition } from "@sluice/runtime/model";
import sharp from "sharp";
import esrgan from "./esrgan.ts";
import { SHIPPED_MODEL_FILES } from "./index.ts";
import nsfw from "./nsfw.ts";
import type { EsrganInput } from "./schemas/esrgan.ts";
import { setUpModel } from "./testing/set-up-model.ts";

const ESRGAN: EsrganInput = {
  image_url: "x",
  scale: 2,
  tile: 0,
  face: false,
  model: "RealESRGAN_x4plus",
  output_format: "png",
};

describe("the shipped model files", () => {
  test("each loads and defines endpoints with schemas, a model name and a version", async () => {
    const ids: string[] = [];
    for (const file of SHIPPED_MODEL_FILES) {
      const { default: exported } = (await import(file)) as {
        default: ModelDefinition | readonly ModelDefinition[];
      };
      for (const model of [exported].flat()) {
        ids.push(model.id);
        assert.match(model.model.version, /^[0-9a-f]{12}$/);
        assert.ok(model.input && model.output && model.title);
      }
    }
    assert.deepEqual(ids, [
      "fal-ai/flux-pro",
      "fal-ai/flux-pro/v1.1",
      "fal-ai/flux/dev",
      "fal-ai/flux/schnell",
      "fal-ai/esrgan",
      "fal-ai/imageutils/nsfw",
    ]);
  });
});

describe("fal-ai/esrgan", () => {
  test("enlarges the caller's picture to exactly the scaled size", async () => {
    await using model = await open(esrgan);
    for (const [scale, output_format, width, height] of [
      [2, "png", 80, 60],
      [2.5, "jpeg", 100, 75],
    ] as const) {
      const { image } = await model.run({ ...ESRGAN, scale, output_format }, await drawPicture(40, 30));
      const { format, width: w, height: h } = await sharp(image.bytes).metadata();
      assert.deepEqual(
        [format, w, h, image.width, image.height],
        [output_format, width, height, width, height],
      );
    }
  });

  test("a scale that would make too large a picture is refused with the largest that works", async () => {
    await using model = await open(esrgan);
    await assert.rejects(model.run({ ...ESRGAN, scale: 8 }, await drawPicture(1500, 1000)), (error) => {
      assert.ok(isModelError(error));
      const [detail] = error.detail;
      return (
        detail?.type === "less_than_equal" &&
        detail.loc.join(".") === "body.scale" &&
        detail.ctx?.["le"] === 4.73
      );
    });
  });

  test("what is no picture is an error on image_url", async () => {
    await using model = await open(esrgan);
    await assert.rejects(model.run(ESRGAN, Buffer.from("<svg/>")), isImageError);
  });
});

describe("fal-ai/imageutils/nsfw", () => {
  test("gives a harmless drawing a low probability", async () => {
    await using model = await open(nsfw);
    const { nsfw_probability } = await model.run({ image_url: "x" }, await drawPicture(300, 200));
    assert.ok(nsfw_probability >= 0 && nsfw_probability < 0.3, `${nsfw_probability}`);
  });

  test("what is no picture is an error on image_url", async () => {
    await using model = await open(nsfw);
    await assert.rejects(model.run({ image_url: "x" }, Buffer.from("no")), isImageError);
  });
});

function isImageError(error: unknown): boolean {
  assert.ok(isModelError(error));
  return error.detail[0]?.type === "image_load_error" && error.detail[0].loc.join(".") === "body.image_url";
}

async function drawPicture(width: number, height: number): Promise<Buffer> {
  const svg = `<svg xmlns="http://www.w3.org/2000/svg" width="${width}" height="${height}"><rect width="100%" height="100%" fill="#cde"/><circle cx="50%" cy="50%" r="25%" fill="#c42"/></svg>`;
  return sharp(Buffer.from(svg)).png().toBuffer();
}

interface OpenModel<Input, Output> extends AsyncDisposable {
  run(input: Input, file: Buffer): Promise<Output>;
}

async function open<Input, Output, State>(
  model: ModelDefinition<Input, Output, State>,
): Promise<OpenModel<Input, Output>> {
  const context = await setUpModel(model, {});
  return {
    run: async (input, bytes) => {
      const read = async (value: unknown) =>
        value === "x"
          ? { bytes, contentType: "application/octet-stream", source: "x" }
          : Promise.reject(createModelError("file_download_error", ["body", "image_url"]));
      return model.run(input, { ...context, files: { read } });
    },
    [Symbol.asyncDispose]: async () => model.teardown?.(context.state),
  };
}
