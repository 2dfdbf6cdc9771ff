import type { Uploadable } from "./uploadable.ts";

/** Types of the endpoints of a fresh Sluice. `sluice types` writes those of any server. */
export interface ShippedEndpointTypes {
  "fal-ai/flux-pro": { input: FluxProInput; output: FluxProOutput };
  "fal-ai/flux-pro/v1.1": { input: FluxProV11Input; output: FluxProV11Output };
  "fal-ai/flux/dev": { input: FluxDevInput; output: FluxDevOutput };
  "fal-ai/flux/schnell": { input: FluxSchnellInput; output: FluxSchnellOutput };
  "fal-ai/esrgan": { input: EsrganInput; output: EsrganOutput };
  "fal-ai/imageutils/nsfw": { input: ImageutilsNsfwInput; output: ImageutilsNsfwOutput };
}

export type ImageSizePreset =
  | "square_hd"
  | "square"
  | "portrait_4_3"
  | "portrait_16_9"
  | "landscape_4_3"
  | "landscape_16_9";

export interface ImageSize {
  /** Pixels; 512 by default. */
  width?: number | undefined;
  /** Pixels; 512 by default. */
  height?: number | undefined;
}

export interface Image {
  /** Where the file can be downloaded; a data URI in sync mode. */
  url: string;
  width: number;
  height: number;
  content_type: string;
  file_name?: string;
  /** Bytes. */
  file_size?: number;
}

/** Fields that a server may know beyond the ones that are named. */
interface FurtherFields {
  [field: string]: unknown;
}

interface TextToImageInput extends FurtherFields {
  prompt: string;
  /** A preset or an explicit width and height; `landscape_4_3` by default. */
  image_size?: ImageSizePreset | ImageSize | undefined;
  /** The same seed, prompt and model version give the same image. */
  seed?: number | undefined;
  /** Return the image inside the result as a data URI. */
  sync_mode?: boolean | undefined;
  /** 1 to 4; 1 by default. */
  num_images?: number | undefined;
}

interface TextToImageOutput {
  images: Image[];
  /** Seconds by name of the part of the work. */
  timings: Record<string, number>;
  /** Of the first image: the given one, or the one that was picked. */
  seed: number;
  /** One per image. */
  has_nsfw_concepts: boolean[];
  prompt: string;
}

export interface FluxProInput extends TextToImageInput {
  /** 1 to 50; 28 by default. */
  num_inference_steps?: number | undefined;
  /** How closely the result follows the prompt: 1 to 20; 3.5 by default. */
  guidance_scale?: number | undefined;
  /** "1" is the strictest; "2" by default. */
  safety_tolerance?: "1" | "2" | "3" | "4" | "5" | "6" | undefined;
}

export interface FluxProOutput extends TextToImageOutput {}

export interface FluxProV11Input extends TextToImageInput {
  /** "1" is the strictest; "2" by default. */
  safety_tolerance?: "1" | "2" | "3" | "4" | "5" | "6" | undefined;
  /** "jpeg" by default. */
  output_format?: "jpeg" | "png" | undefined;
  /** Whether the prompt may be rewritten first; false by default. */
  enhance_prompt?: boolean | undefined;
}

export interface FluxProV11Output extends TextToImageOutput {}

export interface FluxDevInput extends TextToImageInput {
  /** 1 to 50; 28 by default. */
  num_inference_steps?: number | undefined;
  /** How closely the result follows the prompt: 1 to 20; 3.5 by default. */
  guidance_scale?: number | undefined;
  /** Put black in the place of flagged images; true by default. */
  enable_safety_checker?: boolean | undefined;
  /** "jpeg" by default. */
  output_format?: "jpeg" | "png" | undefined;
  /** How much quality may be given up for speed; "none" by default. */
  acceleration?: "none" | "regular" | "high" | undefined;
}

export interface FluxDevOutput extends TextToImageOutput {}

/** As {@link FluxDevInput}, with 1 to 12 steps; 4 by default. */
export interface FluxSchnellInput extends FluxDevInput {}

export interface FluxSchnellOutput extends TextToImageOutput {}

export interface EsrganInput extends FurtherFields {
  /** A URL, a data URI, or a file, which is uploaded. */
  image_url: string | Uploadable;
  /** 1 to 8; 2 by default. */
  scale?: number | undefined;
  /** Side of the tiles in pixels; 0, the default, lets the model decide. */
  tile?: number | undefined;
  /** Whether the image shows a face; false by default. */
  face?: boolean | undefined;
  model?:
    | "RealESRGAN_x4plus"
    | "RealESRGAN_x2plus"
    | "RealESRGAN_x4plus_anime_6B"
    | "RealESRGAN_x4_v3"
    | "RealESRGAN_x4_wdn_v3"
    | "RealESRGAN_x4_anime_v3"
    | undefined;
  /** "png" by default. */
  output_format?: "png" | "jpeg" | undefined;
}

export interface EsrganOutput {
  image: Image;
}

export interface ImageutilsNsfwInput extends FurtherFields {
  /** A URL, a data URI, or a file, which is uploaded. */
  image_url: string | Uploadable;
}

export interface ImageutilsNsfwOutput {
  /** 0 to 1. */
  nsfw_probability: number;
}
