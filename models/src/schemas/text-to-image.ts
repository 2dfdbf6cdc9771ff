import type { JsonSchema } from "@sluice/runtime/model";
import { IMAGE_DEF, type Image } from "./image.ts";
import { IMAGE_SIZE_DEFS, IMAGE_SIZE_PROPERTY } from "./image-size.ts";

/** What every text-to-image endpoint of the FLUX family answers. */
export interface TextToImageOutput {
  readonly images: readonly Image[];
  /** Seconds per step of the work; `inference` is always there. */
  readonly timings: Readonly<Record<string, number>>;
  /** Seed of the first picture. */
  readonly seed: number;
  /** One per picture, in the same order. */
  readonly has_nsfw_concepts: readonly boolean[];
  readonly prompt: string;
}

export type SafetyTolerance = "1" | "2" | "3" | "4" | "5" | "6";
export type ImageFormat = "jpeg" | "png";

/** The prompt of the API page. */
export const EXAMPLE_PROMPT: string =
  'Extreme close-up of a single tiger eye, direct frontal view. Detailed iris and pupil. Sharp focus on eye texture and color. Natural lighting to capture authentic eye shine and depth. The word "FLUX" is painted over it in big, white brush strokes with visible texture.';

type PropertyName =
  | "prompt"
  | "image_size"
  | "num_inference_steps"
  | "seed"
  | "guidance_scale"
  | "sync_mode"
  | "num_images"
  | "safety_tolerance"
  | "enable_safety_checker"
  | "output_format"
  | "enhance_prompt"
  | "acceleration";

/** Properties that the family's endpoints share, word for word. */
export const PROPERTIES: Readonly<Record<PropertyName, JsonSchema>> = {
  prompt: {
    title: "Prompt",
    type: "string",
    description: "Text prompt the image is generated from.",
    examples: [EXAMPLE_PROMPT],
    minLength: 1,
  },
  image_size: IMAGE_SIZE_PROPERTY,
  num_inference_steps: {
    title: "Num Inference Steps",
    type: "integer",
    description: "How many inference steps to perform.",
    default: 28,
    examples: [28],
    minimum: 1,
    maximum: 50,
  },
  seed: {
    title: "Seed",
    type: "integer",
    description:
      "Repeating a seed together with the same prompt on the same model version gives the same image every time.",
  },
  guidance_scale: {
    title: "Guidance scale (CFG)",
    type: "number",
    description: "Classifier-free guidance scale: how closely the result should follow the prompt.",
    default: 3.5,
    examples: [3.5],
    minimum: 1,
    maximum: 20,
  },
  sync_mode: {
    title: "Sync Mode",
    type: "boolean",
    description:
      "When true, the call waits until the image exists and hands it back inside the response instead of through the CDN; latency goes up.",
  },
  num_images: {
    title: "Num Images",
    type: "integer",
    description: "How many images to generate.",
    default: 1,
    examples: [1],
    minimum: 1,
    maximum: 4,
  },
  safety_tolerance: {
    $ref: "#/$defs/SafetyToleranceEnum",
    title: "Safety Tolerance",
    description:
      "Safety tolerance of the generated image; 1 is the strictest level and 5 the most permissive one (6 is accepted too).",
    default: "2",
    examples: ["2"],
  },
  enable_safety_checker: {
    title: "Enable Safety Checker",
    type: "boolean",
    description: "When true, pictures that the safety checker flags are replaced by black ones.",
    default: true,
  },
  output_format: {
    title: "Output Format",
    type: "string",
    enum: ["jpeg", "png"],
    description: "File format of the generated image.",
    default: "jpeg",
  },
  enhance_prompt: {
    title: "Enhance Prompt",
    type: "boolean",
    description: "Whether the prompt may be rewritten before the image is generated.",
    default: false,
  },
  acceleration: {
    title: "Acceleration",
    type: "string",
    enum: ["none", "regular", "high"],
    description: "How much quality may be given up for speed.",
    default: "none",
  },
};

const SAFETY_TOLERANCE_DEF: JsonSchema = {
  title: "SafetyToleranceEnum",
  type: "string",
  enum: ["1", "2", "3", "4", "5", "6"],
};

/** An input schema with these properties in this order; `prompt` is required. */
export function createTextToImageInput(
  title: string,
  properties: Readonly<Record<string, JsonSchema>>,
): JsonSchema {
  return {
    $schema: "https://json-schema.org/draft/2020-12/schema",
    title,
    type: "object",
    "x-fal-order-properties": Object.keys(properties),
    required: ["prompt"],
    properties,
    $defs: {
      ...IMAGE_SIZE_DEFS,
      ...("safety_tolerance" in properties ? { SafetyToleranceEnum: SAFETY_TOLERANCE_DEF } : {}),
    },
  };
}

/** The family's output schema under an endpoint's name. */
export function createTextToImageOutput(title: string): JsonSchema {
  const properties: Readonly<Record<keyof TextToImageOutput, JsonSchema>> = {
    images: {
      title: "Images",
      type: "array",
      items: { $ref: "#/$defs/Image" },
      description: "File info of the generated images.",
    },
    timings: { $ref: "#/$defs/Timings", title: "Timings" },
    seed: {
      title: "Seed",
      type: "integer",
      description:
        "Seed of the generated image: the one passed in, or the random one that was picked when none was passed.",
    },
    has_nsfw_concepts: {
      title: "Has Nsfw Concepts",
      type: "array",
      items: { type: "boolean" },
      description: "For each image, whether it contains NSFW concepts.",
    },
    prompt: {
      title: "Prompt",
      type: "string",
      description: "Prompt that the image was generated with.",
    },
  };
  return {
    $schema: "https://json-schema.org/draft/2020-12/schema",
    title,
    type: "object",
    "x-fal-order-properties": Object.keys(properties),
    required: Object.keys(properties),
    properties,
    $defs: {
      Image: IMAGE_DEF,
      Timings: { title: "Timings", type: "object", additionalProperties: { type: "number" } },
    },
  };
}
