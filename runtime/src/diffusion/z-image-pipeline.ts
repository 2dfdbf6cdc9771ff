import type { Floats } from "../sessions/graph.ts";
import { openQwenTokenizer } from "../text/qwen-tokenizer.ts";
import type { ModelFolder } from "../weights/model-folder.ts";
import { type Components, tokenize, toRow } from "./components.ts";
import { denoiseFlow, startFlow } from "./denoise.ts";
import { getPenultimate } from "./hidden-states.ts";
import { countLatents } from "./latent-layout.ts";
import type { Pipeline } from "./pipeline.ts";
import { readLimits, TWO_MEGAPIXELS } from "./read-limits.ts";
import { takeFlowMatchSigmas } from "./schedulers/flow-match.ts";
import { readFlowShift } from "./schedulers/read-flow-config.ts";
import { createVae } from "./vae.ts";

/**
 * Z-Image-Turbo: encodePrompt → drawNoise → takeSigmas → denoise → decodeLatents. A language model reads the prompt
 * and only its real tokens go on; the transformer is told how clean the latents are (1 - sigma) and predicts the
 * flow the other way round. Turbo needs no guidance; for the base model `engine.json` gives its range.
 */
export async function createZImagePipeline(folder: ModelFolder, components: Components): Promise<Pipeline> {
  const transformer = components.get("transformer");
  const textEncoder = components.get("text_encoder");
  const qwen = await openQwenTokenizer(folder.tokenizers[0], "z-image");
  const vae = createVae({
    decoder: components.get("vae_decoder"),
    encoder: components.find("vae_encoder"),
    preview: components.find("preview_decoder"),
    config: folder.vae,
    defaults: { channels: 16, scale: 0.3611, shift: 0.1159 },
  });
  const shiftFor = readFlowShift({ shift: 3, ...folder.scheduler }, folder.path);
  // The network knows an axis of frames; some exports have taken it out.
  const hasFrames = transformer.getRank("hidden_states") === 5;
  const limits = readLimits(
    { steps: { min: 1, max: 8, default: 8 }, guidance: null, multipleOf: 16, maxArea: TWO_MEGAPIXELS },
    folder.overrides,
  );
  const encode = async (prompt: string, warn: (message: string) => void): Promise<Floats> => {
    const { ids, mask } = tokenize(qwen, prompt, { warn });
    const answer = await textEncoder.run({ input_ids: toRow(ids), attention_mask: toRow(mask) });
    const kept = mask.reduce((sum, value) => sum + value, 0);
    return keepTokens(getPenultimate(textEncoder, answer), kept);
  };

  return {
    limits,
    hasEncoder: vae.hasEncoder,
    countTokens: ({ width, height }) => Math.floor(width / 16) * Math.floor(height / 16) + 512,
    decodePreview: vae.decodePreview,
    decodeLatents: vae.decode,

    async encodePrompt({ prompt, negativePrompt, guidance, warn }) {
      const isGuided = limits.guidance !== undefined && guidance > 1;
      if (negativePrompt && !isGuided) warn("this model has no negative prompt: it is left out");
      const wanted = await encode(prompt, warn);
      const unwanted = isGuided ? await encode(negativePrompt ?? "", warn) : undefined;

      return async ({ size, steps, noise, init, signal, onStep }) => {
        const shape = { channels: vae.channels, height: size.height / 8, width: size.width / 8 };
        const start = init && { ...init, clean: (await vae.encode(init.planes, noise)).data };
        const drawn = noise.draw(countLatents(shape));
        const tokens = (shape.height / 2) * (shape.width / 2);
        const all = takeFlowMatchSigmas({ steps, shift: shiftFor(tokens) });
        const { latents, sigmas } = startFlow(all, drawn, start);
        const frames = hasFrames ? [1] : [];
        const ask = async (data: Float32Array, sigma: number, states: Floats) => {
          const answer = await transformer.run({
            hidden_states: { data, dims: [1, shape.channels, ...frames, shape.height, shape.width] },
            timestep: { data: [1 - sigma], dims: [1] },
            encoder_hidden_states: states,
          });
          return answer("out_hidden_states").data;
        };
        await denoiseFlow({
          latents,
          sigmas,
          signal,
          onStep,
          unpack: (data) => ({ data, ...shape }),
          async predict(data, sigma) {
            const backwards = await ask(data, sigma, wanted);
            if (unwanted === undefined) return backwards.map((value) => -value);
            // This family adds the guidance on top of the prompt's own prediction.
            const away = await ask(data, sigma, unwanted);
            return backwards.map((value, i) => -(value + guidance * (value - (away[i] as number))));
          },
        });
        return { data: latents, ...shape };
      };
    },
  };
}

function keepTokens({ data, dims }: Floats, count: number): Floats {
  const width = dims.at(-1) ?? 1;
  return { data: data.slice(0, count * width), dims: [1, count, width] };
}
