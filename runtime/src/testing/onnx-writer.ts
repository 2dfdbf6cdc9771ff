/**
 * Writes ONNX files: what the conversion script and the tests need to make graphs without Python. A model is
 * plain data; the encoding is protobuf, by the field numbers of onnx.proto (ONNX 1.14, operator set 17).
 */
export interface OnnxModel {
  readonly name: string;
  readonly nodes: readonly OnnxNode[];
  readonly initializers: readonly OnnxTensor[];
  readonly inputs: readonly OnnxValue[];
  readonly outputs: readonly OnnxValue[];
  /** Free text about the model, by key. */
  readonly metadata?: Readonly<Record<string, string>>;
}

export interface OnnxNode {
  readonly op: string;
  readonly inputs: readonly string[];
  readonly outputs: readonly string[];
  readonly attributes?: Readonly<Record<string, OnnxAttribute>>;
}

export type OnnxAttribute =
  | { readonly int: number }
  | { readonly float: number }
  | { readonly string: string }
  | { readonly ints: readonly number[] };

export type OnnxType = "float32" | "uint8" | "int8" | "int32" | "int64" | "float16" | "bool";

export interface OnnxTensor {
  readonly name: string;
  readonly type: OnnxType;
  readonly dims: readonly number[];
  /** Little-endian values; float16 as its bits. */
  readonly data: Float32Array | Uint8Array | Int8Array | Int32Array | BigInt64Array | Uint16Array;
  /** Names a file that holds the values, instead of the model itself. */
  readonly external?: { readonly location: string; readonly offset?: number; readonly length?: number };
}

export interface OnnxValue {
  readonly name: string;
  readonly type: OnnxType;
  /** Numbers, or names of sizes that may vary. */
  readonly shape: readonly (number | string)[];
}

const IR_VERSION = 8;
const OPSET = 17;
const ELEMENT_TYPES: Readonly<Record<OnnxType, number>> = {
  float32: 1,
  uint8: 2,
  int8: 3,
  int32: 6,
  int64: 7,
  bool: 9,
  float16: 10,
};

export function writeOnnxModel(model: OnnxModel): Uint8Array {
  const graph = message(
    ...model.nodes.map((node) => field(1, encodeNode(node))),
    field(2, text(model.name)),
    ...model.initializers.map((tensor) => field(5, encodeTensor(tensor))),
    ...model.inputs.map((value) => field(11, encodeValue(value))),
    ...model.outputs.map((value) => field(12, encodeValue(value))),
  );
  return message(
    number(1, IR_VERSION),
    field(7, graph),
    field(8, message(field(1, text("")), number(2, OPSET))),
    ...Object.entries(model.metadata ?? {}).map(([key, value]) =>
      field(14, message(field(1, text(key)), field(2, text(value)))),
    ),
  );
}

function encodeNode({ op, inputs, outputs, attributes = {} }: OnnxNode): Uint8Array {
  return message(
    ...inputs.map((name) => field(1, text(name))),
    ...outputs.map((name) => field(2, text(name))),
    field(3, text(outputs[0] ?? op)),
    field(4, text(op)),
    ...Object.entries(attributes).map(([name, value]) => field(5, encodeAttribute(name, value))),
  );
}

function encodeAttribute(name: string, value: OnnxAttribute): Uint8Array {
  const label = field(1, text(name));
  if ("float" in value) return message(label, float(2, value.float), number(20, 1));
  if ("int" in value) return message(label, number(3, value.int), number(20, 2));
  if ("string" in value) return message(label, field(4, text(value.string)), number(20, 3));
  return message(label, ...value.ints.map((item) => number(8, item)), number(20, 7));
}

function encodeTensor({ name, type, dims, data, external }: OnnxTensor): Uint8Array {
  if (external !== undefined)
    return message(
      ...dims.map((dim) => number(1, dim)),
      number(2, ELEMENT_TYPES[type]),
      field(8, text(name)),
      ...Object.entries(external).map(([key, value]) =>
        field(13, message(field(1, text(key)), field(2, text(String(value))))),
      ),
      number(14, 1),
    );
  const bytes = new Uint8Array(data.buffer, data.byteOffset, data.byteLength);
  return message(
    ...dims.map((dim) => number(1, dim)),
    number(2, ELEMENT_TYPES[type]),
    field(8, text(name)),
    field(9, bytes),
  );
}

function encodeValue({ name, type, shape }: OnnxValue): Uint8Array {
  const dims = shape.map((dim) => field(1, typeof dim === "number" ? number(1, dim) : field(2, text(dim))));
  const tensor = message(number(1, ELEMENT_TYPES[type]), field(2, message(...dims)));
  return message(field(1, text(name)), field(2, field(1, tensor)));
}

const text = (value: string): Uint8Array => Buffer.from(value, "utf8");
const message = (...parts: readonly Uint8Array[]): Uint8Array => Buffer.concat(parts);

/** A field of bytes: strings, packed data, nested messages. */
function field(id: number, body: Uint8Array): Uint8Array {
  return Buffer.concat([varint((id << 3) | 2), varint(body.length), body]);
}

function number(id: number, value: number): Uint8Array {
  return Buffer.concat([varint(id << 3), varint(value)]);
}

function float(id: number, value: number): Uint8Array {
  const body = Buffer.alloc(4);
  body.writeFloatLE(value);
  return Buffer.concat([varint((id << 3) | 5), body]);
}

/** Seven bits a byte, low ones first; negative numbers as 64-bit two's complement. */
function varint(value: number): Uint8Array {
  let rest = BigInt.asUintN(64, BigInt(value));
  const bytes: number[] = [];
  do {
    const low = Number(rest & 0x7fn);
    rest >>= 7n;
    bytes.push(rest === 0n ? low : low | 0x80);
  } while (rest !== 0n);
  return Uint8Array.from(bytes);
}
