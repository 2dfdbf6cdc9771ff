import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { isModelError } from "@sluice/runtime/model";
import { createDiffusionFolder, type DiffusionFolderOptions } from "@sluice/runtime/testing/diffusion-folder";
import { createReplaySdServer } from "@sluice/runtime/testing/replay-sd-server";
import sharp from "sharp";
import { defineTextToImage, type OpenWeightsOptions } from "./open-weights.ts";
import { setUpModel } from "./testing/set-up-model.ts";

const FLUX_PRO = {
  prompt: "a cat beside a dog",
  image_size: { width: 128, height: 96 },
  num_inference_steps: 28,
  guidance_scale: 3.5,
  num_images: 1,
  safety_tolerance: "2",
};
const OPEN = {
  prompt: "a cat",
  image_size: "square",
  num_images: 1,
  enable_safety_checker: true,
  output_format: "png",
};

describe("endpoints on open weights", () => {
  for (const [name, family] of [
    ["FLUX.1-schnell", "flux"],
    ["stable-diffusion-v1-5", "stable-diffusion"],
    ["sdxl", "sdxl"],
    ["sd3", "sd3"],
    ["FLUX.2-klein-4B", "flux2-klein"],
    ["Z-Image-Turbo", "z-image"],
  ] as const)
    test(`fal-ai/flux-pro is answered by ${name}`, async () => {
      await using model = await open(family, { variant: "schnell" }, { name });
      const [endpoint] = model.endpoints;
      assert.deepEqual([endpoint?.id, endpoint?.model.name], ["fal-ai/flux-pro", name]);
      const output = await model.run({ ...FLUX_PRO, num_images: 2, seed: 5 });
      assert.deepEqual([output.images.length, output.seed], [2, 5]);
      assert.deepEqual([output.images[0]?.width, output.images[0]?.height], [128, 96]);
      assert.match(model.lines.join("\n"), /image 2\/2, step \d+\/\d+/);
    });

  test("steps beyond a distilled model are moved to its end, sizes are snapped, and both are said", async () => {
    await using model = await open("flux", { variant: "schnell" });
    const output = await model.run({ ...FLUX_PRO, image_size: { width: 130, height: 97 } });
    assert.deepEqual([output.images[0]?.width, output.images[0]?.height], [128, 96]);
    const log = model.lines.join("\n");
    assert.match(log, /num_inference_steps 28 is outside this model's 1 to 4; 4 is used/);
    assert.match(log, /130x97 became 128x96/);
  });

  test("an endpoint of one's own takes a negative prompt, and the model's own steps", async () => {
    const endpoints = ["acme/draw", "acme/draw/image-to-image"];
    await using model = await open("sd3", {}, { endpoints });
    const pixels = async (input: object) => Buffer.from((await model.run(input)).images[0]?.bytes ?? []);
    const size = { image_size: { width: 64, height: 64 }, seed: 1 };
    const plain = await pixels({ ...OPEN, ...size });
    assert.match(model.lines.join("\n"), /step 28\/28/);
    assert.notDeepEqual(await pixels({ ...OPEN, ...size, negative_prompt: "dog" }), plain);
  });

  test("image-to-image starts from the caller's picture and keeps its ratio", async () => {
    await using model = await open("flux", {}, { endpoints: ["fal-ai/flux/dev/image-to-image"] });
    const { image_size: _, ...input } = OPEN;
    const output = await model.run({ ...input, image_url: "data:", strength: 0.5, num_inference_steps: 4 });
    assert.deepEqual([output.images[0]?.width, output.images[0]?.height], [160, 80]);
    assert.match(model.lines.join("\n"), /step 2\/2/);
  });

  test("a model without an encoder refuses a picture as the caller's error", async () => {
    await using model = await open(
      "flux",
      { hasEncoder: false },
      { endpoints: ["acme/edit/image-to-image"] },
    );
    await assert.rejects(model.run({ ...OPEN, image_url: "data:", strength: 0.5 }), (error) => {
      assert.ok(isModelError(error));
      return error.status === 422 && /no vae_encoder/.test(error.message);
    });
  });

  test("the operator's settings choose the provider, and a wrong one is refused when the worker starts", async () => {
    await assert.rejects(
      open("flux", {}, { settings: { provider: "gpu" } }),
      /The provider "gpu" is not known/,
    );
    assert.throws(
      () => defineTextToImage({ folder: "/nowhere/at-all" }),
      /no model folder \/nowhere\/at-all/,
    );
  });
});

describe("endpoints on sd-server", () => {
  test("fal-ai/flux-pro is answered by a model that is named as data, with the program by setting", async () => {
    await using replay = await createReplaySdServer();
    const options = {
      engine: "sd-server",
      folder: replay.folder,
      model: replay.model,
      name: "klein",
    } as const;
    const settings = { sd_server: replay.binary, sd_server_args: " --vae-tiling  --max-vram 6 " };
    await using model = await start(options, settings);
    const output = await model.run({ ...FLUX_PRO, num_images: 2, seed: 5 });
    assert.deepEqual([output.images.length, output.seed, output.images[0]?.width], [2, 5, 128]);
    assert.match(model.lines.join("\n"), /klein@[0-9a-f]{12} runs in stable-diffusion\.cpp master-827/);
    assert.match(model.lines.join("\n"), /image 2\/2, step 28\/28/);
    const [{ start: args = [] } = {}] = await replay.readCalls();
    assert.deepEqual(args.slice(-3), ["--vae-tiling", "--max-vram", "6"]);
  });

  test("a program that is missing fails the start, and a missing file the description", async () => {
    await using replay = await createReplaySdServer();
    const options = { engine: "sd-server", folder: replay.folder, model: replay.model } as const;
    await assert.rejects(start({ ...options, binary: "/nowhere/sd-server" }), /there is no program/);
    const model = { ...replay.model, files: { model: "gone.gguf" } };
    assert.throws(() => defineTextToImage({ ...options, model }), /There are no weights .*gone\.gguf/);
  });
});

interface Options {
  readonly name?: string;
  readonly endpoints?: readonly string[];
  readonly settings?: Readonly<Record<string, string>>;
}

async function open(
  family: Parameters<typeof createDiffusionFolder>[0],
  folderOptions: DiffusionFolderOptions = {},
  { settings = {}, ...options }: Options = {},
) {
  const folder = await createDiffusionFolder(family, folderOptions);
  try {
    return await start({ folder: folder.path, provider: "cpu", ...options }, settings, folder);
  } catch (error) {
    await folder[Symbol.asyncDispose]();
    throw error;
  }
}

async function start(
  options: OpenWeightsOptions,
  settings: Readonly<Record<string, string>> = {},
  beneath?: AsyncDisposable,
) {
  const lines: string[] = [];
  const endpoints = defineTextToImage(options);
  const [endpoint] = endpoints;
  assert.ok(endpoint);
  const context = await setUpModel(
    endpoint,
    { threads: 1, settings },
    {
      log: (line) => void lines.push(line),
      files: { read: async () => ({ bytes: await drawBars(), contentType: "image/png", source: "data:" }) },
    },
  );
  return {
    endpoints,
    lines,
    run: async (input: object) => endpoint.run(input, context),
    async [Symbol.asyncDispose]() {
      await endpoint.teardown?.(context.state);
      await beneath?.[Symbol.asyncDispose]();
    },
  };
}

function drawBars(): Promise<Uint8Array> {
  const rgb = Uint8Array.from({ length: 163 * 81 * 3 }, (_, i) => (i * 5) % 251);
  return sharp(rgb, { raw: { width: 163, height: 81, channels: 3 } })
    .png()
    .toBuffer();
}
