import assert from "node:assert/strict";
import { test } from "node:test";
import { decodeFloat16, encodeFloat16 } from "./float16.ts";

test("every half precision number survives the way through float32", () => {
  const bits = Uint16Array.from({ length: 0x10000 }, (_, i) => i);
  const values = decodeFloat16(bits);
  const back = encodeFloat16(values);
  for (const [i, value] of values.entries())
    if (!Number.isNaN(value)) assert.equal(back[i], i, `${value}`);
    else assert.ok(Number.isNaN(decodeFloat16(back.slice(i, i + 1))[0]));
});

test("values in between round to the nearest, halves to even, as the engine's own rounding does", () => {
  const Own = (globalThis as { Float16Array?: new (values: Float32Array) => ArrayLike<number> }).Float16Array;
  const values = Float32Array.from(
    { length: 20_000 },
    (_, i) => (i % 2 ? -1 : 1) * (1 + (i % 97) / 97.3) * 2 ** ((i % 48) - 28),
  );
  values.set([65504, 65519.99, 65520, 1e9, 2049, 2051, 2 ** -25, 2 ** -25 * 1.0001, 2 ** -24 * 1.5, -0]);
  assert.ok(Own, "this version of Node has half precision arrays to compare with");
  assert.deepEqual(Array.from(decodeFloat16(encodeFloat16(values))), Array.from(new Own(values)));
});
