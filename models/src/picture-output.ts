import type { Picture } from "@sluice/runtime/engines";
import { encodeImage, type ImageFormat } from "@sluice/runtime/images";
import { createArtifact } from "@sluice/runtime/model";
import type { Image } from "./schemas/image.ts";

/** Encodes a finished picture, marked as made by a model, for the runner to store. */
export async function createImage(
  picture: Picture,
  options: { readonly format: ImageFormat; readonly madeBy: string; readonly inline: boolean },
): Promise<Image> {
  const { format, madeBy, inline } = options;
  const { bytes, contentType } = await encodeImage(picture, { format, madeBy });
  return createArtifact({ bytes, contentType, width: picture.width, height: picture.height, inline });
}
