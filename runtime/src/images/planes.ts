import type { Picture } from "../engines/engine.ts";

/** A colour picture as networks see it: three planes (red, green, blue) of floats, each row-major. */
export interface Planes {
  readonly data: Float32Array;
  readonly width: number;
  readonly height: number;
}

/** The numbers that black and white have for a network. */
export interface PixelRange {
  readonly black: number;
  readonly white: number;
}

/** Diffusion models and their decoders. */
export const SIGNED: PixelRange = { black: -1, white: 1 };
/** Networks that speak in bytes. */
export const BYTES: PixelRange = { black: 0, white: 255 };

const CHANNELS = 3;

export function toPlanes({ rgb, width, height }: Picture, range: PixelRange): Planes {
  const size = width * height;
  const data = new Float32Array(CHANNELS * size);
  const scale = (range.white - range.black) / 255;
  for (let c = 0; c < CHANNELS; c++)
    for (let i = 0; i < size; i++)
      data[c * size + i] = (rgb[i * CHANNELS + c] as number) * scale + range.black;
  return { data, width, height };
}

/** Clamps to the range and rounds to 8 bits, halves to even. */
export function toPicture({ data, width, height }: Planes, range: PixelRange): Picture {
  const size = width * height;
  // A clamped array rounds halves to even and turns NaN into 0, as the reference pipelines do.
  const rgb = new Uint8ClampedArray(CHANNELS * size);
  const scale = 255 / (range.white - range.black);
  for (let c = 0; c < CHANNELS; c++)
    for (let i = 0; i < size; i++)
      rgb[i * CHANNELS + c] = ((data[c * size + i] as number) - range.black) * scale;
  return { rgb: new Uint8Array(rgb.buffer), width, height };
}

/** The rectangle at (`left`, `top`), copied. */
export function cropPlanes(
  source: Planes,
  area: { readonly left: number; readonly top: number; readonly width: number; readonly height: number },
): Planes {
  const data = new Float32Array(CHANNELS * area.width * area.height);
  copyArea(source, area, { data, width: area.width, height: area.height }, { left: 0, top: 0 });
  return { data, width: area.width, height: area.height };
}

/** Copies a rectangle of `source` into `target` at a place. */
export function copyArea(
  source: Planes,
  area: { readonly left: number; readonly top: number; readonly width: number; readonly height: number },
  target: Planes,
  place: { readonly left: number; readonly top: number },
): void {
  for (let c = 0; c < CHANNELS; c++)
    for (let y = 0; y < area.height; y++) {
      const from = (c * source.height + area.top + y) * source.width + area.left;
      const to = (c * target.height + place.top + y) * target.width + place.left;
      target.data.set(source.data.subarray(from, from + area.width), to);
    }
}

/** Clamps in place. */
export function clampPlanes(planes: Planes, range: PixelRange): void {
  const { data } = planes;
  for (let i = 0; i < data.length; i++)
    data[i] = Math.min(range.white, Math.max(range.black, data[i] as number));
}
