import type { Signature } from "../sessions/graph.ts";

/** Families of models that the built-in engine draws with. */
export type Family = "flux" | "stable-diffusion" | "sdxl" | "sd3" | "flux2-klein" | "z-image";

/** The parts of a model folder, by the names of their folders in the diffusers layout. */
export type Role =
  | "text_encoder"
  | "text_encoder_2"
  | "text_encoder_3"
  | "transformer"
  | "vae_decoder"
  | "vae_encoder"
  | "preview_decoder";

export interface FamilyParts {
  readonly title: string;
  /** Names in `model_index.json`, without `ORT`, `Img2Img` and `Pipeline`. */
  readonly classes: readonly string[];
  readonly graphs: Partial<Readonly<Record<Role, Part>>>;
}

export interface Part extends Signature {
  readonly isOptional?: boolean;
}

const CLIP: Part = {
  inputs: ["input_ids"],
  outputs: [["last_hidden_state"], ["pooler_output"]],
};
const CLIP_STATES: Part = { inputs: ["input_ids"], outputs: [["last_hidden_state"]] };
const CLIP_PROJECTED: Part = {
  inputs: ["input_ids"],
  outputs: [["text_embeds"], ["hidden_states.1"]],
};
const T5: Part = { inputs: ["input_ids"], outputs: [["last_hidden_state"]] };
const VAE_DECODER: Part = { inputs: ["latent_sample"], outputs: [["sample"]] };
const VAE_ENCODER: Part = {
  inputs: ["sample"],
  outputs: [["latent_parameters", "latent_sample"]],
  isOptional: true,
};
/** A small autoencoder's decoder (the TAESD family): latents to pixels in 0..1. */
const PREVIEW_DECODER: Part = { inputs: ["latent_sample"], outputs: [["sample"]], isOptional: true };

/** What the folders of each family hold, with the exact names that exporters give. */
export const FAMILIES: Readonly<Record<Family, FamilyParts>> = {
  flux: {
    title: "FLUX.1 (schnell, dev)",
    classes: ["Flux"],
    graphs: {
      text_encoder: CLIP,
      text_encoder_2: T5,
      transformer: {
        inputs: [
          "hidden_states",
          "encoder_hidden_states",
          "pooled_projections",
          "timestep",
          "img_ids",
          "txt_ids",
        ],
        optional: ["guidance"],
        outputs: [["out_hidden_states"]],
      },
      vae_decoder: VAE_DECODER,
      vae_encoder: VAE_ENCODER,
      preview_decoder: PREVIEW_DECODER,
    },
  },
  "stable-diffusion": {
    title: "Stable Diffusion 1.x, 2.x, SD-Turbo, LCM",
    classes: ["StableDiffusion", "LatentConsistencyModel"],
    graphs: {
      text_encoder: CLIP_STATES,
      transformer: {
        inputs: ["sample", "timestep", "encoder_hidden_states"],
        optional: ["timestep_cond"],
        outputs: [["out_sample"]],
      },
      vae_decoder: VAE_DECODER,
      vae_encoder: VAE_ENCODER,
      preview_decoder: PREVIEW_DECODER,
    },
  },
  sdxl: {
    title: "SDXL, SDXL-Turbo, SDXL-Lightning",
    classes: ["StableDiffusionXL"],
    graphs: {
      text_encoder: { inputs: ["input_ids"], outputs: [["hidden_states.1"]] },
      text_encoder_2: CLIP_PROJECTED,
      transformer: {
        inputs: ["sample", "timestep", "encoder_hidden_states", "text_embeds", "time_ids"],
        optional: ["timestep_cond"],
        outputs: [["out_sample"]],
      },
      vae_decoder: VAE_DECODER,
      vae_encoder: VAE_ENCODER,
      preview_decoder: PREVIEW_DECODER,
    },
  },
  sd3: {
    title: "Stable Diffusion 3 and 3.5",
    classes: ["StableDiffusion3"],
    graphs: {
      text_encoder: CLIP_PROJECTED,
      text_encoder_2: CLIP_PROJECTED,
      text_encoder_3: { ...T5, isOptional: true },
      transformer: {
        inputs: ["hidden_states", "encoder_hidden_states", "pooled_projections", "timestep"],
        outputs: [["out_hidden_states"]],
      },
      vae_decoder: VAE_DECODER,
      vae_encoder: VAE_ENCODER,
      preview_decoder: PREVIEW_DECODER,
    },
  },
  "flux2-klein": {
    title: "FLUX.2-klein (fused graphs)",
    classes: ["Flux2Klein", "Flux2"],
    graphs: {
      text_encoder: { inputs: ["input_ids", "attention_mask"], outputs: [["prompt_embeds"]] },
      transformer: {
        inputs: ["hidden_states", "encoder_hidden_states", "timestep", "img_ids", "txt_ids"],
        outputs: [["noise_pred"]],
      },
      vae_decoder: { inputs: ["latents"], outputs: [["image"]] },
      vae_encoder: { inputs: ["image"], outputs: [["latents"]], isOptional: true },
    },
  },
  "z-image": {
    title: "Z-Image-Turbo",
    classes: ["ZImage"],
    graphs: {
      text_encoder: {
        inputs: ["input_ids", "attention_mask"],
        outputs: [["prompt_embeds", "hidden_states.1", "last_hidden_state"]],
      },
      transformer: {
        inputs: ["hidden_states", "timestep", "encoder_hidden_states"],
        outputs: [["out_hidden_states"]],
      },
      vae_decoder: VAE_DECODER,
      vae_encoder: VAE_ENCODER,
      preview_decoder: PREVIEW_DECODER,
    },
  },
};

/** The family of a pipeline class such as `ORTStableDiffusionXLImg2ImgPipeline`. */
export function findFamily(className: string): Family | undefined {
  const name = className.replace(/^(ORT|Onnx)/, "").replace(/(Img2Img|Inpaint)?Pipeline$/, "");
  const found = Object.entries(FAMILIES).find(([, parts]) => parts.classes.includes(name));
  return found?.[0] as Family | undefined;
}

export function listFamilies(): string {
  return Object.entries(FAMILIES)
    .map(([name, { title }]) => `${name}: ${title}`)
    .join("; ");
}
