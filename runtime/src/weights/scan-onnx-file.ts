import { open, stat } from "node:fs/promises";
import { dirname, isAbsolute, join, normalize, sep, win32 } from "node:path";
import { EngineError } from "../engines/engine.ts";

export interface OnnxFileFacts {
  readonly path: string;
  /** The file and everything it refers to. */
  readonly bytes: number;
  /** Weights of the graph; an estimate where several are packed into a byte. */
  readonly parameters: number;
  /** Bytes of weights in half precision. */
  readonly halfBytes: number;
  /** Files beside it that hold weights, as paths. */
  readonly externalFiles: readonly string[];
  readonly inputs: readonly GraphPort[];
  readonly outputs: readonly GraphPort[];
}

/** An input or output of the graph; weights that old exports list as inputs are left out. */
export interface GraphPort {
  readonly name: string;
  /** Number of onnx.proto's element type; 0 for what is no tensor. */
  readonly type: number;
}

/**
 * Reads what an ONNX file says about its weights, without the weights: graphs are made by others, and a graph may
 * name files to be mapped into memory. They must lie in the graph's own folder and be as long as it says.
 * Field numbers are those of onnx.proto.
 * @throws EngineError for a damaged file, a reference out of the folder, and a missing or short file
 */
export async function scanOnnxFile(path: string): Promise<OnnxFileFacts> {
  const reader = await openReader(path);
  const tensors: TensorFacts[] = [];
  const ports = { inputs: [] as GraphPort[], outputs: [] as GraphPort[] };
  try {
    await scanMessage(reader, { start: 0, end: reader.size, kind: "model", tensors, ports });
  } catch (cause) {
    if (cause instanceof EngineError) throw cause;
    if ((await reader.readText(0, Math.min(reader.size, LFS_POINTER.length))) === LFS_POINTER)
      throw new EngineError(
        "failed",
        `The model file ${path} is a pointer of Git LFS, not the file itself. Run \`git lfs pull\` in its folder.`,
      );
    throw new EngineError(
      "failed",
      `The model file ${path} is damaged or incomplete: ${(cause as Error).message}. ${RESTORE}`,
      { cause },
    );
  } finally {
    await reader.close();
  }
  const external = await checkExternalFiles(path, tensors);
  return {
    path,
    bytes: reader.size + [...external.values()].reduce((sum, bytes) => sum + bytes, 0),
    parameters: tensors.reduce((sum, tensor) => sum + countParameters(tensor), 0),
    halfBytes: tensors.reduce((sum, { type, elements }) => sum + (type === FLOAT16 ? 2 * elements : 0), 0),
    externalFiles: [...external.keys()],
    inputs: ports.inputs.filter((port) => !tensors.some((tensor) => tensor.name === port.name)),
    outputs: ports.outputs,
  };
}

const LFS_POINTER = "version https://git-lfs.github.com/spec";
const RESTORE = "Pull the model again.";
const FLOAT16 = 10;
const UINT8 = 2;

interface TensorFacts {
  name: string;
  type: number;
  elements: number;
  readonly external: Map<string, string>;
}

/** Weights of four bits lie in pairs in unsigned bytes. */
function countParameters({ type, elements }: TensorFacts): number {
  return type === UINT8 ? 2 * elements : elements;
}

type Kind =
  | "model"
  | "main"
  | "input"
  | "output"
  | "type"
  | "tensorType"
  | "graph"
  | "node"
  | "attribute"
  | "function"
  | "sparse"
  | "tensor"
  | "entry";

/** Which fields lead to tensors; everything else is skipped. */
const CHILDREN: Readonly<Record<Kind, Readonly<Record<number, Kind>>>> = {
  model: { 7: "main", 25: "function" },
  main: { 1: "node", 5: "tensor", 11: "input", 12: "output", 15: "sparse" },
  input: { 2: "type" },
  output: { 2: "type" },
  type: { 1: "tensorType" },
  tensorType: {},
  graph: { 1: "node", 5: "tensor", 15: "sparse" },
  function: { 7: "node", 11: "attribute" },
  node: { 5: "attribute" },
  attribute: { 5: "tensor", 6: "graph", 10: "tensor", 11: "graph", 22: "sparse", 23: "sparse" },
  sparse: { 1: "tensor", 2: "tensor" },
  tensor: { 13: "entry" },
  entry: {},
};

interface Span {
  readonly start: number;
  readonly end: number;
  readonly kind: Kind;
  readonly tensors: TensorFacts[];
  readonly tensor?: TensorFacts;
  readonly ports: { readonly inputs: GraphPort[]; readonly outputs: GraphPort[] };
  readonly port?: { name: string; type: number };
  readonly depth?: number;
}

async function scanMessage(reader: Reader, span: Span): Promise<void> {
  const { kind, end, tensors, ports, depth = 0 } = span;
  if (depth > 64) throw new RangeError("it is nested too deeply");
  const tensor: TensorFacts | undefined =
    kind === "tensor" ? { name: "", type: 0, elements: 1, external: new Map() } : span.tensor;
  const port = kind === "input" || kind === "output" ? { name: "", type: 0 } : span.port;
  let at = span.start;
  let key = "";
  let value = "";
  while (at < end) {
    const tag = await reader.readVarint(at);
    const [id, wire] = [Math.floor(tag.value / 8), tag.value % 8];
    at = tag.next;
    if (wire === 0) {
      const number = await reader.readVarint(at);
      at = number.next;
      if (kind === "tensor" && tensor !== undefined) {
        if (id === 1) tensor.elements *= number.value;
        if (id === 2) tensor.type = number.value;
      }
      if (kind === "tensorType" && port !== undefined && id === 1) port.type = number.value;
    } else if (wire === 1) at += 8;
    else if (wire === 5) at += 4;
    else if (wire === 2) {
      const length = await reader.readVarint(at);
      const [from, to] = [length.next, length.next + length.value];
      if (to > end) throw new RangeError(`it ends at byte ${end}, but a part of it goes on to ${to}`);
      const child = CHILDREN[kind][id];
      if (child !== undefined)
        await scanMessage(reader, {
          start: from,
          end: to,
          kind: child,
          tensors,
          ports,
          depth: depth + 1,
          ...(tensor === undefined ? {} : { tensor }),
          ...(port === undefined ? {} : { port }),
        });
      else if ((kind === "input" || kind === "output") && port !== undefined && id === 1)
        port.name = await reader.readText(from, to);
      else if (kind === "tensor" && tensor !== undefined && id === 8)
        tensor.name = await reader.readText(from, to);
      else if (kind === "tensor" && tensor !== undefined && id === 1)
        for (let inside = from; inside < to; ) {
          const size = await reader.readVarint(inside);
          tensor.elements *= size.value;
          inside = size.next;
        }
      else if (kind === "entry" && id === 1) key = await reader.readText(from, to);
      else if (kind === "entry" && id === 2) value = await reader.readText(from, to);
      at = to;
    } else throw new RangeError(`byte ${at} is not the start of a field`);
  }
  if (at !== end) throw new RangeError(`a part of it ends at byte ${at} instead of ${end}`);
  if (kind === "entry") tensor?.external.set(key, value);
  if (kind === "tensor" && tensor !== undefined) tensors.push(tensor);
  if (kind === "input" && port !== undefined) ports.inputs.push(port);
  if (kind === "output" && port !== undefined) ports.outputs.push(port);
}

/** Sizes of the files that tensors refer to, by path. */
async function checkExternalFiles(
  path: string,
  tensors: readonly TensorFacts[],
): Promise<ReadonlyMap<string, number>> {
  const sizes = new Map<string, number>();
  for (const { name, external } of tensors) {
    const location = external.get("location");
    if (location === undefined) continue;
    if (!isInside(location))
      throw new EngineError(
        "failed",
        `The graph ${path} refers to weights at "${location}", outside its own folder. It is not loaded; get the model from a source that you trust.`,
      );
    const file = join(dirname(path), location);
    if (!sizes.has(file)) sizes.set(file, await getSize(file, path));
    const end = Number(external.get("offset") ?? 0) + Number(external.get("length") ?? 0);
    if (end > (sizes.get(file) ?? 0))
      throw new EngineError(
        "failed",
        `The file ${file} is incomplete: the weight "${name}" of ${path} lies beyond its end. ${RESTORE}`,
      );
  }
  return sizes;
}

function isInside(location: string): boolean {
  if (location === "" || isAbsolute(location) || win32.isAbsolute(location)) return false;
  return !normalize(location.replaceAll("\\", "/")).split(sep).includes("..");
}

async function getSize(file: string, graph: string): Promise<number> {
  try {
    return (await stat(file)).size;
  } catch (cause) {
    throw new EngineError(
      "failed",
      `The file ${file} is missing: the weights of ${graph} lie there. Keep both in one folder. ${RESTORE}`,
      { cause },
    );
  }
}

interface Reader {
  readonly size: number;
  readVarint(at: number): Promise<{ readonly value: number; readonly next: number }>;
  readText(from: number, to: number): Promise<string>;
  close(): Promise<void>;
}

/** Reads a few bytes here and there of a large file, through one window. */
async function openReader(path: string): Promise<Reader> {
  const file = await open(path).catch((cause: unknown) => {
    throw new EngineError("failed", `Cannot read the model file ${path}. ${RESTORE}`, { cause });
  });
  const { size } = await file.stat();
  const window = Buffer.alloc(WINDOW);
  let start = 0;
  let length = 0;
  const load = async (at: number): Promise<number> => {
    if (at < start || at >= start + length) {
      start = at;
      length = (await file.read(window, 0, WINDOW, at)).bytesRead;
      if (length === 0) throw new RangeError(`it ends at byte ${at}, in the middle of a field`);
    }
    return window[at - start] as number;
  };
  return {
    size,
    async readVarint(at) {
      let value = 0;
      for (let i = 0; i < 10; i++) {
        const byte = await load(at + i);
        value += (byte & 0x7f) * 2 ** (7 * i);
        if (byte < 0x80) return { value, next: at + i + 1 };
      }
      throw new RangeError(`byte ${at} is not the start of a number`);
    },
    async readText(from, to) {
      const bytes = Buffer.alloc(Math.min(to - from, LONGEST_TEXT));
      await file.read(bytes, 0, bytes.length, from);
      return bytes.toString("utf8");
    },
    close: () => file.close(),
  };
}

const WINDOW = 1 << 16;
const LONGEST_TEXT = 4096;
