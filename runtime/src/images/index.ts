export { type DecodeOptions, decodeImage } from "./decode-image.ts";
export { type EncodedImage, type EncodeOptions, encodeImage, type ImageFormat } from "./encode-image.ts";
export { fitPicture, type Size } from "./fit-picture.ts";
