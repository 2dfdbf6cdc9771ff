import { createArtifact, createModelError, defineModel } from "@sluice/runtime/model";
import sharp from "sharp";
import { z } from "zod";

const Picture = { type: "object", properties: { url: { type: "string" }, width: { type: "integer" } } };

export default defineModel({
  id: "examples/thumbnail",
  title: "Thumbnail",
  description: "Makes a small square picture of a big one.",
  category: "image-to-image",
  model: { name: "sharp-cover", version: "1" },
  input: z.object({
    image_url: z.string().meta({ description: "URL or data URI of the picture.", ui: { field: "image" } }),
    size: z.int().min(16).max(512).default(128).meta({ description: "Side in pixels." }),
  }),
  output: { type: "object", required: ["image"], properties: { image: Picture, bytes: { type: "integer" } } },
  async run(input, { files, log }) {
    const file = await files.read(input.image_url, { loc: ["body", "image_url"] });
    const pixels = sharp(file.bytes).resize(input.size, input.size).png();
    const bytes = await pixels.toBuffer().catch((cause) => {
      throw createModelError("image_load_error", ["body", "image_url"], { cause });
    });
    log(`${file.bytes.length} bytes became ${bytes.length}`);
    const image = createArtifact({ bytes, contentType: "image/png", width: input.size, height: input.size });
    return { image, bytes: bytes.length };
  },
});
