import {
  type OnnxModel,
  type OnnxNode,
  type OnnxTensor,
  type OnnxType,
  writeOnnxModel,
} from "./onnx-writer.ts";
import { VOCABULARY_SIZE } from "./tokenizer-folders.ts";

/**
 * Small networks with the inputs and outputs of real ones. What they compute means nothing, but every number of
 * every input counts, and so does its place: a forgotten, swapped or mistyped input gives another picture.
 */
export type Axis = number | string;

export interface Port {
  readonly name: string;
  readonly shape: readonly Axis[];
  readonly type?: OnnxType;
}

export interface NetworkOptions {
  /** The latents, as tokens [B,N,F] or in channels first [B,C,…]. */
  readonly main: Port;
  readonly others: readonly Port[];
  readonly output: string;
  /** For networks that predict noise: most of the prediction is the input, so that a picture is left at the end. */
  readonly isResidual?: boolean;
  /** Type of all ports that name none. */
  readonly type: OnnxType;
  /** Of tokens: products with 1,024 × 1,024 weights, which take time and change nothing; default none. */
  readonly idleProducts?: number;
}

/** What takes the part of a transformer or a UNet: mixes the latents and adds something for every other input. */
export function writeTransformer({
  main,
  others,
  output,
  type,
  isResidual = false,
  idleProducts = 0,
}: NetworkOptions): Uint8Array {
  const graph = createGraph("transformer");
  const x = graph.toFloat(main.name, main.type ?? type);
  const channels = Number(main.shape[main.shape.length === 3 ? 2 : 1]);
  const rank = main.shape.length;
  let mixed: string;
  if (rank === 3)
    mixed = graph.add("MatMul", [x, graph.weights([channels, channels], 0.4 / Math.sqrt(channels))]);
  else {
    const kernel = rank === 5 ? [1, 3, 3] : [3, 3];
    const pads = rank === 5 ? [0, 1, 1, 0, 1, 1] : [1, 1, 1, 1];
    const weights = graph.weights([channels, channels, ...kernel], 0.4 / Math.sqrt(9 * channels));
    mixed = graph.add("Conv", [x, weights], { kernel_shape: { ints: kernel }, pads: { ints: pads } });
  }
  if (idleProducts > 0) mixed = addIdleProducts(graph, mixed, { channels, count: idleProducts });
  if (isResidual) {
    const part = graph.add("Mul", [mixed, graph.floats([], [0.1])]);
    mixed = graph.add("Add", [graph.add("Mul", [x, graph.floats([], [0.97])]), part]);
  }
  const pattern = graph.weights(
    rank === 3 ? [channels] : [channels, ...Array(rank - 2).fill(1)],
    isResidual ? 0.1 : 1,
  );
  for (const port of others) {
    const term = addTerm(graph, port, port.type ?? type, rank);
    mixed = graph.add("Add", [mixed, graph.add("Mul", [term, pattern])]);
  }
  return graph.finish({
    inputs: [main, ...others].map((port) => ({ ...port, type: port.type ?? type })),
    outputs: [{ name: output, shape: main.shape, value: mixed }],
    type,
  });
}

/** One number per row that depends on every value of an input and on their order. */
function addTerm(graph: GraphBuilder, { name, shape }: Port, type: OnnxType, rank: number): string {
  const values = graph.toFloat(name, type);
  const scale = /time|guidance/.test(name) ? 0.7 : 0.05;
  const isBatched = shape[0] === "B" && shape.length > 0;
  const flat = graph.add("Reshape", [values, graph.ids(isBatched ? [0, -1] : [1, -1])]);
  const sums = graph.add("CumSum", [graph.add("Mul", [flat, graph.floats([], [scale])]), graph.scalarId(1)]);
  const waves = graph.add("Sin", [sums]);
  const mean = graph.add("ReduceMean", [waves], { axes: { ints: [1] }, keepdims: { int: 1 } });
  return graph.add("Reshape", [mean, graph.ids([-1, ...Array(rank - 1).fill(1)])]);
}

function addIdleProducts(
  graph: GraphBuilder,
  tokens: string,
  { channels, count }: { readonly channels: number; readonly count: number },
): string {
  const wide = 1024;
  const weights = graph.weights([wide, wide], 0.01);
  let values = graph.add("MatMul", [tokens, graph.weights([channels, wide], 0.01)]);
  for (let i = 0; i < count; i++) values = graph.add("MatMul", [values, weights]);
  const mean = graph.add("ReduceMean", [values], { axes: { ints: [2] }, keepdims: { int: 1 } });
  return graph.add("Add", [tokens, graph.add("Mul", [mean, graph.floats([], [0])])]);
}

export interface TextEncoderOptions {
  readonly width: number;
  readonly outputs: readonly { readonly name: string; readonly kind: "states" | "pooled" }[];
  readonly type: OnnxType;
  readonly idType: OnnxType;
  /** Ids it reads at most. */
  readonly length: number;
  readonly hasMask?: boolean;
}

/** A table of vectors by id, moved by their place; each output is another function of it. */
export function writeTextEncoder(options: TextEncoderOptions): Uint8Array {
  const { width, outputs, type, idType, length, hasMask = false } = options;
  const graph = createGraph("text-encoder");
  const looked = graph.add("Gather", [graph.weights([VOCABULARY_SIZE, width], 1), "input_ids"]);
  let placed = graph.add("Add", [looked, graph.weights([length, width], 0.3)]);
  if (hasMask) {
    const mask = graph.add("Unsqueeze", [graph.toFloat("attention_mask", idType), graph.ids([2])]);
    placed = graph.add("Mul", [placed, mask]);
  }
  const values = outputs.map(({ name, kind }, i) => {
    const own = graph.add("Tanh", [graph.add("Mul", [placed, graph.floats([], [1 - i / 10])])]);
    if (kind === "states") return { name, shape: ["B", length, width], value: own };
    const mean = graph.add("ReduceMean", [own], { axes: { ints: [1] }, keepdims: { int: 0 } });
    return { name, shape: ["B", width], value: mean };
  });
  const inputs = [{ name: "input_ids", shape: ["B", length], type: idType }];
  if (hasMask) inputs.push({ name: "attention_mask", shape: ["B", length], type: idType });
  return graph.finish({ inputs, outputs: values, type });
}

export interface VaeNetworkOptions {
  readonly channels: number;
  readonly cell: number;
  readonly input: string;
  readonly output: string;
  readonly type: OnnxType;
}

/** Each latent becomes a square of one colour. `range` is that of real decoders, -1..1, or 0..1 for previews. */
export function writeDecoder(
  options: VaeNetworkOptions & { readonly range?: "signed" | "unit"; readonly gain?: number },
): Uint8Array {
  const { channels, cell, input, output, type, range = "signed", gain = 1 } = options;
  const graph = createGraph("decoder");
  const kernel = graph.weights([3, channels, 1, 1], gain / Math.sqrt(channels));
  const mixed = graph.add("Conv", [graph.toFloat(input, type), kernel], { kernel_shape: { ints: [1, 1] } });
  const sized = graph.add("Resize", [mixed, "", graph.floats([4], [1, 1, cell, cell])], {
    mode: { string: "nearest" },
    coordinate_transformation_mode: { string: "asymmetric" },
    nearest_mode: { string: "floor" },
  });
  const value = graph.add(range === "signed" ? "Tanh" : "Sigmoid", [sized]);
  return graph.finish({
    inputs: [{ name: input, shape: ["B", channels, "h", "w"], type }],
    outputs: [{ name: output, shape: ["B", 3, "H", "W"], value }],
    type,
  });
}

/** The mean colour of each square, in as many channels as are wanted. */
export function writeEncoder(options: VaeNetworkOptions): Uint8Array {
  const { channels, cell, input, output, type } = options;
  const graph = createGraph("encoder");
  const pooled = graph.add("AveragePool", [graph.toFloat(input, type)], {
    kernel_shape: { ints: [cell, cell] },
    strides: { ints: [cell, cell] },
  });
  const value = graph.add("Conv", [pooled, graph.weights([channels, 3, 1, 1], 1)], {
    kernel_shape: { ints: [1, 1] },
  });
  return graph.finish({
    inputs: [{ name: input, shape: ["B", 3, "H", "W"], type }],
    outputs: [{ name: output, shape: ["B", channels, "h", "w"], value }],
    type,
  });
}

interface GraphBuilder {
  add(op: string, inputs: readonly string[], attributes?: OnnxNode["attributes"]): string;
  toFloat(name: string, type: OnnxType): string;
  /** Made-up weights, the same every time. */
  weights(dims: readonly number[], scale: number): string;
  floats(dims: readonly number[], values: readonly number[]): string;
  ids(values: readonly number[]): string;
  scalarId(value: number): string;
  finish(options: {
    readonly inputs: readonly {
      readonly name: string;
      readonly shape: readonly Axis[];
      readonly type: OnnxType;
    }[];
    readonly outputs: readonly {
      readonly name: string;
      readonly shape: readonly Axis[];
      readonly value: string;
    }[];
    readonly type: OnnxType;
  }): Uint8Array;
}

const ELEMENT: Partial<Readonly<Record<OnnxType, number>>> = { float32: 1, float16: 10 };

function createGraph(name: string): GraphBuilder {
  const nodes: OnnxNode[] = [];
  const initializers: OnnxTensor[] = [];
  const addNode = (
    op: string,
    inputs: readonly string[],
    output: string,
    attributes: OnnxNode["attributes"] = {},
  ) => {
    nodes.push({ op, inputs, outputs: [output], attributes });
    return output;
  };
  const add: GraphBuilder["add"] = (op, inputs, attributes) =>
    addNode(op, inputs, `${op.toLowerCase()}-${nodes.length}`, attributes);
  const addTensor = (tensor: Omit<OnnxTensor, "name">) => {
    const id = `weight-${initializers.length}`;
    initializers.push({ name: id, ...tensor });
    return id;
  };
  return {
    add,
    toFloat: (input, type) => (type === "float32" ? input : add("Cast", [input], { to: { int: 1 } })),
    weights(dims, scale) {
      const count = dims.reduce((product, size) => product * size, 1);
      const salt = initializers.length * 7.31 + 1;
      const data = Float32Array.from({ length: count }, (_, i) => {
        const wave = Math.sin(i * 12.9898 + salt) * 43758.5453;
        return scale * 2 * (wave - Math.floor(wave) - 0.5);
      });
      return addTensor({ type: "float32", dims, data });
    },
    floats: (dims, values) => addTensor({ type: "float32", dims, data: Float32Array.from(values) }),
    ids: (values) =>
      addTensor({ type: "int64", dims: [values.length], data: BigInt64Array.from(values, BigInt) }),
    scalarId: (value) => addTensor({ type: "int64", dims: [], data: BigInt64Array.of(BigInt(value)) }),
    finish({ inputs, outputs, type }) {
      for (const output of outputs)
        if (type === "float32") addNode("Identity", [output.value], output.name);
        else addNode("Cast", [output.value], output.name, { to: { int: ELEMENT[type] ?? 1 } });
      const model: OnnxModel = {
        name,
        nodes,
        initializers,
        inputs,
        outputs: outputs.map(({ name: id, shape }) => ({ name: id, shape, type })),
      };
      return writeOnnxModel(model);
    },
  };
}
