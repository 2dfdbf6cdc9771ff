import { join } from "node:path";
import { EngineError } from "../engines/engine.ts";
import type { Floats } from "../sessions/graph.ts";
import { openClipTokenizer } from "../text/clip-tokenizer.ts";
import { openT5Tokenizer } from "../text/t5-tokenizer.ts";
import type { ModelFolder } from "../weights/model-folder.ts";
import { type Components, tokenize, toRow } from "./components.ts";
import { denoiseFlow, startFlow } from "./denoise.ts";
import { combineRows } from "./guide.ts";
import { getPenultimate, joinFeatures, joinTokens, joinVectors, widenFeatures } from "./hidden-states.ts";
import { countLatents } from "./latent-layout.ts";
import type { Pipeline } from "./pipeline.ts";
import { readLimits, TWO_MEGAPIXELS } from "./read-limits.ts";
import { takeFlowMatchSigmas } from "./schedulers/flow-match.ts";
import { readFlowShift } from "./schedulers/read-flow-config.ts";
import { createVae } from "./vae.ts";

/** T5's tokens beside CLIP's 77. */
const T5_LENGTH = 256;
const T5_WIDTH = 4096;

/**
 * Stable Diffusion 3 and 3.5 (Esser et al. 2024): encodePrompt → drawNoise → takeSigmas → denoise → decodeLatents.
 * Two CLIP encoders side by side, then T5 (zeros where the folder has none), tell the transformer about the prompt;
 * guidance is classifier-free. Large Turbo needs none: `"guidance": null` in its `engine.json`.
 */
export async function createSd3Pipeline(folder: ModelFolder, components: Components): Promise<Pipeline> {
  if (folder.scheduler["use_dynamic_shifting"] === true)
    throw new EngineError(
      "failed",
      `The scheduler of ${folder.path} uses dynamic shifting, which this family does not. Set "use_dynamic_shifting": false as "scheduler" in ${join(folder.path, "engine.json")}.`,
    );
  const transformer = components.get("transformer");
  const [first, second, third] = [
    components.get("text_encoder"),
    components.get("text_encoder_2"),
    components.find("text_encoder_3"),
  ];
  const clip = await openClipTokenizer(folder.tokenizers[0]);
  const clip2 = await openClipTokenizer(folder.tokenizers[1]);
  const length = folder.overrides.textLength ?? T5_LENGTH;
  const t5 = third && (await openT5Tokenizer(folder.tokenizers[2], length));
  const width =
    transformer.getFixedSize("encoder_hidden_states", 2) ??
    Number(folder.transformer["joint_attention_dim"] ?? T5_WIDTH);
  const vae = createVae({
    decoder: components.get("vae_decoder"),
    encoder: components.find("vae_encoder"),
    preview: components.find("preview_decoder"),
    config: folder.vae,
    defaults: { channels: 16, scale: 1.5305, shift: 0.0609 },
  });
  const shift = readFlowShift({ shift: 3, ...folder.scheduler }, folder.path)(0);
  const limits = readLimits(
    {
      steps: { min: 1, max: 100, default: 28 },
      guidance: { min: 1, max: 20, default: 7 },
      multipleOf: 16,
      maxArea: TWO_MEGAPIXELS,
    },
    folder.overrides,
  );

  const encode = async (
    prompt: string,
    warn: (message: string) => void,
  ): Promise<{ readonly states: Floats; readonly pooled: Floats }> => {
    const one = await first.run({ input_ids: toRow(tokenize(clip, prompt, { warn }).ids) });
    const two = await second.run({ input_ids: toRow(tokenize(clip2, prompt, { warn }).ids) });
    const pair = joinFeatures(getPenultimate(first, one), getPenultimate(second, two));
    const words =
      third && t5
        ? (await third.run({ input_ids: toRow(tokenize(t5, prompt, { warn }).ids) }))("last_hidden_state")
        : { data: new Float32Array(length * width), dims: [1, length, width] };
    return {
      states: joinTokens(widenFeatures(pair, width), words),
      pooled: joinVectors(one("text_embeds"), two("text_embeds")),
    };
  };

  return {
    limits,
    hasEncoder: vae.hasEncoder,
    countTokens: ({ width: w, height: h }) => Math.floor(w / 16) * Math.floor(h / 16) + 77 + length,
    decodePreview: vae.decodePreview,
    decodeLatents: vae.decode,

    async encodePrompt({ prompt, negativePrompt, guidance, warn }) {
      const isGuided = limits.guidance !== undefined && guidance > 1;
      if (negativePrompt && !isGuided)
        warn("without classifier-free guidance a negative prompt changes nothing");
      const wanted = await encode(prompt, warn);
      const prompts = isGuided ? [await encode(negativePrompt ?? "", warn), wanted] : [wanted];

      return async ({ size, steps, noise, init, signal, onStep }) => {
        const shape = { channels: vae.channels, height: size.height / 8, width: size.width / 8 };
        const dims = [1, shape.channels, shape.height, shape.width];
        const start = init && { ...init, clean: (await vae.encode(init.planes, noise)).data };
        const drawn = noise.draw(countLatents(shape));
        const all = takeFlowMatchSigmas({ steps, shift, spacing: "shifted-range" });
        const { latents, sigmas } = startFlow(all, drawn, start);
        await denoiseFlow({
          latents,
          sigmas,
          signal,
          onStep,
          unpack: (data) => ({ data, ...shape }),
          async predict(data, sigma) {
            const answers = await transformer.runRows(
              prompts.map(({ states, pooled }) => ({
                hidden_states: { data, dims },
                encoder_hidden_states: states,
                pooled_projections: pooled,
                timestep: { data: [1000 * sigma], dims: [1] },
              })),
            );
            const flows = answers.map((answer) => answer("out_hidden_states").data);
            return combineRows(flows, guidance);
          },
        });
        return { data: latents, ...shape };
      };
    },
  };
}
