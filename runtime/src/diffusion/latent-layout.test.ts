import assert from "node:assert/strict";
import { test } from "node:test";
import { flattenLatents, packLatents, unflattenLatents, unpackLatents } from "./latent-layout.ts";

const shape = { channels: 3, height: 4, width: 6 };
const latents = { ...shape, data: Float32Array.from({ length: 72 }, (_, i) => i) };

test("squares of 2x2 become tokens with channel, row and column in this order", () => {
  const packed = packLatents(latents);
  for (let c = 0; c < 3; c++)
    for (let i = 0; i < 2; i++)
      for (let j = 0; j < 3; j++)
        for (let dy = 0; dy < 2; dy++)
          for (let dx = 0; dx < 2; dx++)
            assert.equal(
              packed[(i * 3 + j) * 12 + c * 4 + dy * 2 + dx],
              c * 24 + (2 * i + dy) * 6 + 2 * j + dx,
            );
  assert.deepEqual(unpackLatents(packed, shape), latents);
});

test("places become tokens with all their channels", () => {
  const flat = flattenLatents(latents);
  for (let c = 0; c < 3; c++) for (let i = 0; i < 24; i++) assert.equal(flat[i * 3 + c], c * 24 + i);
  assert.deepEqual(unflattenLatents(flat, shape), latents);
});
