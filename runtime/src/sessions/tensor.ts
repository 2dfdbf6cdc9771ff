/** Element types that graphs exchange with us; float16 travels as its bits. */
export type TensorData =
  | Float32Array
  | Float64Array
  | Uint16Array
  | Int8Array
  | Uint8Array
  | Int32Array
  | BigInt64Array;

export type TensorType = "float32" | "float64" | "float16" | "int8" | "uint8" | "bool" | "int32" | "int64";

/** A dense, row-major array as plain data. */
export interface Tensor {
  readonly type: TensorType;
  readonly dims: readonly number[];
  readonly data: TensorData;
}

/** A float32 tensor over `data`, which is not copied. @throws RangeError when sizes disagree */
export function createFloatTensor(data: Float32Array, dims: readonly number[]): Tensor {
  checkSize(data.length, dims);
  return { type: "float32", dims, data };
}

/** An int64 tensor, the type of token ids. @throws RangeError when sizes disagree */
export function createIdTensor(ids: readonly number[], dims: readonly number[]): Tensor {
  checkSize(ids.length, dims);
  return { type: "int64", dims, data: BigInt64Array.from(ids, BigInt) };
}

/** The values of a float32 tensor. @throws TypeError for another type */
export function getFloats(tensor: Tensor): Float32Array {
  if (!(tensor.data instanceof Float32Array))
    throw new TypeError(`expected a float32 tensor, got ${tensor.type}`);
  return tensor.data;
}

/** Row `index` of the first axis, as a tensor with a first axis of 1. Shares memory. */
export function takeRow(tensor: Tensor, index: number): Tensor {
  const [rows = 1, ...rest] = tensor.dims;
  const size = tensor.data.length / rows;
  const data = tensor.data.subarray(index * size, (index + 1) * size) as TensorData;
  return { type: tensor.type, dims: [1, ...rest], data };
}

function checkSize(length: number, dims: readonly number[]): void {
  const size = dims.reduce((product, dim) => product * dim, 1);
  if (size !== length)
    throw new RangeError(`a tensor of shape [${dims}] holds ${size} values, not ${length}`);
}
