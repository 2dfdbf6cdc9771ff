import { createHash } from "node:crypto";
import { mkdtemp, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { type OnnxModel, type OnnxNode, type OnnxTensor, writeOnnxModel } from "./onnx-writer.ts";

export interface TinyFolderOptions {
  readonly space: "pixels" | "latents";
  readonly grids: readonly { readonly width: number; readonly height: number }[];
  readonly hasUpscaler: boolean;
}

const WIDTH = 4;
const CELL = 8;

/**
 * Writes a model folder of the tiny-flux family with made-up networks, small enough to be read: the prediction is
 * a tint that the words decide plus a part of the latents, so that every input changes the picture.
 * The caller deletes the folder.
 */
export async function createTinyModelFolder(options: TinyFolderOptions): Promise<string> {
  const folder = await mkdtemp(join(tmpdir(), "sluice-model-"));
  const channels = options.space === "pixels" ? 3 : 6;
  const graphs: Record<string, Uint8Array> = {
    "text.onnx": writeOnnxModel(createTextEncoder()),
    "transformer.onnx": writeOnnxModel(createTransformer(channels)),
  };
  if (options.space === "latents") graphs["decoder.onnx"] = writeOnnxModel(createDecoder(channels));
  if (options.hasUpscaler) graphs["upscaler.onnx"] = writeOnnxModel(createUpscaler());
  graphs["words.json"] = Buffer.from(JSON.stringify({ red: 2, green: 3, blue: 4 }));
  for (const [name, bytes] of Object.entries(graphs)) await writeFile(join(folder, name), bytes);
  await writeFile(join(folder, "config.json"), JSON.stringify(createConfig(options, channels, graphs)));
  return folder;
}

function createConfig(
  options: TinyFolderOptions,
  channels: number,
  files: Readonly<Record<string, Uint8Array>>,
) {
  return {
    family: "tiny-flux",
    version: 1,
    tokenizer: { vocabulary: "words.json", window: 8, padTo: 4, padId: 0, nullId: 1, maxLetters: 4 },
    text: {
      file: "text.onnx",
      inputs: { ids: "tokens" },
      outputs: { hidden: "states", pooled: "pool", mask: "words" },
    },
    transformer: {
      file: "transformer.onnx",
      inputs: { latents: "x", time: "time", hidden: "states", pooled: "pool", mask: "words" },
      outputs: { prediction: "clean" },
      predicts: "clean",
    },
    latents: {
      space: options.space,
      channels,
      cellPixels: options.space === "pixels" ? 1 : CELL,
      grids: options.grids,
    },
    vae:
      options.space === "pixels"
        ? null
        : { file: "decoder.onnx", inputs: { latents: "z" }, outputs: { pixels: "rgb" } },
    upscaler: options.hasUpscaler
      ? {
          file: "upscaler.onnx",
          inputs: { pixels: "rgb" },
          outputs: { pixels: "large" },
          factor: 2,
          passes: 2,
          maxResize: 1,
        }
      : null,
    scheduler: { shift: 2, minSigma: 0.03, steps: { default: 4, min: 1, max: 10 } },
    guidance: {
      kind: "classifier-free",
      offset: 1,
      slope: 0.5,
      min: 1,
      max: 3,
      sigmaRange: [0.3, 1],
    },
    files: Object.fromEntries(
      Object.entries(files).map(([name, bytes]) => [
        name,
        { bytes: bytes.length, sha256: createHash("sha256").update(bytes).digest("hex") },
      ]),
    ),
  };
}

/** A table of word vectors, their mean, and which ids are words. */
function createTextEncoder(): OnnxModel {
  const rows = [
    [0, 0, 0, 0],
    [0, 0, 0, 0],
    [2, -2, -2, 0.5],
    [-2, 2, -2, 0.5],
    [-2, -2, 2, 0.5],
  ];
  return {
    name: "text",
    nodes: [
      node("Gather", ["table", "tokens"], "states"),
      node("Cast", ["tokens"], "numbers", { to: { int: 1 } }),
      node("Sign", ["numbers"], "words"),
      node("ReduceSum", ["states", "axis"], "sum", { keepdims: { int: 0 } }),
      node("ReduceSum", ["words", "axis"], "count", { keepdims: { int: 1 } }),
      node("Div", ["sum", "count"], "pool"),
    ],
    initializers: [floats("table", [rows.length, WIDTH], rows.flat()), ids("axis", [1])],
    inputs: [{ name: "tokens", type: "int64", shape: ["B", "L"] }],
    outputs: [
      { name: "states", type: "float32", shape: ["B", "L", WIDTH] },
      { name: "pool", type: "float32", shape: ["B", WIDTH] },
      { name: "words", type: "float32", shape: ["B", "L"] },
    ],
  };
}

/** clean = 0.3·x + tint(pool) + 0.01·time + 0.001·(sum of states and words), the tint in the first channels. */
function createTransformer(channels: number): OnnxModel {
  const tint = Array.from({ length: WIDTH * channels }, (_, i) =>
    Math.floor(i / channels) === i % channels ? 0.4 : 0,
  );
  return {
    name: "transformer",
    nodes: [
      node("Mul", ["x", "part"], "scaled"),
      node("MatMul", ["pool", "tint"], "colour"),
      node("Reshape", ["colour", "per-channel"], "plane"),
      node("Add", ["scaled", "plane"], "tinted"),
      node("ReduceSum", ["states", "inner"], "state-sum", { keepdims: { int: 0 } }),
      node("ReduceSum", ["words", "last"], "word-sum", { keepdims: { int: 0 } }),
      node("Add", ["state-sum", "word-sum"], "text-sum"),
      node("Mul", ["text-sum", "thousandth"], "text-part"),
      node("Mul", ["time", "hundredth"], "time-part"),
      node("Add", ["text-part", "time-part"], "offset"),
      node("Reshape", ["offset", "per-row"], "shift"),
      node("Add", ["tinted", "shift"], "clean"),
    ],
    initializers: [
      floats("part", [], [0.3]),
      floats("tint", [WIDTH, channels], tint),
      ids("per-channel", [-1, channels, 1, 1]),
      ids("per-row", [-1, 1, 1, 1]),
      ids("inner", [1, 2]),
      ids("last", [1]),
      floats("thousandth", [], [0.001]),
      floats("hundredth", [], [0.01]),
    ],
    inputs: [
      { name: "x", type: "float32", shape: ["B", channels, "h", "w"] },
      { name: "time", type: "float32", shape: ["B"] },
      { name: "states", type: "float32", shape: ["B", "L", WIDTH] },
      { name: "pool", type: "float32", shape: ["B", WIDTH] },
      { name: "words", type: "float32", shape: ["B", "L"] },
    ],
    outputs: [{ name: "clean", type: "float32", shape: ["B", channels, "h", "w"] }],
  };
}

/** The first three channels, each cell repeated, squeezed into -1..1. */
function createDecoder(channels: number): OnnxModel {
  const kernel = Array.from({ length: 3 * channels }, (_, i) =>
    Math.floor(i / channels) === i % channels ? 1 : 0,
  );
  return {
    name: "decoder",
    nodes: [
      node("Conv", ["z", "kernel"], "mixed", { kernel_shape: { ints: [1, 1] } }),
      ...createResize("mixed", "sized"),
      node("Tanh", ["sized"], "rgb"),
    ],
    initializers: [floats("kernel", [3, channels, 1, 1], kernel), floats("scales", [4], [1, 1, CELL, CELL])],
    inputs: [{ name: "z", type: "float32", shape: ["B", channels, "h", "w"] }],
    outputs: [{ name: "rgb", type: "float32", shape: ["B", 3, "H", "W"] }],
  };
}

function createUpscaler(): OnnxModel {
  return {
    name: "upscaler",
    nodes: createResize("rgb", "large"),
    initializers: [floats("scales", [4], [1, 1, 2, 2])],
    inputs: [{ name: "rgb", type: "float32", shape: ["B", 3, "H", "W"] }],
    outputs: [{ name: "large", type: "float32", shape: ["B", 3, "H2", "W2"] }],
  };
}

function createResize(input: string, output: string): OnnxNode[] {
  return [
    node("Resize", [input, "", "scales"], output, {
      mode: { string: "nearest" },
      coordinate_transformation_mode: { string: "asymmetric" },
      nearest_mode: { string: "floor" },
    }),
  ];
}

function node(
  op: string,
  inputs: readonly string[],
  output: string,
  attributes: OnnxNode["attributes"] = {},
): OnnxNode {
  return { op, inputs, outputs: [output], attributes };
}

function floats(name: string, dims: readonly number[], values: readonly number[]): OnnxTensor {
  return { name, type: "float32", dims, data: Float32Array.from(values) };
}

function ids(name: string, values: readonly number[]): OnnxTensor {
  return { name, type: "int64", dims: [values.length], data: BigInt64Array.from(values, BigInt) };
}
