import { openClipTokenizer } from "../text/clip-tokenizer.ts";
import type { ModelFolder } from "../weights/model-folder.ts";
import { type Components, tokenize, toRow } from "./components.ts";
import { drawWithUnet } from "./draw-with-unet.ts";
import type { Pipeline } from "./pipeline.ts";
import { readSchedulerConfig } from "./schedulers/create-scheduler.ts";
import { countUnetTokens, describeUnetLimits } from "./unet.ts";
import { createVae } from "./vae.ts";

/**
 * Stable Diffusion 1.x and 2.x (Rombach et al. 2022), SD-Turbo and latent consistency models: encodePrompt →
 * drawNoise → takeTimesteps → denoise → decodeLatents. CLIP reads the prompt; guidance is classifier-free, but for
 * models that were distilled to need none (Turbo) or to be told the scale (LCM).
 */
export async function createStableDiffusionPipeline(
  folder: ModelFolder,
  components: Components,
): Promise<Pipeline> {
  const unet = components.get("transformer");
  const textEncoder = components.get("text_encoder");
  const clip = await openClipTokenizer(folder.tokenizers[0]);
  const vae = createVae({
    decoder: components.get("vae_decoder"),
    encoder: components.find("vae_encoder"),
    preview: components.find("preview_decoder"),
    config: folder.vae,
    defaults: { channels: 4, scale: 0.18215, shift: 0 },
  });
  const config = readSchedulerConfig(folder.scheduler, folder.path);
  const isToldScale = unet.hasInput("timestep_cond");
  const limits = describeUnetLimits(folder, config, { guidance: 7.5, isToldScale });
  const encode = async (prompt: string, warn: (message: string) => void) =>
    (await textEncoder.run({ input_ids: toRow(tokenize(clip, prompt, { warn }).ids) }))("last_hidden_state");

  return {
    limits,
    hasEncoder: vae.hasEncoder,
    countTokens: countUnetTokens,
    decodePreview: vae.decodePreview,
    decodeLatents: vae.decode,

    async encodePrompt({ prompt, negativePrompt, guidance, warn }) {
      const isGuided = limits.guidance !== undefined && guidance > 1 && !isToldScale;
      if (negativePrompt && !isGuided)
        warn("without classifier-free guidance a negative prompt changes nothing");
      const wanted = await encode(prompt, warn);
      const prompts = isGuided ? [await encode(negativePrompt ?? "", warn), wanted] : [wanted];

      return drawWithUnet({
        unet,
        vae,
        config,
        guidance,
        prompts: prompts.map((states) => () => ({ encoder_hidden_states: states })),
      });
    },
  };
}
