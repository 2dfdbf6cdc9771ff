import sharp, { type Sharp } from "sharp";
import type { Picture } from "../engines/engine.ts";
import { addPngText } from "./png-text.ts";
import { createXmpMark } from "./xmp-mark.ts";

export type ImageFormat = "jpeg" | "png" | "webp";

export interface EncodeOptions {
  readonly format: ImageFormat;
  /** Marks the picture as made by a model; names the program and the model. Default: no mark. */
  readonly madeBy?: string;
}

export interface EncodedImage {
  readonly bytes: Uint8Array;
  readonly contentType: string;
  /** For file names, without a dot. */
  readonly extension: string;
}

/**
 * Encodes pixels: JPEG at quality 95 without chroma subsampling, PNG, or WebP at quality 95. Equal pixels give
 * equal bytes.
 */
export async function encodeImage(
  picture: Picture,
  { format, madeBy }: EncodeOptions,
): Promise<EncodedImage> {
  const { rgb, width, height } = picture;
  const mark = madeBy === undefined ? undefined : createXmpMark(madeBy);
  const image = sharp(rgb, { raw: { width, height, channels: 3 } });
  const marked = mark === undefined || format === "png" ? image : image.withXmp(mark);
  const bytes = await compress(marked, format);
  return {
    bytes: mark === undefined || format !== "png" ? bytes : addPngText(bytes, "XML:com.adobe.xmp", mark),
    contentType: `image/${format}`,
    extension: format,
  };
}

function compress(image: Sharp, format: ImageFormat): Promise<Uint8Array> {
  switch (format) {
    case "jpeg":
      return image.jpeg({ quality: 95, chromaSubsampling: "4:4:4" }).toBuffer();
    case "png":
      return image.png().toBuffer();
    case "webp":
      return image.webp({ quality: 95 }).toBuffer();
    default:
      throw format satisfies never;
  }
}
