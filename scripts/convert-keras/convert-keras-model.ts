import {
  type OnnxAttribute,
  type OnnxNode,
  type OnnxTensor,
  writeOnnxModel,
} from "@sluice/runtime/testing/onnx-writer";
import {
  getTopology,
  type KerasLayer,
  type KerasModel,
  readWeights,
  toFloats,
  transpose,
  type WeightValues,
} from "./keras-model.ts";

export interface ConvertOptions {
  readonly name: string;
  readonly inputName: string;
  readonly outputName: string;
  /** Shape of the output: four sizes for a picture, two for scores. */
  readonly outputShape: readonly (number | string)[];
  readonly inputShape: readonly (number | string)[];
  /** Stores large float32 kernels as float16 behind a Cast: half the size. Default false. */
  readonly halfWeights?: boolean;
  readonly metadata?: Readonly<Record<string, string>>;
}

/**
 * Turns a Keras layers-model into an ONNX file that takes `[B,3,H,W]`. Keras keeps channels last and ONNX keeps
 * them first, so kernels are transposed; large quantised kernels stay bytes, which the runtime widens at load.
 * @throws RangeError naming a layer that is not understood
 */
export function convertKerasModel(model: KerasModel, block: Uint8Array, options: ConvertOptions): Uint8Array {
  const { config } = getTopology(model);
  const graph = createGraph(readWeights(model, block), options.halfWeights ?? false);
  const outputOf = new Map<string, string>();
  for (const layer of config.layers) {
    const inputs = (layer.inbound_nodes[0] ?? []).map(([name]) => getValue(outputOf, name));
    const isLast = layer.name === config.output_layers[0]?.[0];
    const output = isLast ? options.outputName : layer.name;
    outputOf.set(
      layer.name,
      layer.class_name === "InputLayer" ? options.inputName : convertLayer(graph, layer, inputs, output),
    );
  }
  return writeOnnxModel({
    name: options.name,
    nodes: graph.nodes,
    initializers: graph.initializers,
    inputs: [{ name: options.inputName, type: "float32", shape: options.inputShape }],
    outputs: [{ name: options.outputName, type: "float32", shape: options.outputShape }],
    ...(options.metadata === undefined ? {} : { metadata: options.metadata }),
  });
}

interface Graph {
  readonly nodes: OnnxNode[];
  readonly initializers: OnnxTensor[];
  weight(name: string): WeightValues;
  hasWeight(name: string): boolean;
  /** Adds a constant and returns the name under which nodes find it. */
  addWeight(name: string, weight: WeightValues): string;
  addShape(name: string, values: readonly number[]): string;
  addNode(
    op: string,
    inputs: readonly string[],
    output: string,
    attributes?: Readonly<Record<string, OnnxAttribute>>,
  ): string;
}

/** Kernels from this size on are worth storing small. */
const LARGE = 2048;

function createGraph(weights: ReadonlyMap<string, WeightValues>, halfWeights: boolean): Graph {
  const nodes: OnnxNode[] = [];
  const initializers: OnnxTensor[] = [];
  const addNode: Graph["addNode"] = (op, inputs, output, attributes) => {
    nodes.push({ op, inputs, outputs: [output], ...(attributes === undefined ? {} : { attributes }) });
    return output;
  };
  const addFloats = (name: string, dims: readonly number[], data: Float32Array): string => {
    initializers.push({ name, type: "float32", dims, data });
    return name;
  };
  const widen = (stored: string, name: string) => addNode("Cast", [stored], name, { to: { int: 1 } });
  return {
    nodes,
    initializers,
    addNode,
    hasWeight: (name) => weights.has(name),
    weight(name) {
      const weight = weights.get(name);
      if (weight === undefined) throw new RangeError(`the model has no weight "${name}"`);
      return weight;
    },
    addShape(name, values) {
      const data = BigInt64Array.from(values, BigInt);
      initializers.push({ name, type: "int64", dims: [values.length], data });
      return name;
    },
    addWeight(name, weight) {
      const { shape, values, quantization } = weight;
      if (values.length < LARGE) return addFloats(name, shape, toFloats(weight));
      if (values instanceof Uint8Array && quantization !== undefined) {
        initializers.push({ name: `${name}:bytes`, type: "uint8", dims: shape, data: values });
        const wide = widen(`${name}:bytes`, `${name}:wide`);
        const scale = addFloats(`${name}:scale`, [], Float32Array.of(quantization.scale));
        const min = addFloats(`${name}:min`, [], Float32Array.of(quantization.min));
        return addNode("Add", [addNode("Mul", [wide, scale], `${name}:scaled`), min], name);
      }
      if (!halfWeights) return addFloats(name, shape, toFloats(weight));
      initializers.push({
        name: `${name}:half`,
        type: "float16",
        dims: shape,
        data: toHalf(toFloats(weight)),
      });
      return widen(`${name}:half`, name);
    },
  };
}

function convertLayer(graph: Graph, layer: KerasLayer, inputs: readonly string[], output: string): string {
  const { config, name } = layer;
  const [input = ""] = inputs;
  switch (layer.class_name) {
    case "Conv2D":
      return convertConvolution(graph, layer, input, output, graph.weight(`${name}/kernel`), [3, 2, 0, 1], 1);
    case "DepthwiseConv2D": {
      const kernel = graph.weight(`${name}/depthwise_kernel`);
      if (kernel.shape[3] !== 1) throw new RangeError(`${name}: only a depth multiplier of 1 is understood`);
      return convertConvolution(graph, layer, input, output, kernel, [2, 3, 0, 1], kernel.shape[2] ?? 1);
    }
    case "BatchNormalization": {
      const parts = ["gamma", "beta", "moving_mean", "moving_variance"].map((part) =>
        graph.addWeight(`${name}/${part}`, graph.weight(`${name}/${part}`)),
      );
      const epsilon = { float: config["epsilon"] as number };
      return graph.addNode("BatchNormalization", [input, ...parts], output, { epsilon });
    }
    case "ReLU":
      return convertRelu(graph, input, output, config["max_value"] as number | null);
    case "Activation":
      return convertActivation(graph, config["activation"] as string, input, output);
    case "ZeroPadding2D": {
      const [[top, bottom], [left, right]] = config["padding"] as [[number, number], [number, number]];
      const pads = graph.addShape(`${name}/pads`, [0, 0, top, left, 0, 0, bottom, right]);
      return graph.addNode("Pad", [input, pads], output);
    }
    case "Add":
      return inputs.slice(1).reduce((sum, value, i) => {
        const isLast = i === inputs.length - 2;
        return graph.addNode("Add", [sum, value], isLast ? output : `${output}:${i}`);
      }, input);
    case "Concatenate":
      return graph.addNode("Concat", inputs, output, { axis: { int: 1 } });
    case "UpSampling2D": {
      const [height = 1, width = 1] = config["size"] as number[];
      const scales = { shape: [4], values: Float32Array.of(1, 1, height, width) };
      return graph.addNode("Resize", [input, "", graph.addWeight(`${name}/scales`, scales)], output, {
        mode: { string: "nearest" },
        coordinate_transformation_mode: { string: "asymmetric" },
        nearest_mode: { string: "floor" },
      });
    }
    case "AveragePooling2D":
      return graph.addNode("AveragePool", [input], output, {
        kernel_shape: { ints: config["pool_size"] as number[] },
        strides: { ints: config["strides"] as number[] },
      });
    case "Flatten": {
      const last = graph.addNode("Transpose", [input], `${output}:last`, { perm: { ints: [0, 2, 3, 1] } });
      return graph.addNode("Flatten", [last], output, { axis: { int: 1 } });
    }
    case "Dense": {
      const kernel = graph.addWeight(`${name}/kernel`, graph.weight(`${name}/kernel`));
      const bias = graph.addWeight(`${name}/bias`, graph.weight(`${name}/bias`));
      const sum = graph.addNode("Gemm", [input, kernel, bias], `${output}:sum`);
      return convertActivation(graph, config["activation"] as string, sum, output);
    }
    case "Dropout":
      return graph.addNode("Identity", [input], output);
    default:
      throw new RangeError(`the layer ${name} is a ${layer.class_name}, which is not understood`);
  }
}

function convertConvolution(
  graph: Graph,
  { name, config }: KerasLayer,
  input: string,
  output: string,
  kernel: WeightValues,
  order: readonly number[],
  group: number,
): string {
  const activation = config["activation"] as string;
  const strides = config["strides"] as number[];
  const parts = [graph.addWeight(`${name}/kernel`, transpose(kernel, order))];
  if (graph.hasWeight(`${name}/bias`))
    parts.push(graph.addWeight(`${name}/bias`, graph.weight(`${name}/bias`)));
  // SAME_UPPER is what Keras does: what is odd of the padding goes to the bottom and the right.
  const padding = config["padding"] === "same" ? "SAME_UPPER" : "VALID";
  const isLinear = activation === "linear";
  const sum = graph.addNode("Conv", [input, ...parts], isLinear ? output : `${output}:sum`, {
    kernel_shape: { ints: config["kernel_size"] as number[] },
    strides: { ints: strides },
    auto_pad: { string: padding },
    group: { int: group },
  });
  return isLinear ? sum : convertActivation(graph, activation, sum, output);
}

function convertActivation(graph: Graph, activation: string, input: string, output: string): string {
  const operators: Readonly<Record<string, string>> = {
    linear: "Identity",
    relu: "Relu",
    softmax: "Softmax",
  };
  const op = operators[activation];
  if (op === undefined) throw new RangeError(`${output}: the activation ${activation} is not understood`);
  return graph.addNode(op, [input], output, op === "Softmax" ? { axis: { int: -1 } } : undefined);
}

function convertRelu(graph: Graph, input: string, output: string, max: number | null): string {
  if (max === null) return graph.addNode("Relu", [input], output);
  const bounds = [0, max].map((bound, i) =>
    graph.addWeight(`${output}/bound${i}`, { shape: [], values: Float32Array.of(bound) }),
  );
  return graph.addNode("Clip", [input, ...bounds], output);
}

function getValue(outputOf: ReadonlyMap<string, string>, layer: string): string {
  const value = outputOf.get(layer);
  if (value === undefined) throw new RangeError(`the layer ${layer} is used before it is defined`);
  return value;
}

/** The bits of the nearest float16, ties to even; kernels lie well inside its range. */
function toHalf(values: Float32Array): Uint16Array {
  return Uint16Array.from(values, (value) => {
    const sign = value < 0 || Object.is(value, -0) ? 0x8000 : 0;
    const size = Math.abs(value);
    const exponent = Math.max(Math.floor(Math.log2(size || 1e-9)), -14);
    const scaled = size / 2 ** (exponent - 10);
    const floor = Math.floor(scaled);
    const rest = scaled - floor;
    const steps = rest > 0.5 || (rest === 0.5 && floor % 2 === 1) ? floor + 1 : floor;
    // A mantissa that carries over raises the exponent by itself; below 1024 the number is subnormal.
    return sign | (steps < 1024 ? steps : ((exponent + 14) << 10) + steps);
  });
}
