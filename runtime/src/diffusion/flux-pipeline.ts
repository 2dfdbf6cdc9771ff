import type { Size } from "../images/fit-picture.ts";
import type { Values } from "../sessions/graph.ts";
import { openClipTokenizer } from "../text/clip-tokenizer.ts";
import { openT5Tokenizer } from "../text/t5-tokenizer.ts";
import type { ModelFolder } from "../weights/model-folder.ts";
import { type Components, tokenize, toRow } from "./components.ts";
import { denoiseFlow, startFlow } from "./denoise.ts";
import { countLatents, createPlaces, packLatents, unpackLatents } from "./latent-layout.ts";
import type { LatentShape, Pipeline } from "./pipeline.ts";
import { readLimits, TWO_MEGAPIXELS } from "./read-limits.ts";
import { takeFlowMatchSigmas } from "./schedulers/flow-match.ts";
import { readFlowShift } from "./schedulers/read-flow-config.ts";
import { createVae } from "./vae.ts";

/**
 * FLUX.1 (Black Forest Labs 2024): encodePrompt → drawNoise → packLatents → takeSigmas → denoise →
 * unpackLatents → decodeLatents. CLIP says what the whole prompt is about, T5 what each word says; the
 * transformer predicts the flow of 2x2 squares of latents. `dev` is told the guidance scale, `schnell` needs none.
 */
export async function createFluxPipeline(folder: ModelFolder, components: Components): Promise<Pipeline> {
  const transformer = components.get("transformer");
  const isGuided = transformer.hasInput("guidance");
  const clip = await openClipTokenizer(folder.tokenizers[0]);
  const t5 = await openT5Tokenizer(
    folder.tokenizers[1],
    folder.overrides.textLength ?? (isGuided ? 512 : 256),
  );
  const vae = createVae({
    decoder: components.get("vae_decoder"),
    encoder: components.find("vae_encoder"),
    preview: components.find("preview_decoder"),
    config: folder.vae,
    defaults: { channels: 16, scale: 0.3611, shift: 0.1159 },
  });
  const shiftFor = readFlowShift(folder.scheduler, folder.path);
  const limits = readLimits(
    {
      steps: isGuided ? { min: 1, max: 50, default: 28 } : { min: 1, max: 4, default: 4 },
      guidance: isGuided ? { min: 1, max: 20, default: 3.5 } : null,
      multipleOf: 16,
      maxArea: TWO_MEGAPIXELS,
    },
    folder.overrides,
  );

  return {
    limits,
    hasEncoder: vae.hasEncoder,
    countTokens: (size) => countImageTokens(size) + 512,
    decodePreview: vae.decodePreview,
    decodeLatents: vae.decode,

    async encodePrompt(text) {
      if (text.negativePrompt) text.warn("this model has no negative prompt: it is left out");
      const clipIds = tokenize(clip, text.prompt, text).ids;
      const clipStates = await components.get("text_encoder").run({ input_ids: toRow(clipIds) });
      const pooled = clipStates("pooler_output");
      const t5Ids = tokenize(t5, text.prompt, text).ids;
      const states = (await components.get("text_encoder_2").run({ input_ids: toRow(t5Ids) }))(
        "last_hidden_state",
      );
      const txtIds: Values = {
        data: new Float32Array(3 * t5Ids.length),
        dims: [t5Ids.length, 3],
        isShared: true,
      };

      return async ({ size, steps, noise, init, signal, onStep }) => {
        const shape = getLatentShape(size, vae.channels);
        const tokens = countImageTokens(size);
        // A picture to start from is encoded first: the reference draws in this order.
        const start = init && { ...init, clean: packLatents(await vae.encode(init.planes, noise)) };
        const drawn = packLatents({ data: noise.draw(countLatents(shape)), ...shape });
        const all = takeFlowMatchSigmas({ steps, shift: shiftFor(tokens) });
        const { latents, sigmas } = startFlow(all, drawn, start);
        const imgIds = createPlaces({ height: shape.height / 2, width: shape.width / 2, axes: 3 });
        await denoiseFlow({
          latents,
          sigmas,
          signal,
          onStep,
          unpack: (values) => unpackLatents(values, shape),
          async predict(values, sigma) {
            const answer = await transformer.run({
              hidden_states: { data: values, dims: [1, tokens, 4 * shape.channels] },
              encoder_hidden_states: states,
              pooled_projections: pooled,
              timestep: { data: [sigma], dims: [1] },
              img_ids: imgIds,
              txt_ids: txtIds,
              guidance: { data: [text.guidance], dims: [1] },
            });
            return answer("out_hidden_states").data;
          },
        });
        return unpackLatents(latents, shape);
      };
    },
  };
}

function getLatentShape({ width, height }: Size, channels: number): LatentShape {
  return { channels, height: 2 * Math.floor(height / 16), width: 2 * Math.floor(width / 16) };
}

function countImageTokens({ width, height }: Size): number {
  return Math.floor(height / 16) * Math.floor(width / 16);
}
