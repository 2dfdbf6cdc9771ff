import assert from "node:assert/strict";
import { describe, test } from "node:test";
import exifr from "exifr";
import sharp from "sharp";
import type { Picture } from "../engines/engine.ts";
import { encodeImage, type ImageFormat } from "./encode-image.ts";
import { DIGITAL_SOURCE_TYPE } from "./xmp-mark.ts";

const FORMATS: readonly ImageFormat[] = ["jpeg", "png", "webp"];
const MADE_BY = 'Sluice, model "tiny" <1> & co';

describe("an encoded picture", () => {
  for (const format of FORMATS) {
    test(`${format}: has the pixels and the type it says`, async () => {
      const { bytes, contentType } = await encodeImage(createGradient(), { format });
      const image = await sharp(bytes).metadata();
      assert.deepEqual([image.format, image.width, image.height], [format, 60, 40]);
      assert.equal(contentType, `image/${format}`);
      const pixels = await sharp(bytes).raw().toBuffer();
      const largest = Math.max(...createGradient().rgb.map((value, i) => Math.abs(value - (pixels[i] ?? 0))));
      assert.ok(largest <= (format === "png" ? 0 : 12), `largest difference ${largest}`);
    });

    test(`${format}: equal pixels give equal bytes`, async () => {
      const encode = () => encodeImage(createGradient(), { format, madeBy: MADE_BY });
      const first = await encode();
      await new Promise((resolve) => setTimeout(resolve, 1100));
      assert.deepEqual((await encode()).bytes, first.bytes);
    });
  }

  for (const format of ["jpeg", "png"] as const)
    test(`${format}: an independent reader finds the mark of a model's work`, async () => {
      const { bytes } = await encodeImage(createGradient(), { format, madeBy: MADE_BY });
      const xmp = await exifr.parse(bytes, { xmp: true, mergeOutput: true });
      assert.equal(xmp.DigitalSourceType, DIGITAL_SOURCE_TYPE);
      assert.match(xmp.CreatorTool, /^Sluice/);
    });

  test("webp: the mark is in the XMP chunk", async () => {
    const { bytes } = await encodeImage(createGradient(), { format: "webp", madeBy: MADE_BY });
    const chunk = findWebpChunk(bytes, "XMP ");
    assert.ok(chunk.includes(DIGITAL_SOURCE_TYPE));
    assert.ok(chunk.includes("&quot;tiny&quot; &lt;1&gt; &amp; co"));
  });

  test("jpeg: colour is not subsampled", async () => {
    const { bytes } = await encodeImage(createGradient(), { format: "jpeg" });
    assert.equal((await sharp(bytes).metadata()).chromaSubsampling, "4:4:4");
  });
});

/** Reads the RIFF container by its own rules: tag, little-endian size, body, padding to even. */
function findWebpChunk(bytes: Uint8Array, tag: string): string {
  const file = Buffer.from(bytes);
  for (let at = 12; at < file.length; ) {
    const size = file.readUInt32LE(at + 4);
    if (file.toString("latin1", at, at + 4) === tag) return file.toString("utf8", at + 8, at + 8 + size);
    at += 8 + size + (size % 2);
  }
  throw new Error(`no chunk ${tag}`);
}

function createGradient(): Picture {
  const [width, height] = [60, 40];
  const rgb = new Uint8Array(width * height * 3);
  for (let y = 0; y < height; y++)
    for (let x = 0; x < width; x++) rgb.set([x * 4, y * 6, 255 - x * 2 - y], (y * width + x) * 3);
  return { rgb, width, height };
}
