import assert from "node:assert/strict";
import { describe, test } from "node:test";
import type { Planes } from "./planes.ts";
import { upscaleTiles } from "./upscale-tiles.ts";

/** Doubles by repeating, after averaging each pixel with the three around it on its row (it sees 1 px). */
async function double({ data, width, height }: Planes): Promise<Planes> {
  const large = new Float32Array(data.length * 4);
  for (let c = 0; c < 3; c++)
    for (let y = 0; y < height * 2; y++)
      for (let x = 0; x < width * 2; x++) {
        const row = (c * height + (y >> 1)) * width;
        const at = (column: number) => data[row + Math.min(width - 1, Math.max(0, column))] ?? 0;
        large[(c * height * 2 + y) * width * 2 + x] = (at((x >> 1) - 1) + at(x >> 1) + at((x >> 1) + 1)) / 3;
      }
  return { data: large, width: width * 2, height: height * 2 };
}

const signal = new AbortController().signal;

describe("enlarging in tiles", () => {
  for (const [width, height] of [
    [300, 7],
    [65, 200],
    [64, 64],
    [129, 128],
    [1, 1],
  ] as const)
    test(`${width}x${height}: tiles give the same picture as one piece`, async () => {
      const data = Float32Array.from({ length: width * height * 3 }, (_, i) => Math.sin(i * 12.9898) * 40);
      const source = { data, width, height };
      let largest = 0;
      const upscale = (tile: Planes) => {
        largest = Math.max(largest, tile.width, tile.height);
        return double(tile);
      };
      const tiled = await upscaleTiles(source, { upscale, factor: 2, tile: 64, overlap: 4, signal });
      assert.deepEqual(tiled, await double(source));
      assert.ok(largest <= 64, `a tile had ${largest} pixels a side`);
    });

  test("a cancel is heard at the next tile", async () => {
    const controller = new AbortController();
    const source = { data: new Float32Array(3 * 300 * 300), width: 300, height: 300 };
    const onTile = (done: number) => (done === 2 ? controller.abort(new Error("stop")) : undefined);
    await assert.rejects(
      upscaleTiles(source, {
        upscale: double,
        factor: 2,
        tile: 64,
        overlap: 4,
        signal: controller.signal,
        onTile,
      }),
      /stop/,
    );
  });
});
