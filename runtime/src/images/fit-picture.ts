import sharp from "sharp";
import type { Picture } from "../engines/engine.ts";

export interface Size {
  readonly width: number;
  readonly height: number;
}

/** The largest centred rectangle of the wanted ratio inside a picture, rounded outwards to whole pixels. */
export function getCentredCrop(
  picture: Size,
  wanted: Size,
): { readonly left: number; readonly top: number; readonly width: number; readonly height: number } {
  const ratio = wanted.width / wanted.height;
  const width = Math.min(picture.width, Math.ceil(picture.height * ratio));
  const height = Math.min(picture.height, Math.ceil(picture.width / ratio));
  return {
    width,
    height,
    left: Math.floor((picture.width - width) / 2),
    top: Math.floor((picture.height - height) / 2),
  };
}

/** Scales a picture (Lanczos) until it covers the wanted size and cuts what is too much, around the centre. */
export async function fitPicture(picture: Picture, wanted: Size): Promise<Picture> {
  const { width, height } = wanted;
  if (picture.width === width && picture.height === height) return picture;
  const rgb = await sharp(picture.rgb, { raw: { width: picture.width, height: picture.height, channels: 3 } })
    .resize(width, height, { fit: "cover", kernel: "lanczos3" })
    .raw()
    .toBuffer();
  return { rgb, width, height };
}
