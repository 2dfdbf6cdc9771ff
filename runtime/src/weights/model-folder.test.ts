import assert from "node:assert/strict";
import { mkdir, rename, rm, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { describe, test } from "node:test";
import { createDiffusionFolder } from "../testing/diffusion-folder.ts";
import { FAMILIES, type Family, findFamily } from "./families.ts";
import { readModelFolder } from "./model-folder.ts";

describe("reading a model folder", () => {
  for (const family of Object.keys(FAMILIES) as Family[])
    test(`a folder of ${family} is recognised, with all its parts`, async () => {
      await using folder = await createDiffusionFolder(family, { hasPreview: true });
      const read = await readModelFolder(folder.path);
      assert.equal(read.family, family);
      const expected = Object.keys(FAMILIES[family].graphs).sort();
      assert.deepEqual(Object.keys(read.graphs).sort(), expected);
    });

  test("the classes of other programs around the same graphs are the same family", () => {
    const expected = {
      ORTFluxPipeline: "flux",
      OnnxStableDiffusionImg2ImgPipeline: "stable-diffusion",
      LatentConsistencyModelPipeline: "stable-diffusion",
      ORTStableDiffusionXLInpaintPipeline: "sdxl",
      StableDiffusion3Pipeline: "sd3",
      Flux2KleinPipeline: "flux2-klein",
      ZImagePipeline: "z-image",
      SanaPipeline: undefined,
    };
    for (const [name, family] of Object.entries(expected)) assert.equal(findFamily(name), family, name);
  });

  test("an unknown family is refused with what is known and how to say otherwise", async () => {
    await using folder = await createDiffusionFolder("flux");
    await writeFile(join(folder.path, "model_index.json"), '{"_class_name":"SanaPipeline"}');
    await assert.rejects(
      readModelFolder(folder.path),
      /is a SanaPipeline, which .* does not know\. It knows flux: FLUX\.1 .*z-image: .*"family" in .*engine\.json/,
    );
    await writeFile(join(folder.path, "engine.json"), '{"family":"flux"}');
    assert.equal((await readModelFolder(folder.path)).family, "flux");
  });

  test("a missing part is named, and weights for other programs get advice", async () => {
    await using folder = await createDiffusionFolder("flux");
    const missing = join(folder.path, "transformer");
    await rename(join(missing, "model.onnx"), join(missing, "gone"));
    await assert.rejects(
      readModelFolder(folder.path),
      /lacks transformer\/model\.onnx.*Pull the model again/,
    );
    await rename(join(missing, "gone"), join(missing, "diffusion_pytorch_model.safetensors"));
    await assert.rejects(readModelFolder(folder.path), /for another program.*optimum-cli export onnx/);
    await writeFile(join(folder.path, "pytorch_lora_weights.safetensors"), "");
    await assert.rejects(readModelFolder(folder.path), /LoRA weights.*merge them into the full model/);
  });

  test("folders that hold no model say what they hold", async () => {
    await using folder = await createDiffusionFolder("flux");
    await assert.rejects(readModelFolder(join(folder.path, "nowhere")), /There is no model folder/);
    await assert.rejects(
      readModelFolder(join(folder.path, "tokenizer")),
      /It holds merges\.txt, vocab\.json/,
    );
    await mkdir(join(folder.path, "bfl/transformer.opt"), { recursive: true });
    await assert.rejects(readModelFolder(join(folder.path, "bfl")), /TensorRT.*cannot run/);
    await writeFile(join(folder.path, "model_index.json"), "{");
    await assert.rejects(readModelFolder(folder.path), /model_index\.json is damaged/);
  });

  test("infinite numbers, which Python writes into configurations, are no damage", async () => {
    await using folder = await createDiffusionFolder("sdxl");
    const text =
      '{"_class_name":"DPMSolverMultistepScheduler","lambda_min_clipped": -Infinity,"x":NaN,"y":"a: NaN"}';
    await writeFile(join(folder.path, "scheduler/scheduler_config.json"), text);
    const { scheduler } = await readModelFolder(folder.path);
    assert.deepEqual(
      [scheduler["lambda_min_clipped"], scheduler["x"], scheduler["y"]],
      [null, null, "a: NaN"],
    );
  });

  test("the mark that editors of Windows put before a text is no damage", async () => {
    await using folder = await createDiffusionFolder("sdxl");
    await writeFile(join(folder.path, "engine.json"), '\ufeff{ "noise": "bfloat16" }');
    assert.equal((await readModelFolder(folder.path)).overrides.noise, "bfloat16");
  });

  test("engine.json moves files, and every mistake in it is named", async () => {
    await using folder = await createDiffusionFolder("flux");
    await rename(join(folder.path, "vae_decoder/model.onnx"), join(folder.path, "decoder fp32.onnx"));
    const write = (value: unknown) => writeFile(join(folder.path, "engine.json"), JSON.stringify(value));
    await write({ graphs: { vae_decoder: { file: "decoder fp32.onnx" } }, vae: { scaling_factor: 2 } });
    const read = await readModelFolder(folder.path);
    assert.equal(read.graphs.vae_decoder, join(folder.path, "decoder fp32.onnx"));
    assert.deepEqual([read.vae["scaling_factor"], read.vae["shift_factor"]], [2, 0.1159]);
    const mistakes: [unknown, RegExp][] = [
      [{ lora: "x" }, /"lora" is not known; known are family, graphs/],
      [{ family: "sana" }, /"family" is "sana"; families are flux/],
      [{ graphs: { decoder: {} } }, /has no part "decoder"/],
      [{ graphs: { vae_decoder: { file: "../x.onnx" } } }, /not a path inside the folder/],
      [{ graphs: { vae_decoder: { file: "/x.onnx" } } }, /not a path inside the folder/],
      [{ graphs: { vae_decoder: { file: "none.onnx" } } }, /"none\.onnx".*does not exist/],
      [{ graphs: { vae_decoder: { inputs: { a: 1 } } } }, /names of "vae_decoder" that are not texts/],
      [{ steps: { min: 4, max: 1, default: 4 } }, /"steps" needs the numbers/],
      [{ steps: { min: "1", max: "8", default: "4" } }, /"steps" needs the numbers/],
      [{ guidance: 3 }, /"guidance" is not an object/],
      [{ textLength: 0 }, /"textLength" is not a whole number above 0/],
    ];
    for (const [value, expected] of mistakes) {
      await write(value);
      await assert.rejects(readModelFolder(folder.path), expected);
    }
    await rm(join(folder.path, "engine.json"));
    await assert.rejects(readModelFolder(folder.path), /lacks vae_decoder\/model\.onnx/);
  });
});
