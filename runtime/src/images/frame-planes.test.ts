import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { framePlanes } from "./frame-planes.ts";
import type { Planes } from "./planes.ts";

/** Value = position, so that every pixel tells where it came from. */
function number(width: number, height: number): Planes {
  return { data: Float32Array.from({ length: 3 * width * height }, (_, i) => i), width, height };
}

describe("framing a picture", () => {
  test("a picture of the wanted ratio is left as it is", () => {
    const source = number(12, 9);
    assert.deepEqual(framePlanes(source, { width: 1024, height: 768 }), source);
  });

  test("a small difference is cut off around the centre", () => {
    const framed = framePlanes(number(100, 100), { width: 100, height: 90 });
    assert.deepEqual([framed.width, framed.height], [100, 90]);
    assert.equal(framed.data[0], 5 * 100);
    const turned = framePlanes(number(100, 100), { width: 90, height: 100 });
    assert.deepEqual([turned.width, turned.height, turned.data[0]], [90, 100, 5]);
  });

  for (const [width, height] of [
    [300, 100],
    [100, 300],
    [4096, 1024],
    [320, 4096],
  ] as const)
    test(`${width}x${height}: at most 15 % is cut and the rest is continued`, () => {
      const source = number(64, 64);
      const framed = framePlanes(source, { width, height });
      const ratio = width / height;
      assert.ok(
        Math.abs(framed.width / framed.height / ratio - 1) < 0.03,
        `${framed.width}x${framed.height}`,
      );
      assert.ok(Math.max(framed.width, framed.height) <= 64 * 6 + 1);
      assert.equal(
        Math.min(framed.width, framed.height),
        Math.round(64 * Math.min(0.85, 6 / Math.max(ratio, 1 / ratio))),
      );
      // The middle of the source is the middle of the result.
      const middle =
        framed.data[Math.floor(framed.height / 2) * framed.width + Math.floor(framed.width / 2)] ?? -1;
      assert.ok(
        Math.abs(Math.floor(middle / 64) - 32) <= 1 && Math.abs((middle % 64) - 32) <= 1,
        `${middle}`,
      );
    });

  test("a plain background goes on as it is, whatever the ratio", () => {
    const data = new Float32Array(3 * 40 * 30).fill(0.25);
    for (const size of [
      { width: 1000, height: 10 },
      { width: 10, height: 1000 },
      { width: 1, height: 1 },
      { width: 4096, height: 1 },
    ]) {
      const framed = framePlanes({ data, width: 40, height: 30 }, size);
      assert.ok(framed.width >= 1 && framed.height >= 1);
      assert.ok(framed.data.every((value) => Math.abs(value - 0.25) < 1e-6));
    }
  });

  test("sky stays above grass where the picture is continued", () => {
    const [width, height] = [32, 32];
    const data = Float32Array.from({ length: 3 * width * height }, (_, i) =>
      (i / width) % height < 16 ? 1 : -1,
    );
    const framed = framePlanes({ data, width, height }, { width: 128, height: 32 });
    const at = (x: number, y: number) => framed.data[y * framed.width + x] ?? 0;
    for (const x of [0, framed.width - 1]) {
      assert.ok(
        at(x, 0) > 0.5 && at(x, framed.height - 1) < -0.5,
        `${at(x, 0)}, ${at(x, framed.height - 1)}`,
      );
    }
  });
});
