import { EngineError } from "../engines/engine.ts";
import { clampPlanes, type Planes, SIGNED } from "../images/planes.ts";
import type { Graph } from "../sessions/graph.ts";
import type { JsonObject } from "../weights/engine-overrides.ts";
import type { NoiseSource } from "./noise.ts";
import type { Latents } from "./pipeline.ts";

/** A picture's way into latents and back. */
export interface Vae {
  readonly hasEncoder: boolean;
  readonly channels: number;
  decode(latents: Latents): Promise<Planes>;
  /** Latents of a picture in -1..1; a VAE that describes a distribution is sampled from `noise`. */
  encode(planes: Planes, noise: NoiseSource): Promise<Latents>;
  readonly decodePreview: ((latents: Latents) => Promise<Planes>) | undefined;
}

export interface VaeOptions {
  readonly decoder: Graph;
  readonly encoder: Graph | undefined;
  readonly preview: Graph | undefined;
  /** `config.json` of the VAE. */
  readonly config: JsonObject;
  /** The family's, for what the configuration leaves out. */
  readonly defaults: { readonly channels: number; readonly scale: number; readonly shift: number };
}

/** The VAE of the families whose latents are scaled by one factor and moved by one shift. */
export function createVae({ decoder, encoder, preview, config, defaults }: VaeOptions): Vae {
  const scale = Number(config["scaling_factor"] ?? defaults.scale);
  const shift = Number(config["shift_factor"] ?? defaults.shift);
  const channels =
    decoder.getFixedSize("latent_sample", 1) ?? Number(config["latent_channels"] ?? defaults.channels);
  return {
    channels,
    hasEncoder: encoder !== undefined,
    async decode(latents) {
      const data = latents.data.map((value) => value / scale + shift);
      const answer = await decoder.run({ latent_sample: { data, dims: getDims(latents) } });
      return toPlanes(answer("sample"));
    },
    async encode(planes, noise) {
      const graph = requireEncoder(encoder);
      const { data, width, height } = planes;
      const answer = await graph.run({ sample: { data, dims: [1, 3, height, width] } });
      const isSampled = graph.outputs.includes("latent_parameters");
      const { data: values, dims } = answer(isSampled ? "latent_parameters" : "latent_sample");
      const [, both = 0, rows = 0, columns = 0] = dims;
      const clean = isSampled ? sampleLatents(values, noise) : values;
      return {
        data: clean.map((value) => (value - shift) * scale),
        channels: isSampled ? both / 2 : both,
        height: rows,
        width: columns,
      };
    },
    decodePreview: preview === undefined ? undefined : (latents) => decodePreview(preview, latents),
  };
}

/** @throws EngineError `invalid_input` when the folder has no encoder */
export function requireEncoder(encoder: Graph | undefined): Graph {
  if (encoder !== undefined) return encoder;
  throw new EngineError(
    "invalid_input",
    "This model cannot start from a picture: its folder has no vae_encoder. Export it with one, or leave the picture out.",
  );
}

/** The decoder's pixels. @throws EngineError when they are not numbers, as happens where float16 overflows */
export function toPlanes({
  data,
  dims,
}: {
  readonly data: Float32Array;
  readonly dims: readonly number[];
}): Planes {
  const [, , height = 0, width = 0] = dims;
  if (data.some(Number.isNaN))
    throw new EngineError(
      "failed",
      "The model returned pixels that are not numbers: a part of it overflows in half precision. Use a float32 export of the VAE and, if that does not help, of the transformer.",
    );
  const planes = { data, height, width };
  clampPlanes(planes, SIGNED);
  return planes;
}

export function getDims({ channels, height, width }: Latents): readonly number[] {
  return [1, channels, height, width];
}

/** Mean and logarithm of the variance, in this order, to one sample. */
function sampleLatents(parameters: Float32Array, noise: NoiseSource): Float32Array {
  const size = parameters.length / 2;
  const drawn = noise.draw(size);
  return drawn.map((value, i) => {
    const logVariance = Math.min(20, Math.max(-30, parameters[size + i] as number));
    return (parameters[i] as number) + Math.exp(0.5 * logVariance) * value;
  });
}

/** Small autoencoders take latents without the VAE's factor and return 0..1. */
async function decodePreview(graph: Graph, latents: Latents): Promise<Planes> {
  const answer = await graph.run({ latent_sample: { data: latents.data, dims: getDims(latents) } });
  const { data, dims } = answer("sample");
  return toPlanes({ data: data.map((value) => 2 * value - 1), dims });
}
