import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { readFixture } from "../testing/read-fixture.ts";
import { createNoiseSource, type NoiseType } from "./noise.ts";

interface RandnCase {
  readonly seed: number;
  readonly dtype: NoiseType;
  readonly n: number;
  readonly first: readonly string[];
  readonly last: readonly string[];
  readonly sum: number;
  readonly next20_first4?: readonly string[];
}

const { cases } = readFixture<{ cases: readonly RandnCase[] }>("torch-randn.json");

describe("noise", () => {
  for (const item of cases) {
    test(`seed ${item.seed} gives torch's ${item.n} ${item.dtype} values bit for bit`, () => {
      const source = createNoiseSource(item.seed);
      const values = source.draw(item.n, item.dtype);
      assert.deepEqual(toHex(values.slice(0, item.first.length)), item.first);
      assert.deepEqual(toHex(values.slice(-item.last.length)), item.last);
      const sum = values.reduce((total, value) => total + value, 0);
      assert.ok(Math.abs(sum - item.sum) < 1e-3, `sum ${sum}, expected ${item.sum}`);
      if (item.next20_first4 !== undefined)
        assert.deepEqual(toHex(source.draw(20).slice(0, 4)), item.next20_first4);
    });
  }

  test("seeds that agree in their low 32 bits give the same noise", () => {
    for (const seed of [0, 7, 4294967295])
      assert.deepEqual(createNoiseSource(seed).draw(100), createNoiseSource(seed + 5 * 2 ** 32).draw(100));
  });

  test("neighbouring seeds give unrelated noise with mean 0 and variance 1", () => {
    const a = createNoiseSource(1).draw(65536);
    const b = createNoiseSource(2).draw(65536);
    const mean = (values: Float32Array) => values.reduce((total, value) => total + value, 0) / values.length;
    assert.ok(Math.abs(mean(a)) < 0.02);
    assert.ok(Math.abs(mean(a.map((value) => value * value)) - 1) < 0.03);
    assert.ok(Math.abs(mean(a.map((value, i) => value * (b[i] ?? 0)))) < 0.02);
  });
});

function toHex(values: Float32Array): string[] {
  const view = new DataView(values.buffer, values.byteOffset, values.byteLength);
  return Array.from(values, (_, i) =>
    view
      .getUint32(i * 4, true)
      .toString(16)
      .padStart(8, "0"),
  );
}
