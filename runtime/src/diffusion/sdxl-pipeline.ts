import type { Floats } from "../sessions/graph.ts";
import { openClipTokenizer } from "../text/clip-tokenizer.ts";
import type { ModelFolder } from "../weights/model-folder.ts";
import { type Components, tokenize, toRow } from "./components.ts";
import { drawWithUnet } from "./draw-with-unet.ts";
import { getPenultimate, joinFeatures } from "./hidden-states.ts";
import type { Pipeline } from "./pipeline.ts";
import { readSchedulerConfig } from "./schedulers/create-scheduler.ts";
import { countUnetTokens, describeUnetLimits } from "./unet.ts";
import { createVae } from "./vae.ts";

/**
 * SDXL (Podell et al. 2023) with Turbo and Lightning: encodePrompt → drawNoise → takeTimesteps → denoise →
 * decodeLatents. Two CLIP encoders side by side read the prompt; the UNet is also told the picture's size. Without
 * a negative prompt the unwanted side is zeros, unless the folder says otherwise.
 */
export async function createSdxlPipeline(folder: ModelFolder, components: Components): Promise<Pipeline> {
  const unet = components.get("transformer");
  const [first, second] = [components.get("text_encoder"), components.get("text_encoder_2")];
  const clip = await openClipTokenizer(folder.tokenizers[0]);
  const clip2 = await openClipTokenizer(folder.tokenizers[1]);
  const vae = createVae({
    decoder: components.get("vae_decoder"),
    encoder: components.find("vae_encoder"),
    preview: components.find("preview_decoder"),
    config: folder.vae,
    defaults: { channels: 4, scale: 0.13025, shift: 0 },
  });
  const config = readSchedulerConfig(folder.scheduler, folder.path);
  const isToldScale = unet.hasInput("timestep_cond");
  const limits = describeUnetLimits(folder, config, { guidance: 5, isToldScale });
  const zeroesEmpty = folder.index["force_zeros_for_empty_prompt"] !== false;

  const encode = async (prompt: string, warn: (message: string) => void): Promise<Prompt> => {
    const one = await first.run({ input_ids: toRow(tokenize(clip, prompt, { warn }).ids) });
    const two = await second.run({ input_ids: toRow(tokenize(clip2, prompt, { warn }).ids) });
    return {
      states: joinFeatures(getPenultimate(first, one), getPenultimate(second, two)),
      pooled: two("text_embeds"),
    };
  };

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
      const encodeUnwanted = async (): Promise<Prompt> =>
        !negativePrompt && zeroesEmpty
          ? { states: toZeros(wanted.states), pooled: toZeros(wanted.pooled) }
          : encode(negativePrompt ?? "", warn);
      const prompts = isGuided ? [await encodeUnwanted(), wanted] : [wanted];

      return drawWithUnet({
        unet,
        vae,
        config,
        guidance,
        prompts: prompts.map(({ states, pooled }) => ({ width, height }) => ({
          encoder_hidden_states: states,
          text_embeds: pooled,
          // Original size, the corner of the crop, wanted size; each as height and width.
          time_ids: { data: [height, width, 0, 0, height, width], dims: [1, 6] },
        })),
      });
    },
  };
}

interface Prompt {
  readonly states: Floats;
  readonly pooled: Floats;
}

function toZeros({ data, dims }: Floats): Floats {
  return { data: new Float32Array(data.length), dims };
}
