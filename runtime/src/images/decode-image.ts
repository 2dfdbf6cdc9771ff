import sharp from "sharp";
import type { Picture } from "../engines/engine.ts";
import { createModelError, type ModelError } from "../model/model-error.ts";

export interface DecodeOptions {
  /** The field that named the picture, for errors. */
  readonly loc: readonly (string | number)[];
  /** Pixels; checked in the header, before anything is decoded. Default 25 million. */
  readonly maxPixels?: number;
}

const DEFAULT_MAX_PIXELS = 25_000_000;

/**
 * Turns a caller's JPEG, PNG, WebP, GIF or AVIF file into upright 8-bit RGB on white; the first frame of an
 * animation. Other formats, SVG above all, never reach a decoder.
 * @throws ModelError `image_load_error` or `image_too_large` on the field
 */
export async function decodeImage(bytes: Uint8Array, options: DecodeOptions): Promise<Picture> {
  const { loc, maxPixels = DEFAULT_MAX_PIXELS } = options;
  if (!hasKnownSignature(bytes))
    throw createModelError("image_load_error", loc, {
      msg: "Image load error: the file is not a JPEG, PNG, WebP, GIF or AVIF picture. Convert it to one of these.",
    });
  try {
    const image = sharp(bytes, { limitInputPixels: false, failOn: "error", unlimited: false });
    const { width, height } = await image.metadata();
    if (width * height > maxPixels) throw createTooLarge(loc, width, height, maxPixels);
    const { data, info } = await image
      .autoOrient()
      .flatten({ background: "white" })
      .toColourspace("srgb")
      .raw({ depth: "uchar" })
      .toBuffer({ resolveWithObject: true });
    return { rgb: data, width: info.width, height: info.height };
  } catch (cause) {
    if (cause instanceof Error && cause.name === "ModelError") throw cause;
    throw createModelError("image_load_error", loc, {
      msg: "Image load error: the picture is damaged or incomplete. Export it again and retry.",
      cause,
    });
  }
}

function createTooLarge(
  loc: readonly (string | number)[],
  width: number,
  height: number,
  maxPixels: number,
): ModelError {
  const side = Math.floor(Math.sqrt(maxPixels));
  return createModelError("image_too_large", loc, {
    msg: `Image too large: ${width}x${height} has more than ${maxPixels} pixels. Send a smaller one.`,
    ctx: { max_width: side, max_height: side },
  });
}

/** The first bytes of the formats that are let in; anything else is not guessed at. */
function hasKnownSignature(bytes: Uint8Array): boolean {
  const text = Buffer.from(bytes.subarray(0, 16)).toString("latin1");
  return (
    text.startsWith("\xff\xd8\xff") ||
    text.startsWith("\x89PNG\r\n\x1a\n") ||
    text.startsWith("GIF87a") ||
    text.startsWith("GIF89a") ||
    (text.startsWith("RIFF") && text.startsWith("WEBP", 8)) ||
    /^.{4}ftypavi[fs]/s.test(text)
  );
}
