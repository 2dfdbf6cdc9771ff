import type { Size } from "../images/fit-picture.ts";
import type { Values } from "../sessions/graph.ts";
import { openQwenTokenizer } from "../text/qwen-tokenizer.ts";
import type { ModelFolder } from "../weights/model-folder.ts";
import { type Components, tokenize, toRow } from "./components.ts";
import { denoiseFlow, startFlow } from "./denoise.ts";
import { combineRows } from "./guide.ts";
import { countLatents, createPlaces, flattenLatents, unflattenLatents } from "./latent-layout.ts";
import type { LatentShape, Pipeline } from "./pipeline.ts";
import { FOUR_MEGAPIXELS, readLimits } from "./read-limits.ts";
import { getFlux2Mu, takeFlowMatchSigmas } from "./schedulers/flow-match.ts";
import { getDims, requireEncoder, toPlanes } from "./vae.ts";

/**
 * FLUX.2-klein in the layout of fused graphs: encodePrompt → drawNoise → flattenLatents → takeSigmas → denoise →
 * unflattenLatents → decodeLatents. A language model reads the prompt; latents have 128 channels at a sixteenth of
 * the picture's size, and their normalisation is part of the graphs. The distilled model needs no guidance; for the
 * base model `engine.json` gives its range, and the empty prompt is what is steered away from.
 */
export async function createFlux2KleinPipeline(
  folder: ModelFolder,
  components: Components,
): Promise<Pipeline> {
  const transformer = components.get("transformer");
  const decoder = components.get("vae_decoder");
  const encoder = components.find("vae_encoder");
  const textEncoder = components.get("text_encoder");
  const qwen = await openQwenTokenizer(folder.tokenizers[0], "flux2-klein");
  const channels = decoder.getFixedSize("latents", 1) ?? 128;
  const limits = readLimits(
    {
      steps: { min: 1, max: 4, default: 4 },
      guidance: null,
      multipleOf: CELL,
      maxArea: FOUR_MEGAPIXELS,
    },
    folder.overrides,
  );
  const encode = async (prompt: string, warn: (message: string) => void) => {
    const { ids, mask } = tokenize(qwen, prompt, { warn });
    return (await textEncoder.run({ input_ids: toRow(ids), attention_mask: toRow(mask) }))("prompt_embeds");
  };

  return {
    limits,
    hasEncoder: encoder !== undefined,
    countTokens: ({ width, height }) => Math.floor(width / CELL) * Math.floor(height / CELL) + 512,
    decodePreview: undefined,

    async decodeLatents(latents) {
      const answer = await decoder.run({ latents: { data: latents.data, dims: getDims(latents) } });
      return toPlanes(answer("image"));
    },

    async encodePrompt({ prompt, negativePrompt, guidance, warn }) {
      const isGuided = limits.guidance !== undefined && guidance > 1;
      if (negativePrompt && !isGuided) warn("this model has no negative prompt: it is left out");
      const wanted = await encode(prompt, warn);
      const prompts = isGuided ? [await encode(negativePrompt ?? "", warn), wanted] : [wanted];
      const txtIds = createTextIds(wanted.dims[1] ?? 0);

      return async ({ size, steps, noise, init, signal, onStep }) => {
        const shape = getLatentShape(size, channels);
        const tokens = shape.height * shape.width;
        const start = init && {
          ...init,
          clean: flattenLatents({ ...shape, data: await encodePicture(init.planes) }),
        };
        const drawn = flattenLatents({ ...shape, data: noise.draw(countLatents(shape)) });
        const all = takeFlowMatchSigmas({
          steps,
          shift: { kind: "exponential", mu: getFlux2Mu(tokens, steps) },
        });
        const { latents, sigmas } = startFlow(all, drawn, start);
        const imgIds = createPlaces({ ...shape, axes: 4 });
        await denoiseFlow({
          latents,
          sigmas,
          signal,
          onStep,
          unpack: (values) => unflattenLatents(values, shape),
          async predict(values, sigma) {
            const answers = await transformer.runRows(
              prompts.map((states) => ({
                hidden_states: { data: values, dims: [1, tokens, channels] },
                encoder_hidden_states: states,
                timestep: { data: [sigma], dims: [1] },
                img_ids: imgIds,
                txt_ids: txtIds,
              })),
            );
            const flows = answers.map((answer) => answer("noise_pred").data);
            return combineRows(flows, guidance);
          },
        });
        return unflattenLatents(latents, shape);
      };
    },
  };

  async function encodePicture(planes: {
    readonly data: Float32Array;
    readonly width: number;
    readonly height: number;
  }): Promise<Float32Array> {
    const { data, width, height } = planes;
    const answer = await requireEncoder(encoder).run({ image: { data, dims: [1, 3, height, width] } });
    return answer("latents").data;
  }
}

/** Pixels per side of one token. */
const CELL = 16;

function getLatentShape({ width, height }: Size, channels: number): LatentShape {
  return { channels, height: Math.floor(height / CELL), width: Math.floor(width / CELL) };
}

/** Where each word stands: the last of the four axes, after time, row and column. */
function createTextIds(length: number): Values {
  const data = new Float32Array(4 * length);
  for (let place = 0; place < length; place++) data[4 * place + 3] = place;
  return { data, dims: [length, 4], isShared: true };
}
