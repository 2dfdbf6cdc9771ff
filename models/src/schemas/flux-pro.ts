import type { JsonSchema } from "@sluice/runtime/model";
import type { ImageSizeInput } from "./image-size.ts";
import {
  createTextToImageInput,
  createTextToImageOutput,
  type ImageFormat,
  PROPERTIES,
  type SafetyTolerance,
  type TextToImageOutput,
} from "./text-to-image.ts";

/** Input of `fal-ai/flux-pro` once checked: defaults are filled in. */
export interface FluxProInput {
  readonly prompt: string;
  readonly image_size: ImageSizeInput;
  /** 1 to 50. */
  readonly num_inference_steps: number;
  readonly seed?: number;
  /** 1 to 20. */
  readonly guidance_scale: number;
  readonly sync_mode?: boolean;
  /** 1 to 4. */
  readonly num_images: number;
  readonly safety_tolerance: SafetyTolerance;
  /** Not in the schema, but newer callers send it: unchecked. Anything but "png" means JPEG. */
  readonly output_format?: unknown;
  /** Not in the schema, but newer callers send it: unchecked. */
  readonly enhance_prompt?: unknown;
}

export type FluxProOutput = TextToImageOutput;

export const FLUX_PRO_INPUT: JsonSchema = createTextToImageInput("FluxProInput", {
  prompt: PROPERTIES.prompt,
  image_size: PROPERTIES.image_size,
  num_inference_steps: PROPERTIES.num_inference_steps,
  seed: PROPERTIES.seed,
  guidance_scale: PROPERTIES.guidance_scale,
  sync_mode: PROPERTIES.sync_mode,
  num_images: PROPERTIES.num_images,
  safety_tolerance: PROPERTIES.safety_tolerance,
});

export const FLUX_PRO_OUTPUT: JsonSchema = createTextToImageOutput("FluxProOutput");

/** Input of `fal-ai/flux-pro/v1.1`: it chooses steps and guidance itself. */
export interface FluxProV11Input {
  readonly prompt: string;
  readonly image_size: ImageSizeInput;
  readonly seed?: number;
  readonly sync_mode?: boolean;
  /** 1 to 4. */
  readonly num_images: number;
  readonly safety_tolerance: SafetyTolerance;
  readonly output_format: ImageFormat;
  readonly enhance_prompt: boolean;
}

export type FluxProV11Output = TextToImageOutput;

export const FLUX_PRO_V1_1_INPUT: JsonSchema = createTextToImageInput("FluxProV11Input", {
  prompt: PROPERTIES.prompt,
  image_size: PROPERTIES.image_size,
  seed: PROPERTIES.seed,
  sync_mode: PROPERTIES.sync_mode,
  num_images: PROPERTIES.num_images,
  safety_tolerance: PROPERTIES.safety_tolerance,
  output_format: PROPERTIES.output_format,
  enhance_prompt: PROPERTIES.enhance_prompt,
});

export const FLUX_PRO_V1_1_OUTPUT: JsonSchema = createTextToImageOutput("FluxProV11Output");
