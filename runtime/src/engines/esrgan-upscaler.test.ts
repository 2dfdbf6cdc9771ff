import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { fileURLToPath } from "node:url";
import sharp from "sharp";
import type { Picture } from "./engine.ts";
import { choosePasses, openEsrganUpscaler } from "./esrgan-upscaler.ts";

const folder = fileURLToPath(new URL("../../../models/esrgan/", import.meta.url));
const signal = new AbortController().signal;

describe("the upscaler", () => {
  test("two and four times are closer to the original than Lanczos is", async () => {
    await using upscaler = await openEsrganUpscaler({ folder, threads: 2 });
    const original = await drawScene(256);
    for (const scale of [2, 4]) {
      const small = await resize(original, 256 / scale);
      const ours = await upscaler.upscale(small, { scale, tile: 0, signal });
      assert.deepEqual([ours.width, ours.height], [256, 256]);
      const plain = await resize(small, 256);
      const [better, worse] = [getPsnr(ours, original), getPsnr(plain, original)];
      assert.ok(better > worse + 0.5, `${scale} times: ${better} dB, Lanczos ${worse} dB`);
    }
  });

  test("every scale gives exactly its pixels", async () => {
    await using upscaler = await openEsrganUpscaler({ folder, threads: 2 });
    const small = await resize(await drawScene(64), 30);
    for (const [scale, side] of [
      [1, 30],
      [1.5, 45],
      [3, 90],
      [5.3, 159],
      [8, 240],
    ] as const) {
      const large = await upscaler.upscale(small, { scale, tile: 0, signal });
      assert.deepEqual([large.width, large.height, large.rgb.length], [side, side, side * side * 3]);
    }
    const dot = await upscaler.upscale(
      { rgb: Uint8Array.of(9, 99, 199), width: 1, height: 1 },
      { scale: 2, tile: 0, signal },
    );
    assert.equal(dot.rgb.length, 12);
  });

  test("no seam shows where tiles meet", async () => {
    await using upscaler = await openEsrganUpscaler({ folder, threads: 2 });
    const scene = await resize(await drawScene(256), 150);
    const whole = await upscaler.upscale(scene, { scale: 2, tile: 256, signal });
    let tiles = 0;
    const tiled = await upscaler.upscale(scene, {
      scale: 2,
      tile: 64,
      signal,
      onTile: (_, count) => (tiles = count),
    });
    assert.equal(tiles, 16);
    const largest = whole.rgb.reduce(
      (most, value, i) => Math.max(most, Math.abs(value - (tiled.rgb[i] ?? 0))),
      0,
    );
    assert.ok(largest <= 3, `largest difference ${largest} of 255`);
  });

  test("the network that just reaches a scale is chosen, and large scales take two passes", () => {
    assert.deepEqual(
      [1, 1.5, 2, 2.1, 4, 5, 8].map((scale) => choosePasses([2, 4], scale)),
      [[], [2], [2], [4], [4], [4, 2], [4, 2]],
    );
  });
});

/** Edges, curves and slopes, so that there is something to sharpen. */
async function drawScene(side: number): Promise<Picture> {
  const svg = `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 100 100" width="${side}" height="${side}">
    <rect width="100" height="100" fill="#bde"/><circle cx="35" cy="40" r="25" fill="#c31"/>
    <path d="M5 95 L50 30 L95 95 Z" fill="#285" stroke="#000" stroke-width="2"/>
    <circle cx="70" cy="30" r="14" fill="none" stroke="#fff" stroke-width="4"/>
    <path d="M10 10 h80 M10 14 h80 M10 90 l80 -60" stroke="#222" stroke-width="1"/></svg>`;
  const { data, info } = await sharp(Buffer.from(svg))
    .removeAlpha()
    .raw()
    .toBuffer({ resolveWithObject: true });
  return { rgb: data, width: info.width, height: info.height };
}

async function resize({ rgb, width, height }: Picture, side: number): Promise<Picture> {
  const data = await sharp(rgb, { raw: { width, height, channels: 3 } })
    .resize(side, side, { kernel: side < width ? "cubic" : "lanczos3" })
    .raw()
    .toBuffer();
  return { rgb: data, width: side, height: side };
}

function getPsnr(a: Picture, b: Picture): number {
  const sum = a.rgb.reduce((total, value, i) => total + (value - (b.rgb[i] ?? 0)) ** 2, 0);
  return 10 * Math.log10(255 ** 2 / (sum / a.rgb.length));
}
