import type { EngineLimits } from "../engines/engine.ts";
import type { Size } from "../images/fit-picture.ts";
import type { Planes } from "../images/planes.ts";
import type { NoiseSource } from "./noise.ts";

/**
 * One family of models, loaded: from a prompt to latents, from latents to pixels. The files that make pipelines
 * read as the steps do: encodePrompt → drawNoise → takeSigmas → denoise → decodeLatents.
 */
export interface Pipeline {
  readonly limits: EngineLimits;
  /** Whether a picture can be the start. */
  readonly hasEncoder: boolean;
  /** Times two floating-point operations per weight that one step takes: image and text tokens, or their like. */
  countTokens(size: Size): number;
  /** Encodes a prompt; what comes back draws pictures of it. */
  encodePrompt(text: PromptText): Promise<DrawLatents>;
  decodeLatents(latents: Latents): Promise<Planes>;
  /** A quick look at latents, in pixels of -1..1; undefined when the folder has no decoder for it. */
  readonly decodePreview: ((latents: Latents) => Promise<Planes>) | undefined;
}

export interface PromptText {
  readonly prompt: string;
  readonly negativePrompt: string | undefined;
  readonly guidance: number;
  /** Something that the caller should know about the prompt. */
  readonly warn: (message: string) => void;
}

/** Draws one picture's latents. All randomness is taken from the order's noise. */
export type DrawLatents = (order: DrawOrder) => Promise<Latents>;

export interface DrawOrder {
  /** Pixels, multiples of what the family needs. */
  readonly size: Size;
  readonly steps: number;
  readonly noise: NoiseSource;
  /** A picture to start from, in -1..1 and of the order's size; the strength says how much of it may change. */
  readonly init: { readonly planes: Planes; readonly strength: number } | undefined;
  readonly signal: AbortSignal;
  readonly onStep: OnStep;
}

/** What can be known after a step. */
export interface FinishedStep {
  readonly finished: number;
  readonly steps: number;
  /** Where the latents are now. */
  readonly latents: () => Latents;
  /** Where they are going: the picture's latents as far as the step's prediction tells. */
  readonly estimate: () => Latents;
}

export type OnStep = (step: FinishedStep) => Promise<void> | void;

/** As the decoder takes them, but for the VAE's scaling: one picture, channels first. */
export interface Latents extends LatentShape {
  readonly data: Float32Array;
}

export interface LatentShape {
  readonly channels: number;
  readonly height: number;
  readonly width: number;
}
