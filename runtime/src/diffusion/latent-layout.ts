import type { Values } from "../sessions/graph.ts";
import type { LatentShape, Latents } from "./pipeline.ts";

/**
 * Squares of 2x2 latents as tokens, row by row, as FLUX.1's transformer reads them. The features of a token are
 * ordered channel, row, column: `token[i·w/2 + j][4c + 2y + x] = latents[c][2i + y][2j + x]`.
 */
export function packLatents({ data, channels, height, width }: Latents): Float32Array {
  const packed = new Float32Array(data.length);
  forEachPair(channels, height, width, (token, latent) => {
    packed[token] = data[latent] as number;
  });
  return packed;
}

/** The inverse of {@link packLatents}. */
export function unpackLatents(packed: Float32Array, { channels, height, width }: LatentShape): Latents {
  const data = new Float32Array(packed.length);
  forEachPair(channels, height, width, (token, latent) => {
    data[latent] = packed[token] as number;
  });
  return { data, channels, height, width };
}

function forEachPair(
  channels: number,
  height: number,
  width: number,
  visit: (token: number, latent: number) => void,
): void {
  const features = 4 * channels;
  for (let c = 0; c < channels; c++)
    for (let row = 0; row < height; row++)
      for (let column = 0; column < width; column++) {
        const token = (row >> 1) * (width / 2) + (column >> 1);
        const feature = 4 * c + 2 * (row & 1) + (column & 1);
        visit(token * features + feature, (c * height + row) * width + column);
      }
}

/** Each place as a token with all its channels, row by row, as FLUX.2's transformer reads them. */
export function flattenLatents({ data, channels, height, width }: Latents): Float32Array {
  const places = height * width;
  const flat = new Float32Array(data.length);
  for (let c = 0; c < channels; c++)
    for (let i = 0; i < places; i++) flat[i * channels + c] = data[c * places + i] as number;
  return flat;
}

/** The inverse of {@link flattenLatents}. */
export function unflattenLatents(flat: Float32Array, { channels, height, width }: LatentShape): Latents {
  const places = height * width;
  const data = new Float32Array(flat.length);
  for (let c = 0; c < channels; c++)
    for (let i = 0; i < places; i++) data[c * places + i] = flat[i * channels + c] as number;
  return { data, channels, height, width };
}

/** Numbers in latents of a shape. */
export function countLatents({ channels, height, width }: LatentShape): number {
  return channels * height * width;
}

/** Where each token of a picture lies, row by row: time 0, row, column, and with a fourth axis place 0 in the text. */
export function createPlaces({
  height,
  width,
  axes,
}: {
  readonly height: number;
  readonly width: number;
  readonly axes: 3 | 4;
}): Values {
  const data = new Float32Array(axes * height * width);
  for (let row = 0; row < height; row++)
    for (let column = 0; column < width; column++) data.set([0, row, column], axes * (row * width + column));
  return { data, dims: [height * width, axes], isShared: true };
}
