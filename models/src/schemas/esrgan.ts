import type { JsonSchema } from "@sluice/runtime/model";
import { IMAGE_DEF, type Image } from "./image.ts";

/** Names of the upscalers that `model` chooses from. */
export const ESRGAN_MODELS = [
  "RealESRGAN_x4plus",
  "RealESRGAN_x2plus",
  "RealESRGAN_x4plus_anime_6B",
  "RealESRGAN_x4_v3",
  "RealESRGAN_x4_wdn_v3",
  "RealESRGAN_x4_anime_v3",
] as const;

/** Input of `fal-ai/esrgan` once checked: defaults are filled in. */
export interface EsrganInput {
  readonly image_url: string;
  /** 1 to 8. */
  readonly scale: number;
  /** Side of a tile in pixels; 0: the model decides. */
  readonly tile: number;
  readonly face: boolean;
  readonly model: (typeof ESRGAN_MODELS)[number];
  readonly output_format: "png" | "jpeg";
}

export interface EsrganOutput {
  readonly image: Image;
}

export const ESRGAN_INPUT: JsonSchema = {
  $schema: "https://json-schema.org/draft/2020-12/schema",
  title: "EsrganInput",
  type: "object",
  "x-fal-order-properties": ["image_url", "scale", "tile", "face", "model", "output_format"],
  required: ["image_url"],
  properties: {
    image_url: {
      title: "Image Url",
      type: "string",
      description: "URL or data URI of the image to upscale.",
      ui: { field: "image" },
    },
    scale: {
      title: "Scale",
      type: "number",
      description: "How many times larger the image becomes.",
      default: 2,
      examples: [2],
      minimum: 1,
      maximum: 8,
    },
    tile: {
      title: "Tile",
      type: "integer",
      description:
        "Side of the tiles that the image is cut into, in pixels; 0 lets the model decide. Smaller tiles need less memory.",
      default: 0,
      minimum: 0,
    },
    face: {
      title: "Face",
      type: "boolean",
      description: "Whether the image shows a face.",
      default: false,
    },
    model: {
      title: "Model",
      type: "string",
      enum: ESRGAN_MODELS,
      description: "Upscaler to use.",
      default: "RealESRGAN_x4plus",
    },
    output_format: {
      title: "Output Format",
      type: "string",
      enum: ["png", "jpeg"],
      description: "File format of the upscaled image.",
      default: "png",
    },
  },
};

export const ESRGAN_OUTPUT: JsonSchema = {
  $schema: "https://json-schema.org/draft/2020-12/schema",
  title: "EsrganOutput",
  type: "object",
  "x-fal-order-properties": ["image"],
  required: ["image"],
  properties: {
    image: { $ref: "#/$defs/Image", title: "Image", description: "The upscaled image." },
  },
  $defs: { Image: IMAGE_DEF },
};
