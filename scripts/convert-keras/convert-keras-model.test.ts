import assert from "node:assert/strict";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { describe, test } from "node:test";
import { InferenceSession, Tensor } from "onnxruntime-node";
import { convertKerasModel } from "./convert-keras-model.ts";
import { type KerasLayer, type KerasModel, type KerasWeight, readWeights, transpose } from "./keras-model.ts";

describe("converting a Keras model to ONNX", () => {
  test("a convolution with `same` padding pads the bottom and the right, channels last become first", async () => {
    // One output channel that adds the pixel, its right neighbour times 10 and the one below times 100.
    const kernel = new Float32Array(2 * 2 * 3);
    kernel[0] = 1;
    kernel[3] = 10;
    kernel[6] = 100;
    const output = await run(
      [conv("c", { filters: 1, kernel_size: [2, 2], padding: "same" }, "in")],
      [{ name: "c/kernel", shape: [2, 2, 3, 1], dtype: "float32" }],
      kernel,
      { data: Float32Array.of(1, 2, 3, 4, ...Array(8).fill(0)), width: 2, height: 2 },
    );
    assert.deepEqual([...output], [1 + 20 + 300, 2 + 400, 3 + 40, 4]);
  });

  test("quantised kernels give the numbers they stand for", async () => {
    const count = 3 * 1024;
    const bytes = Uint8Array.from({ length: count }, (_, i) => i % 256);
    const quantization = { min: -1, scale: 0.01, dtype: "uint8" };
    const output = await run(
      [conv("c", { filters: 1024, kernel_size: [1, 1], padding: "valid" }, "in")],
      [{ name: "c/kernel", shape: [1, 1, 3, 1024], dtype: "float32", quantization }],
      bytes,
      { data: Float32Array.of(1, 0, 0), width: 1, height: 1 },
    );
    assert.equal(output.length, 1024);
    for (const [i, value] of output.entries())
      assert.ok(Math.abs(value - ((i % 256) * 0.01 - 1)) < 1e-6, `channel ${i} is ${value}`);
  });

  test("half-size kernels stay within half precision", async () => {
    const values = Float32Array.from({ length: 3 * 1024 }, (_, i) => Math.sin(i) * 10 ** -(i % 9));
    const output = await run(
      [conv("c", { filters: 1024, kernel_size: [1, 1], padding: "valid" }, "in")],
      [{ name: "c/kernel", shape: [1, 1, 3, 1024], dtype: "float32" }],
      values,
      { data: Float32Array.of(1, 0, 0), width: 1, height: 1 },
      true,
    );
    for (const [i, value] of output.entries()) {
      const expected = values[i] ?? 0;
      assert.ok(
        Math.abs(value - expected) <= Math.abs(expected) * 2 ** -11 + 2 ** -25,
        `${i}: ${value}, ${expected}`,
      );
    }
  });

  test("flattening keeps the channels-last order that the dense layer was trained on", async () => {
    const layers: KerasLayer[] = [
      layer("f", "Flatten", {}, "in"),
      layer("d", "Dense", { units: 1, activation: "relu" }, "f"),
    ];
    const weights = [
      { name: "d/kernel", shape: [6, 1], dtype: "float32" },
      { name: "d/bias", shape: [1], dtype: "float32" },
    ];
    const output = await run(layers, weights, Float32Array.of(1, 10, 100, 1e3, 1e4, 1e5, 5), {
      data: Float32Array.of(1, 2, 3, 4, 5, 6),
      width: 2,
      height: 1,
    });
    // Channels last, the picture is (1,3,5), (2,4,6).
    assert.deepEqual([...output], [1 + 30 + 500 + 2e3 + 4e4 + 6e5 + 5]);
  });

  test("upscaling layers repeat, concatenations join channels, additions add", async () => {
    const layers: KerasLayer[] = [
      layer("sum", "Add", {}, "in", "in", "in"),
      layer("join", "Concatenate", { axis: 3 }, "sum", "in"),
      layer("up", "UpSampling2D", { size: [2, 2] }, "join"),
    ];
    const input = { data: Float32Array.of(1, 2, 3, 4, 5, 6), width: 2, height: 1 };
    const output = await run(layers, [], new Float32Array(), input);
    assert.deepEqual([...output.slice(0, 8)], [3, 3, 6, 6, 3, 3, 6, 6]);
    assert.deepEqual([...output.slice(24, 32)], [1, 1, 2, 2, 1, 1, 2, 2]);
  });

  test("a layer that is not understood is named, and so are weights that do not fit", async () => {
    const attempt = (layers: KerasLayer[], weights: KerasWeight[] = [], block = new Uint8Array()) =>
      convertKerasModel(createModel(layers, weights), block, createOptions(false));
    assert.throws(() => attempt([layer("odd", "LSTM", {}, "in")]), /odd is a LSTM/);
    assert.throws(() => attempt([conv("c", { kernel_size: [1, 1] }, "in")]), /no weight "c\/kernel"/);
    const weights = [{ name: "w", shape: [4], dtype: "float32" }];
    assert.throws(() => readWeights(createModel([], weights), new Uint8Array(12)), /end before w/);
    assert.throws(() => readWeights(createModel([], weights), new Uint8Array(20)), /4 bytes .* left over/);
  });

  test("transposing moves every number to its place", () => {
    const values = Float32Array.from({ length: 24 }, (_, i) => i);
    const turned = transpose({ shape: [2, 3, 4], values }, [2, 0, 1]);
    assert.deepEqual(turned.shape, [4, 2, 3]);
    for (let a = 0; a < 2; a++)
      for (let b = 0; b < 3; b++)
        for (let c = 0; c < 4; c++) assert.equal(turned.values[c * 6 + a * 3 + b], a * 12 + b * 4 + c);
  });
});

interface Input {
  readonly data: Float32Array;
  readonly width: number;
  readonly height: number;
}

async function run(
  layers: readonly KerasLayer[],
  weights: readonly KerasWeight[],
  values: Float32Array | Uint8Array,
  input: Input,
  halfWeights = false,
): Promise<Float32Array> {
  const block = new Uint8Array(values.buffer, values.byteOffset, values.byteLength);
  const bytes = convertKerasModel(createModel(layers, weights), block, createOptions(halfWeights));
  const folder = await mkdtemp(join(tmpdir(), "sluice-keras-"));
  try {
    const path = join(folder, "model.onnx");
    await writeFile(path, bytes);
    const session = await InferenceSession.create(path, { logSeverityLevel: 3 });
    const tensor = new Tensor("float32", input.data, [1, 3, input.height, input.width]);
    const output = await session.run({ pixels: tensor });
    await session.release();
    return output["out"]?.data as Float32Array;
  } finally {
    await rm(folder, { recursive: true });
  }
}

function createOptions(halfWeights: boolean) {
  const shape = ["B", 3, "H", "W"];
  return {
    name: "test",
    inputName: "pixels",
    inputShape: shape,
    outputName: "out",
    outputShape: [],
    halfWeights,
  };
}

function createModel(layers: readonly KerasLayer[], weights: readonly KerasWeight[]): KerasModel {
  const all = [layer("in", "InputLayer", {}), ...layers];
  const config = { layers: all, input_layers: [["in"]], output_layers: [[all.at(-1)?.name ?? ""]] } as const;
  return { modelTopology: { config }, weightsManifest: [{ weights }] };
}

function layer(name: string, kind: string, config: Record<string, unknown>, ...from: string[]): KerasLayer {
  return {
    name,
    class_name: kind,
    config,
    inbound_nodes: from.length > 0 ? [from.map((item) => [item] as const)] : [],
  };
}

function conv(name: string, config: Record<string, unknown>, from: string): KerasLayer {
  return layer(name, "Conv2D", { strides: [1, 1], activation: "linear", ...config }, from);
}
