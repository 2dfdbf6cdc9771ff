import type { JsonSchema } from "@sluice/runtime/model";
import type { ImageSizeInput } from "./image-size.ts";
import {
  createTextToImageInput,
  createTextToImageOutput,
  type ImageFormat,
  PROPERTIES,
  type TextToImageOutput,
} from "./text-to-image.ts";

/** Input of `fal-ai/flux/dev` and `fal-ai/flux/schnell` once checked: defaults are filled in. */
export interface FluxInput {
  readonly prompt: string;
  readonly image_size: ImageSizeInput;
  /** dev: 1 to 50; schnell: 1 to 12. */
  readonly num_inference_steps: number;
  readonly seed?: number;
  /** 1 to 20. */
  readonly guidance_scale: number;
  readonly sync_mode?: boolean;
  /** 1 to 4. */
  readonly num_images: number;
  readonly enable_safety_checker: boolean;
  readonly output_format: ImageFormat;
  readonly acceleration: "none" | "regular" | "high";
}

export type FluxOutput = TextToImageOutput;

const FLUX_DEV_PROPERTIES = {
  prompt: PROPERTIES.prompt,
  image_size: PROPERTIES.image_size,
  num_inference_steps: PROPERTIES.num_inference_steps,
  seed: PROPERTIES.seed,
  guidance_scale: PROPERTIES.guidance_scale,
  sync_mode: PROPERTIES.sync_mode,
  num_images: PROPERTIES.num_images,
  enable_safety_checker: PROPERTIES.enable_safety_checker,
  output_format: PROPERTIES.output_format,
  acceleration: PROPERTIES.acceleration,
};

export const FLUX_DEV_INPUT: JsonSchema = createTextToImageInput("FluxDevInput", FLUX_DEV_PROPERTIES);
export const FLUX_DEV_OUTPUT: JsonSchema = createTextToImageOutput("FluxDevOutput");

export const FLUX_SCHNELL_INPUT: JsonSchema = createTextToImageInput("FluxSchnellInput", {
  ...FLUX_DEV_PROPERTIES,
  num_inference_steps: { ...PROPERTIES.num_inference_steps, default: 4, examples: [4], maximum: 12 },
});
export const FLUX_SCHNELL_OUTPUT: JsonSchema = createTextToImageOutput("FluxSchnellOutput");
