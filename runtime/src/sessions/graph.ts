import { EngineError } from "../engines/engine.ts";
import { decodeFloat16, encodeFloat16 } from "./float16.ts";
import type { Session, TensorInfo } from "./session.ts";
import type { Tensor } from "./tensor.ts";

/**
 * One network of a pipeline under the names that its family uses. Exporters disagree on element types and on axes
 * of length 1, so values are given as plain numbers and brought to what the graph's own description asks for.
 */
export interface Graph extends AsyncDisposable {
  /** Whether the graph has this optional input. */
  hasInput(name: string): boolean;
  /** Names of what it returns, after overrides. */
  readonly outputs: readonly string[];
  /** The size of an axis of an input where the graph fixes it. */
  getFixedSize(input: string, axis: number): number | undefined;
  /** How many axes an input has. */
  getRank(input: string): number;
  /**
   * Runs the graph for several rows (one per prompt), in one go where the graph allows it.
   * @returns the outputs of each row
   */
  runRows(rows: readonly Feeds[]): Promise<readonly Answer[]>;
  /** Runs the graph for one row. */
  run(feeds: Feeds): Promise<Answer>;
}

export type Feeds = Readonly<Record<string, Values>>;

/** Numbers for an input, row-major. */
export interface Values {
  readonly data: ArrayLike<number>;
  readonly dims: readonly number[];
  /** The same for all rows and without a batch axis, as position ids are. */
  readonly isShared?: boolean;
}

export interface Floats {
  readonly data: Float32Array;
  readonly dims: readonly number[];
}

/** Outputs by name. */
export type Answer = (name: string) => Floats;

/** What a family expects of a graph. */
export interface Signature {
  readonly inputs: readonly string[];
  /** Inputs that only some exports have. */
  readonly optional?: readonly string[];
  /** Each entry lists alternatives, of which one must be there. */
  readonly outputs: readonly (readonly string[])[];
}

/** Names that the graph uses, by the names that its family uses. */
export interface GraphNames {
  readonly inputs?: Readonly<Record<string, string>>;
  readonly outputs?: Readonly<Record<string, string>>;
}

/**
 * Puts a session under its family's names.
 * @throws EngineError with a list of what was found and what was expected, when they do not fit
 */
export function createGraph(session: Session, signature: Signature, names: GraphNames = {}): Graph {
  const inputOf = (name: string) => names.inputs?.[name] ?? name;
  checkSignature(session, signature, names);
  const infos = new Map(
    [...signature.inputs, ...(signature.optional ?? [])].flatMap((name) => {
      const info = session.inputs.find((input) => input.name === inputOf(name));
      return info === undefined ? [] : [[name, info] as const];
    }),
  );
  const getInfo = (name: string): TensorInfo => {
    const info = infos.get(name);
    if (info === undefined) throw new TypeError(`the graph ${session.path} has no input "${name}"`);
    return info;
  };
  const returned = new Map(
    session.outputs.map(({ name }) => {
      const own = Object.entries(names.outputs ?? {}).find(([, used]) => used === name);
      return [own?.[0] ?? name, name] as const;
    }),
  );
  const getFixedSize = (name: string, axis: number) => {
    const size = getInfo(name).shape[axis];
    return typeof size === "number" && size > 0 ? size : undefined;
  };

  const runOnce = async (rows: readonly Feeds[]): Promise<Answer[]> => {
    const feeds: Record<string, Tensor> = {};
    for (const [name, info] of infos) {
      const values = rows.map((row) => row[name]).filter((value) => value !== undefined);
      if (values.length !== rows.length)
        throw new EngineError("failed", `The graph ${session.path} was given no "${name}".`);
      feeds[info.name] = createTensor(info, stackValues(info, values));
    }
    const outputs = await session.run(feeds);
    return rows.map((_, row) => (name) => {
      const tensor = outputs[returned.get(name) ?? name];
      if (tensor === undefined)
        throw new EngineError(
          "failed",
          `The graph ${session.path} returned no "${name}"; it returned ${[...returned.keys()].join(", ")}.`,
        );
      return takeFloats(tensor, row, rows.length);
    });
  };

  return {
    outputs: [...returned.keys()],
    hasInput: (name) => infos.has(name),
    getFixedSize,
    getRank: (name) => getInfo(name).shape.length,
    async run(feeds) {
      const [answer] = await runOnce([feeds]);
      return answer as Answer;
    },
    async runRows(rows) {
      const isFixed = [...infos].some(
        ([name, { shape }]) => rows[0]?.[name]?.isShared !== true && shape.length > 0 && shape[0] === 1,
      );
      if (rows.length <= 1 || !isFixed) return runOnce(rows);
      const answers: Answer[] = [];
      for (const row of rows) answers.push(...(await runOnce([row])));
      return answers;
    },
    [Symbol.asyncDispose]: () => session[Symbol.asyncDispose]() as Promise<void>,
  };
}

/**
 * Whether a graph has the inputs and outputs of its family.
 * @throws EngineError with a list of what was found and what was expected
 */
export function checkSignature(
  session: {
    readonly path: string;
    readonly inputs: readonly { readonly name: string }[];
    readonly outputs: readonly { readonly name: string }[];
  },
  { inputs, optional = [], outputs }: Signature,
  names: GraphNames = {},
): void {
  const inputOf = (name: string) => names.inputs?.[name] ?? name;
  const outputOf = (name: string) => names.outputs?.[name] ?? name;
  const found = session.inputs.map((info) => info.name);
  const known = new Set([...inputs, ...optional].map(inputOf));
  const returned = session.outputs.map((info) => info.name);
  const problems = [
    ...inputs.filter((name) => !found.includes(inputOf(name))).map((name) => `input "${name}" is missing`),
    ...found.filter((name) => !known.has(name)).map((name) => `input "${name}" is not known`),
    ...outputs
      .filter((names) => !names.some((name) => returned.includes(outputOf(name))))
      .map((names) => `output ${names.map((name) => `"${name}"`).join(" or ")} is missing`),
  ];
  if (problems.length === 0) return;
  const expected = [...inputs, ...optional.map((name) => `${name} (optional)`)].join(", ");
  throw new EngineError(
    "failed",
    `The graph ${session.path} does not fit its family: ${problems.join("; ")}. ` +
      `Inputs found: ${found.join(", ")}; expected: ${expected}. ` +
      `Outputs found: ${returned.join(", ")}; expected: ${outputs.map((names) => names.join(" or ")).join(", ")}. ` +
      "If only names differ, say so in engine.json; else export the model again.",
  );
}

/** One value per row becomes one with a longer first axis; axes of length 1 come and go as the graph has them. */
function stackValues(info: TensorInfo, rows: readonly Values[]): Values {
  const [first] = rows;
  if (first === undefined) throw new RangeError("a graph needs at least one row");
  const isStacked = rows.length > 1 && first.isShared !== true && info.shape.length > 0;
  const data = isStacked ? joinRows(rows) : first.data;
  const dims = isStacked ? [(first.dims[0] ?? 1) * rows.length, ...first.dims.slice(1)] : [...first.dims];
  while (dims.length < info.shape.length && first.isShared === true) dims.unshift(1);
  while (dims.length > info.shape.length && dims[0] === 1) dims.shift();
  if (dims.length !== info.shape.length)
    throw new EngineError(
      "failed",
      `The input "${info.name}" has ${info.shape.length} axes [${info.shape}], but this family gives it ${dims.length} [${dims}].`,
    );
  const wrong = info.shape.findIndex((size, i) => typeof size === "number" && size > 0 && size !== dims[i]);
  if (wrong >= 0)
    throw new EngineError(
      "failed",
      `The input "${info.name}" is fixed to [${info.shape}], but [${dims}] is needed. ` +
        "Choose the size that the graph was exported for, or export it with free sizes.",
    );
  return { data, dims };
}

function joinRows(rows: readonly Values[]): Float32Array {
  const size = rows[0]?.data.length ?? 0;
  const joined = new Float32Array(size * rows.length);
  for (const [row, { data }] of rows.entries()) joined.set(data, row * size);
  return joined;
}

function createTensor(info: TensorInfo, { data, dims }: Values): Tensor {
  const toFloats = () => (data instanceof Float32Array ? data : Float32Array.from(data));
  switch (info.type) {
    case "float32":
      return { type: "float32", dims, data: toFloats() };
    case "float16":
      return { type: "float16", dims, data: encodeFloat16(toFloats()) };
    case "float64":
      return { type: "float64", dims, data: Float64Array.from(data) };
    case "int64":
      return {
        type: "int64",
        dims,
        data: BigInt64Array.from(Array.from(data, (value) => BigInt(Math.round(value)))),
      };
    case "int32":
      return { type: "int32", dims, data: Int32Array.from(data, Math.round) };
    case "bool":
      return { type: "bool", dims, data: Uint8Array.from(data, (value) => (value === 0 ? 0 : 1)) };
    default:
      throw new EngineError(
        "failed",
        `The input "${info.name}" is ${info.type}, which no family of models uses. Export it with float32 or float16.`,
      );
  }
}

function takeFloats(tensor: Tensor, row: number, rows: number): Floats {
  const [batch = 1, ...rest] = tensor.dims;
  if (batch % rows !== 0)
    throw new EngineError("failed", `An output [${tensor.dims}] cannot be divided into ${rows} rows.`);
  const size = tensor.data.length / rows;
  const from = row * size;
  return { data: toFloat32(tensor, from, from + size), dims: [batch / rows, ...rest] };
}

function toFloat32({ type, data }: Tensor, from: number, to: number): Float32Array {
  if (data instanceof Float32Array) return data.slice(from, to);
  if (type === "float16")
    return decodeFloat16(new Uint16Array(data.buffer, data.byteOffset + 2 * from, to - from));
  return Float32Array.from(data.subarray(from, to), Number);
}
