import sharp from "sharp";
import type { Picture } from "../engines/engine.ts";

export interface Size {
  readonly width: number;
  readonly height: number;
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
