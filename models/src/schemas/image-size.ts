import { createModelError, type JsonSchema } from "@sluice/runtime/model";

/** Pixels of the named sizes. */
export const IMAGE_SIZE_PRESETS = {
  square_hd: { width: 1024, height: 1024 },
  square: { width: 512, height: 512 },
  portrait_4_3: { width: 768, height: 1024 },
  portrait_16_9: { width: 576, height: 1024 },
  landscape_4_3: { width: 1024, height: 768 },
  landscape_16_9: { width: 1024, height: 576 },
} as const;

export type ImageSizePreset = keyof typeof IMAGE_SIZE_PRESETS;

/** What a caller may put into `image_size`; a missing side is 512. */
export type ImageSizeInput = ImageSizePreset | { readonly width: number; readonly height: number };

/** Longest side of a picture, in pixels. */
export const MAX_IMAGE_SIDE = 4096;
/** Largest picture, in pixels. */
export const MAX_IMAGE_AREA = 4_200_000;

/**
 * Width and height that `image_size` stands for.
 * @throws ModelError `less_than_equal` on `["body","image_size","width"]` when the area is too large
 */
export function resolveImageSize(value: ImageSizeInput): { readonly width: number; readonly height: number } {
  const size = typeof value === "string" ? IMAGE_SIZE_PRESETS[value] : value;
  const { width, height } = size;
  if (width * height > MAX_IMAGE_AREA) {
    const le = Math.floor(MAX_IMAGE_AREA / height);
    throw createModelError("less_than_equal", ["body", "image_size", "width"], {
      msg: `Input should be less than or equal to ${le} at a height of ${height}: a picture has at most ${MAX_IMAGE_AREA} pixels`,
      ctx: { le },
      input: width,
    });
  }
  return { width, height };
}

const SIDE: JsonSchema = { type: "integer", default: 512, exclusiveMinimum: 0, maximum: MAX_IMAGE_SIDE };

/** `$defs` that {@link IMAGE_SIZE_PROPERTY} refers to. */
export const IMAGE_SIZE_DEFS: Readonly<Record<"ImageSize" | "ImageSizePreset", JsonSchema>> = {
  ImageSize: {
    title: "ImageSize",
    type: "object",
    "x-fal-order-properties": ["width", "height"],
    properties: {
      width: { title: "Width", description: "Width of the generated image in pixels.", ...SIDE },
      height: { title: "Height", description: "Height of the generated image in pixels.", ...SIDE },
    },
  },
  ImageSizePreset: {
    title: "ImageSizePreset",
    type: "string",
    enum: Object.keys(IMAGE_SIZE_PRESETS),
    "x-pixel-sizes": IMAGE_SIZE_PRESETS,
  },
};

/** The property `image_size` of every endpoint that makes pictures. */
export const IMAGE_SIZE_PROPERTY: JsonSchema = {
  title: "Image Size",
  description: "Size of the generated image: one of the named presets or an explicit width and height.",
  anyOf: [{ $ref: "#/$defs/ImageSize" }, { $ref: "#/$defs/ImageSizePreset" }],
  default: "landscape_4_3",
  examples: ["landscape_4_3"],
  "x-fal": {
    min_width: 1,
    min_height: 1,
    max_width: MAX_IMAGE_SIDE,
    max_height: MAX_IMAGE_SIDE,
    max_area: MAX_IMAGE_AREA,
  },
};
