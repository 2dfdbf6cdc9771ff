/** A Keras model as TensorFlow.js saves it ("layers-model"): a description and one block of weights. */
export interface KerasModel {
  readonly modelTopology: KerasTopology | { readonly model_config: KerasTopology };
  readonly weightsManifest: readonly { readonly weights: readonly KerasWeight[] }[];
}

export interface KerasTopology {
  readonly config: {
    readonly layers: readonly KerasLayer[];
    readonly input_layers: readonly KerasEnd[];
    readonly output_layers: readonly KerasEnd[];
  };
}

type KerasEnd = readonly [layer: string, ...rest: unknown[]];

export interface KerasLayer {
  readonly name: string;
  readonly class_name: string;
  readonly config: Readonly<Record<string, unknown>>;
  readonly inbound_nodes: readonly (readonly KerasEnd[])[];
}

export interface KerasWeight {
  readonly name: string;
  readonly shape: readonly number[];
  readonly dtype: string;
  readonly quantization?: { readonly min: number; readonly scale: number; readonly dtype: string };
}

/** One weight: float32 values, or bytes that stand for `byte · scale + min`. */
export interface WeightValues {
  readonly shape: readonly number[];
  readonly values: Float32Array | Uint8Array;
  readonly quantization?: { readonly min: number; readonly scale: number };
}

export function getTopology(model: KerasModel): KerasTopology {
  return "model_config" in model.modelTopology ? model.modelTopology.model_config : model.modelTopology;
}

/** Splits the block of weights into named ones. @throws RangeError when description and block disagree */
export function readWeights(model: KerasModel, block: Uint8Array): ReadonlyMap<string, WeightValues> {
  const found = new Map<string, WeightValues>();
  let offset = 0;
  for (const weight of model.weightsManifest.flatMap((group) => group.weights)) {
    const count = weight.shape.reduce((product, dim) => product * dim, 1);
    const { quantization } = weight;
    if (quantization !== undefined && quantization.dtype !== "uint8")
      throw new RangeError(`${weight.name} is quantised as ${quantization.dtype}; only uint8 is understood`);
    const size = quantization === undefined ? count * 4 : count;
    // A copy, because the block need not be aligned (and a Buffer cuts without copying).
    const bytes = Uint8Array.from(block.subarray(offset, offset + size));
    if (bytes.length !== size) throw new RangeError(`the weights end before ${weight.name}`);
    const { shape } = weight;
    found.set(
      weight.name,
      quantization === undefined
        ? { shape, values: new Float32Array(bytes.buffer) }
        : { shape, values: bytes, quantization },
    );
    offset += size;
  }
  if (offset !== block.length)
    throw new RangeError(`${block.length - offset} bytes of weights are left over`);
  return found;
}

/** The real numbers of a weight. */
export function toFloats({ values, quantization }: WeightValues): Float32Array {
  if (quantization === undefined) return Float32Array.from(values);
  const { min, scale } = quantization;
  return Float32Array.from(values, (byte) => byte * scale + min);
}

/** Reorders the axes: axis `i` of the result is axis `order[i]` of the source. */
export function transpose(weight: WeightValues, order: readonly number[]): WeightValues {
  const { shape, values } = weight;
  const strides = shape.map((_, axis) => shape.slice(axis + 1).reduce((product, dim) => product * dim, 1));
  const dims = order.map((axis) => shape[axis] as number);
  const result = values.slice();
  const index = dims.map(() => 0);
  for (let target = 0; target < result.length; target++) {
    const source = order.reduce((sum, axis, i) => sum + (index[i] as number) * (strides[axis] as number), 0);
    result[target] = values[source] as number;
    for (let i = dims.length - 1; i >= 0; i--) {
      index[i] = (index[i] as number) + 1;
      if ((index[i] as number) < (dims[i] as number)) break;
      index[i] = 0;
    }
  }
  return { ...weight, shape: dims, values: result };
}
