import type { FileRole, ModelLimits } from "./model-catalog.ts";
import { WeightsError } from "./weights-error.ts";
import type { WeightsFileFacts } from "./weights-file.ts";

/** What a single file is good for. */
export interface RecognizedFile {
  readonly family: NativeFamily;
  /** Option of sd-server that takes it. */
  readonly role: FileRole;
}

/** Families that stable-diffusion.cpp runs and whose files are recognized here. */
export type NativeFamily =
  | "stable-diffusion"
  | "sdxl"
  | "sd3"
  | "flux"
  | "flux2-klein"
  | "chroma"
  | "z-image"
  | "qwen-image";

interface NativeFamilyFacts extends ModelLimits {
  readonly title: string;
  /** Files that a transformer alone needs beside it. */
  readonly needs: readonly FileRole[];
}

const MANY_STEPS = { min: 1, max: 50, default: 28 };
const TWO_MEGAPIXELS = 2 * 1024 * 1024;
const FLOW = { maxSide: 2048, maxArea: TWO_MEGAPIXELS, multipleOf: 16 };

/** What is known of a family where neither the catalog nor the operator says more. */
export const NATIVE_FAMILIES: Readonly<Record<NativeFamily, NativeFamilyFacts>> = {
  "stable-diffusion": {
    title: "Stable Diffusion 1.x, 2.x",
    needs: ["vae"],
    steps: MANY_STEPS,
    guidance: { min: 1, max: 20, default: 7.5 },
    maxSide: 1024,
    maxArea: 768 * 1024,
    multipleOf: 8,
  },
  sdxl: {
    title: "Stable Diffusion XL",
    needs: ["vae", "clip_l", "clip_g"],
    steps: MANY_STEPS,
    guidance: { min: 1, max: 20, default: 7 },
    maxSide: 2048,
    maxArea: TWO_MEGAPIXELS,
    multipleOf: 8,
  },
  sd3: {
    title: "Stable Diffusion 3, 3.5",
    needs: ["vae", "clip_l", "clip_g", "t5xxl"],
    steps: MANY_STEPS,
    guidance: { min: 1, max: 20, default: 4.5 },
    ...FLOW,
  },
  flux: {
    title: "FLUX.1",
    needs: ["vae", "clip_l", "t5xxl"],
    steps: MANY_STEPS,
    guidance: { min: 1, max: 20, default: 3.5 },
    guidanceKind: "distilled",
    ...FLOW,
  },
  "flux2-klein": {
    title: "FLUX.2",
    needs: ["vae", "llm"],
    steps: { min: 1, max: 50, default: 4 },
    guidance: null,
    ...FLOW,
    maxArea: 2 * TWO_MEGAPIXELS,
  },
  chroma: {
    title: "Chroma",
    needs: ["vae", "t5xxl"],
    steps: MANY_STEPS,
    guidance: { min: 1, max: 10, default: 4 },
    ...FLOW,
  },
  "z-image": {
    title: "Z-Image",
    needs: ["vae", "llm"],
    steps: { min: 1, max: 50, default: 8 },
    guidance: null,
    ...FLOW,
  },
  "qwen-image": {
    title: "Qwen-Image",
    needs: ["vae", "llm"],
    steps: MANY_STEPS,
    guidance: { min: 1, max: 10, default: 2.5 },
    ...FLOW,
  },
};

export function listNativeFamilies(): string {
  return Object.entries(NATIVE_FAMILIES)
    .map(([name, { title }]) => `${name}: ${title}`)
    .join("; ");
}

/** Names that only one family's transformer has, the more telling first. */
const MARKS: readonly (readonly [NativeFamily, RegExp])[] = [
  ["flux2-klein", /(^|\.)double_stream_modulation_img\./],
  ["chroma", /(^|\.)distilled_guidance_layer\./],
  ["flux", /(^|\.)double_blocks\.0\./],
  ["sd3", /(^|\.)joint_blocks\.0\./],
  ["z-image", /(^|\.)(noise_refiner|cap_embedder)\./],
  ["qwen-image", /(^|\.)transformer_blocks\.0\.img_mod\./],
  ["sdxl", /(^|\.)(label_emb\.|add_embedding\.)/],
  ["stable-diffusion", /(^|\.)(?<!encoder\.)(input_blocks|down_blocks)\.1\./],
];
const LORA = /\.(lora_(up|down|A|B)\b|lora\.(up|down)\b|hada_w1_a|lokr_w1)|^lora_(unet|te)/;
const CONTROL = /^(control_model|controlnet_)|(^|\.)controlnet_cond_embedding\./;
const OWN_VAE = /^(first_stage_model|vae)\./;
const VAE = /(^|\.)decoder\.(conv_in|conv1|up_blocks|up\.)/;
const TEXT = /(^|\.)(text_model\.encoder|encoder\.block\.0|blk\.0\.attn_q|model\.layers\.0\.self_attn)/;

/**
 * Says what a file of weights is, by the names of its tensors.
 * @param family what the operator says it is, where names do not tell
 * @throws WeightsError for adapters, parts of a model, and what is not known
 */
export function recognizeWeights(
  path: string,
  { tensors, metadata }: WeightsFileFacts,
  family?: string,
): RecognizedFile {
  const has = (mark: RegExp) => tensors.some((name) => mark.test(name));
  if (has(LORA))
    throw new WeightsError(
      `${path} is a LoRA: a change to a model, not a model. LoRA is out of scope here.`,
      {
        next: ["Merge it into the full model, and add that."],
      },
    );
  if (has(CONTROL))
    throw new WeightsError(`${path} is a ControlNet, which cannot draw by itself and is out of scope here.`);
  const hasOwnVae = has(OWN_VAE);
  const role: FileRole = hasOwnVae ? "model" : "diffusion-model";
  if (family !== undefined) {
    if (family in NATIVE_FAMILIES) return { family: family as NativeFamily, role };
    throw new WeightsError(`"${family}" is no family; families are ${listNativeFamilies()}.`);
  }
  const found = MARKS.find(([, mark]) => has(mark));
  if (found !== undefined) return { family: found[0], role };
  if (has(VAE))
    throw new WeightsError(`${path} is a VAE, one part of a model.`, {
      next: [`Add the diffusion model, and this with --file vae=${path}`],
    });
  if (has(TEXT))
    throw new WeightsError(`${path} is a text encoder, one part of a model.`, {
      next: [`Add the diffusion model, and this with --file llm=${path} (or clip_l, clip_g, t5xxl)`],
    });
  const named = metadata["general.architecture"] ?? metadata["modelspec.architecture"];
  throw new WeightsError(
    `${path} is of a family that is not known here${named === undefined ? "" : ` ("${named}")`}. Known are ${listNativeFamilies()}.`,
    { next: ["If it is one of these, say which: --family NAME"] },
  );
}
