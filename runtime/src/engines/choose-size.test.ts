import assert from "node:assert/strict";
import { test } from "node:test";
import { chooseSize } from "./choose-size.ts";

const limits = { steps: { min: 1, max: 4, default: 4 }, maxSide: 2048, maxArea: 2 ** 21, multipleOf: 16 };

test("sizes are snapped down, kept within the limits and never below what can be drawn", () => {
  const cases: [[number, number], [number, number]][] = [
    [
      [1024, 768],
      [1024, 768],
    ],
    [
      [1000, 777],
      [992, 768],
    ],
    [
      [1, 1],
      [64, 64],
    ],
    [
      [4096, 1024],
      [2048, 512],
    ],
    [
      [2048, 2048],
      [1440, 1440],
    ],
    [
      [2048, 1024],
      [2048, 1024],
    ],
    [
      [4096, 16],
      [2048, 64],
    ],
  ];
  for (const [[width, height], [w, h]] of cases)
    assert.deepEqual(chooseSize({ width, height }, limits), { width: w, height: h }, `${width}x${height}`);
});
