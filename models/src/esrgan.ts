import { fileURLToPath } from "node:url";
import { type EsrganUpscaler, getModelVersion, openEsrganUpscaler } from "@sluice/runtime/engines";
import { decodeImage } from "@sluice/runtime/images";
import { createModelError, defineModel, type ModelDefinition } from "@sluice/runtime/model";
import { createImage } from "./picture-output.ts";
import { ESRGAN_INPUT, ESRGAN_OUTPUT, type EsrganInput, type EsrganOutput } from "./schemas/esrgan.ts";

/** The upscaler of a fresh install: two small networks in `models/esrgan`, whose README names their origin. */
const WEIGHTS = fileURLToPath(new URL("../esrgan/", import.meta.url));
const REVISION = 1;
const MODEL = { name: "esrgan-medium", version: getModelVersion(WEIGHTS, REVISION) };
const MAX_INPUT_PIXELS = 4_200_000;
const MAX_OUTPUT_PIXELS = 33_600_000;
const LOC = ["body", "image_url"];

const esrgan: ModelDefinition<EsrganInput, EsrganOutput, EsrganUpscaler> = defineModel({
  id: "fal-ai/esrgan",
  title: "Upscale a picture",
  description:
    "Enlarges a picture up to eight times with small residual dense networks. Transparency becomes white. `face` and `model` are accepted and change nothing.",
  category: "image-to-image",
  tags: ["upscaling", "embedded"],
  model: MODEL,
  license: "MIT",
  input: ESRGAN_INPUT,
  output: ESRGAN_OUTPUT,
  limits: { timeoutMs: 900_000 },
  setup: ({ threads }) => openEsrganUpscaler({ folder: WEIGHTS, threads }),
  teardown: (upscaler) => upscaler[Symbol.asyncDispose]() as Promise<void>,
  run: async (input, context) => {
    const file = await context.files.read(input.image_url, { loc: LOC });
    const picture = await decodeImage(file.bytes, { loc: LOC, maxPixels: MAX_INPUT_PIXELS });
    requireSize(picture, input.scale);
    if (input.face || input.model !== "RealESRGAN_x4plus")
      context.log("`face` and `model` change nothing here: this server has one upscaler");
    const large = await context.state.upscale(picture, {
      scale: input.scale,
      tile: input.tile,
      signal: context.signal,
      onTile: (step, steps) => context.progress({ phase: "run", step, steps }),
    });
    const madeBy = `Sluice (${MODEL.name}@${MODEL.version})`;
    return { image: await createImage(large, { format: input.output_format, madeBy, inline: false }) };
  },
});

function requireSize(
  { width, height }: { readonly width: number; readonly height: number },
  scale: number,
): void {
  if (width * height * scale ** 2 <= MAX_OUTPUT_PIXELS) return;
  const le = Math.floor(Math.sqrt(MAX_OUTPUT_PIXELS / (width * height)) * 100) / 100;
  throw createModelError("less_than_equal", ["body", "scale"], {
    msg: `Input should be less than or equal to ${le} for a picture of ${width}x${height}: the result has at most ${MAX_OUTPUT_PIXELS} pixels`,
    ctx: { le },
    input: scale,
  });
}

export default esrgan;
