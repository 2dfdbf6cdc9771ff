import type { Untyped } from "./untyped.ts";

/**
 * Input and output types by endpoint id. Open: what `sluice types` writes for your server plugs in here, and so
 * can you:
 *
 *     declare module "@sluice/client" {
 *       interface EndpointTypes {
 *         "acme/poster": { input: { title: string }; output: { images: { url: string }[] } };
 *       }
 *     }
 */
// biome-ignore lint/suspicious/noEmptyInterface: it is empty so that others can fill it.
export interface EndpointTypes {}

/** The endpoints of a fresh Sluice. An entry of {@link EndpointTypes} with the same id wins. */
export interface ShippedEndpointTypes {
  "fal-ai/flux-pro": { input: FluxProInput; output: FluxProOutput };
}

export type EndpointTypeMap = EndpointTypes & Omit<ShippedEndpointTypes, keyof EndpointTypes>;

/** Any endpoint id; the ones with types are offered by the editor. */
export type EndpointType = keyof EndpointTypeMap | (string & {});

export type InputType<Id extends string> = Id extends keyof EndpointTypeMap
  ? EndpointTypeMap[Id]["input"]
  : Record<string, Untyped>;

export type OutputType<Id extends string> = Id extends keyof EndpointTypeMap
  ? EndpointTypeMap[Id]["output"]
  : Untyped;

export type ImageSizePreset =
  | "square_hd"
  | "square"
  | "portrait_4_3"
  | "portrait_16_9"
  | "landscape_4_3"
  | "landscape_16_9";

export interface ImageSize {
  /** Pixels; 512 by default. */
  width?: number;
  /** Pixels; 512 by default. */
  height?: number;
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

export interface FluxProInput {
  prompt: string;
  /** A preset or an explicit width and height; `landscape_4_3` by default. */
  image_size?: ImageSizePreset | ImageSize;
  /** 28 by default. */
  num_inference_steps?: number;
  /** The same seed, prompt and model version give the same image. */
  seed?: number;
  /** How closely the result follows the prompt; 3.5 by default. */
  guidance_scale?: number;
  /** Return the image inside the result as a data URI. */
  sync_mode?: boolean;
  /** 1 by default. */
  num_images?: number;
  /** "1" is the strictest; "2" by default. */
  safety_tolerance?: "1" | "2" | "3" | "4" | "5" | "6";
  /** Fields that the server knows beyond these. */
  [field: string]: unknown;
}

export interface FluxProOutput {
  images: Image[];
  /** Seconds by name of the part of the work. */
  timings: Record<string, number>;
  seed: number;
  has_nsfw_concepts: boolean[];
  prompt: string;
}
