import type { JsonSchema } from "@sluice/runtime/model";
import type { FluxInput } from "./flux.ts";
import { createTextToImageInput, createTextToImageOutput, PROPERTIES } from "./text-to-image.ts";

/** Input of an endpoint of an open model that has no schema of its own. */
export interface OpenTextToImageInput
  extends Omit<FluxInput, "num_inference_steps" | "guidance_scale" | "acceleration"> {
  /** Left out, the model's own. */
  readonly num_inference_steps?: number;
  readonly guidance_scale?: number;
  readonly negative_prompt?: string;
}

/** Input of `fal-ai/flux/dev/image-to-image` and of other endpoints that change a picture. */
export interface OpenImageToImageInput extends Omit<OpenTextToImageInput, "image_size"> {
  readonly image_url: string;
  /** Above 0, up to 1. */
  readonly strength: number;
}

const NEGATIVE_PROMPT: JsonSchema = {
  title: "Negative Prompt",
  type: "string",
  description: "What the image should not show. Only models with classifier-free guidance can tell.",
};

/** Without a default: the model behind the endpoint has its own. */
const { default: _steps, examples: _stepsExamples, ...STEPS } = PROPERTIES.num_inference_steps;
const { default: _guidance, examples: _guidanceExamples, ...GUIDANCE } = PROPERTIES.guidance_scale;

export const OPEN_TEXT_TO_IMAGE_INPUT: JsonSchema = createTextToImageInput("OpenTextToImageInput", {
  prompt: PROPERTIES.prompt,
  negative_prompt: NEGATIVE_PROMPT,
  image_size: PROPERTIES.image_size,
  num_inference_steps: STEPS,
  seed: PROPERTIES.seed,
  guidance_scale: GUIDANCE,
  sync_mode: PROPERTIES.sync_mode,
  num_images: PROPERTIES.num_images,
  enable_safety_checker: PROPERTIES.enable_safety_checker,
  output_format: PROPERTIES.output_format,
});
export const OPEN_TEXT_TO_IMAGE_OUTPUT: JsonSchema = createTextToImageOutput("OpenTextToImageOutput");

const imageToImage = createTextToImageInput("OpenImageToImageInput", {
  image_url: {
    title: "Image Url",
    type: "string",
    description: "URL or data URI of the image to start from.",
    ui: { field: "image" },
  },
  strength: {
    title: "Strength",
    type: "number",
    description: "How much of the image may change: near 0 nearly nothing, with 1 everything.",
    default: 0.95,
    minimum: 0.01,
    maximum: 1,
  },
  prompt: PROPERTIES.prompt,
  negative_prompt: NEGATIVE_PROMPT,
  num_inference_steps: STEPS,
  seed: PROPERTIES.seed,
  guidance_scale: GUIDANCE,
  sync_mode: PROPERTIES.sync_mode,
  num_images: PROPERTIES.num_images,
  enable_safety_checker: PROPERTIES.enable_safety_checker,
  output_format: PROPERTIES.output_format,
});
export const OPEN_IMAGE_TO_IMAGE_INPUT: JsonSchema = { ...imageToImage, required: ["image_url", "prompt"] };
export const OPEN_IMAGE_TO_IMAGE_OUTPUT: JsonSchema = createTextToImageOutput("OpenImageToImageOutput");
