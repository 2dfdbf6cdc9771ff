import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { deflateSync } from "node:zlib";
import sharp from "sharp";
import { isModelError, type ModelError } from "../model/model-error.ts";
import { decodeImage } from "./decode-image.ts";
import { createPngChunk } from "./png-text.ts";

const loc = ["body", "image_url"];
const base = () =>
  sharp({ create: { width: 30, height: 20, channels: 3, background: { r: 200, g: 20, b: 40 } } });

describe("decoding a caller's picture", () => {
  for (const format of ["jpeg", "png", "webp", "gif", "avif"] as const)
    test(`reads ${format} as 8-bit RGB`, async () => {
      const picture = await decodeImage(await base().toFormat(format).toBuffer(), { loc });
      assert.deepEqual([picture.width, picture.height, picture.rgb.length], [30, 20, 1800]);
      assert.ok(Math.abs((picture.rgb[0] ?? 0) - 200) < 12 && (picture.rgb[1] ?? 255) < 40);
    });

  test("grey, 16-bit, CMYK and transparent pictures become RGB on white", async () => {
    const clear = sharp({ create: { width: 4, height: 4, channels: 4, background: "#ff000000" } });
    const inputs = [
      await base().greyscale().png().toBuffer(),
      await base().toColourspace("rgb16").png().toBuffer(),
      await base().toColourspace("cmyk").jpeg().toBuffer(),
      await base().png({ palette: true }).toBuffer(),
      await clear.png().toBuffer(),
    ];
    for (const bytes of inputs) {
      const { rgb, width, height } = await decodeImage(bytes, { loc });
      assert.equal(rgb.length, width * height * 3);
    }
    assert.deepEqual(new Set((await decodeImage(inputs.at(-1) as Buffer, { loc })).rgb), new Set([255]));
  });

  test("a photograph taken sideways is turned upright", async () => {
    const bytes = await base().jpeg().withMetadata({ orientation: 6 }).toBuffer();
    const picture = await decodeImage(bytes, { loc });
    assert.deepEqual([picture.width, picture.height], [20, 30]);
  });

  test("what is no picture, is cut off, or is SVG is an image_load_error on the field", async () => {
    const noise = Buffer.from(Array.from({ length: 3000 }, (_, i) => (i * 7919) % 256));
    const real = await sharp(noise, { raw: { width: 50, height: 20, channels: 3 } })
      .png()
      .toBuffer();
    const jpeg = await sharp(noise, { raw: { width: 50, height: 20, channels: 3 } })
      .jpeg()
      .toBuffer();
    const inputs = {
      empty: Buffer.alloc(0),
      text: Buffer.from("hello"),
      svg: Buffer.from('<svg xmlns="http://www.w3.org/2000/svg" width="10" height="10"/>'),
      "svg with a prolog": Buffer.from('<?xml version="1.0"?><svg xmlns="http://www.w3.org/2000/svg"/>'),
      tiff: await base().tiff().toBuffer(),
      "signature only": real.subarray(0, 8),
      "truncated png": real.subarray(0, real.length / 2),
      "truncated jpeg": jpeg.subarray(0, jpeg.length / 2),
    };
    for (const [name, bytes] of Object.entries(inputs))
      await assert.rejects(decodeImage(bytes, { loc }), (error) => {
        assert.ok(isModelError(error), name);
        assert.equal(error.status, 422);
        assert.deepEqual([error.detail[0]?.type, error.detail[0]?.loc], ["image_load_error", loc], name);
        return true;
      });
  });

  test("a header that claims too many pixels is refused before anything is decoded", async () => {
    const before = process.memoryUsage().rss;
    const started = performance.now();
    await assert.rejects(decodeImage(createPngBomb(100_000, 100_000), { loc }), (error: ModelError) => {
      return error.detail[0]?.type === "image_too_large" || error.detail[0]?.type === "image_load_error";
    });
    await assert.rejects(
      decodeImage(await base().png().toBuffer(), { loc, maxPixels: 599 }),
      (error: ModelError) => error.detail[0]?.type === "image_too_large",
    );
    assert.ok(performance.now() - started < 2000);
    assert.ok(process.memoryUsage().rss - before < 200e6);
  });
});

/** A PNG whose header promises far more pixels than its few bytes could hold. */
function createPngBomb(width: number, height: number): Buffer {
  const header = Buffer.alloc(13);
  header.writeUInt32BE(width, 0);
  header.writeUInt32BE(height, 4);
  header.set([8, 2, 0, 0, 0], 8);
  const data = deflateSync(Buffer.alloc(1_000_000));
  return Buffer.concat([
    Buffer.from("\x89PNG\r\n\x1a\n", "latin1"),
    createPngChunk("IHDR", header),
    createPngChunk("IDAT", data),
    createPngChunk("IEND", Buffer.alloc(0)),
  ]);
}
