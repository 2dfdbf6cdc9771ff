import { stat } from "node:fs/promises";
import type { InferenceSession, Tensor as OrtTensor } from "onnxruntime-node";
import { EngineError } from "../engines/engine.ts";
import { chooseProvider, type Provider } from "./choose-provider.ts";
import { findReason, getText, isMemoryError } from "./native-error.ts";
import type { Session, TensorInfo } from "./session.ts";
import type { Tensor, TensorData, TensorType } from "./tensor.ts";

/**
 * Part of every model version: kernels are chosen and fused by level, so another level gives other last bits.
 * Within one version of the runtime, one level and one class of CPU, results are bit-identical, whatever the
 * number of threads.
 */
export const GRAPH_OPTIMIZATION = "all";

export interface OnnxSessionOptions {
  readonly path: string;
  /** Threads inside one operator. */
  readonly threads: number;
  /** What computes it, as {@link findProvider} found it; default `cpu`. */
  readonly provider?: Provider;
}

/**
 * The provider that computes graphs here: the one that is asked for by name, or with `auto` the best that works.
 * @param log hears why others do not work
 * @throws EngineError when what is asked for does not work here
 */
export async function findProvider(wanted: string, log: (message: string) => void): Promise<Provider> {
  const runtime = await importRuntime();
  const probe = {
    listBackends: async () => runtime.listSupportedBackends(),
    tryProvider: (provider: Provider) => computeProduct(runtime, provider),
  };
  return chooseProvider(wanted, probe, log);
}

/** A graph of one product of a row and a column, as `writeOnnxModel` writes it. */
const PRODUCT =
  "CAg6XAoUCgFhCgFiEgFjGgFjIgZNYXRNdWwSBXByb2JlWhMKAWESDgoMCAESCAoCCAEKAggCWhMKAWISDgoMCAESCAoCCAIKAggBYhMKAWMSDgoMCAESCAoCCAEKAggBQgQKABAR";

async function computeProduct(runtime: Runtime, provider: Provider): Promise<void> {
  const session = await runtime.InferenceSession.create(Buffer.from(PRODUCT, "base64"), {
    executionProviders: [provider],
    logSeverityLevel: 4,
    // Else the processor would compute what the provider does not, and nobody would notice.
    extra: { session: { disable_cpu_ep_fallback: "1" } },
  });
  try {
    const { Tensor: NativeTensor } = runtime;
    const a = new NativeTensor("float32", Float32Array.of(1, 2), [1, 2]);
    const b = new NativeTensor("float32", Float32Array.of(3, 4), [2, 1]);
    const { c } = await session.run({ a, b });
    if (c?.data[0] !== 11) throw new TypeError(`it computes ${c?.data[0]} for 1·3 + 2·4`);
  } finally {
    await session.release();
  }
}

/**
 * Loads an ONNX graph with onnxruntime-node, which is imported at the first call.
 * @throws EngineError `unavailable` when the package cannot be loaded, `failed` when the file is missing,
 * damaged or uses a tensor type that cannot cross into JavaScript
 */
export async function openOnnxSession({
  path,
  threads,
  provider = "cpu",
}: OnnxSessionOptions): Promise<Session> {
  const runtime = await importRuntime();
  await requireFile(path);
  const session = await loadGraph(runtime, path, threads, provider);
  const inputs = session.inputMetadata.map(describeTensor);
  const outputs = session.outputMetadata.map(describeTensor);
  const unusable = [...inputs, ...outputs].find((info) => info.type === "unsupported");
  if (unusable !== undefined) {
    await session.release();
    throw new EngineError(
      "failed",
      `The graph ${path} has a tensor "${unusable.name}" of a type that onnxruntime-node cannot pass on ` +
        "(bfloat16 is the usual one). Use an export with float32 or float16 inputs and outputs.",
    );
  }
  return new OnnxSession(path, runtime, session, inputs, outputs);
}

type Runtime = typeof import("onnxruntime-node");

class OnnxSession implements Session {
  readonly path: string;
  readonly inputs: readonly TensorInfo[];
  readonly outputs: readonly TensorInfo[];
  readonly #runtime: Runtime;
  #session: InferenceSession | undefined;

  constructor(
    path: string,
    runtime: Runtime,
    session: InferenceSession,
    inputs: readonly TensorInfo[],
    outputs: readonly TensorInfo[],
  ) {
    this.path = path;
    this.inputs = inputs;
    this.outputs = outputs;
    this.#runtime = runtime;
    this.#session = session;
  }

  async run(feeds: Readonly<Record<string, Tensor>>): Promise<Readonly<Record<string, Tensor>>> {
    if (this.#session === undefined) throw new EngineError("failed", `The graph ${this.path} is closed.`);
    const native: Record<string, OrtTensor> = {};
    for (const input of this.inputs) native[input.name] = this.#toNative(input, feeds[input.name]);
    let outputs: InferenceSession.ReturnType;
    try {
      outputs = await this.#session.run(native);
    } catch (cause) {
      throw translateRunError(this.path, cause);
    }
    return Object.fromEntries(Object.entries(outputs).map(([name, value]) => [name, fromNative(value)]));
  }

  #toNative(input: TensorInfo, tensor: Tensor | undefined): OrtTensor {
    if (tensor === undefined)
      throw new EngineError("failed", `The graph ${this.path} needs the input "${input.name}".`);
    if (tensor.type !== input.type)
      throw new EngineError(
        "failed",
        `The input "${input.name}" of ${this.path} is ${input.type}, but was given ${tensor.type}.`,
      );
    const { Tensor: NativeTensor } = this.#runtime;
    const native = new NativeTensor(tensor.type, tensor.data as Float32Array, tensor.dims);
    // Where JavaScript has half precision arrays the package makes one, which its native part takes for empty.
    if (tensor.type === "float16") Object.defineProperty(native, "data", { value: tensor.data });
    return native;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    const session = this.#session;
    this.#session = undefined;
    await session?.release();
  }
}

async function importRuntime(): Promise<Runtime> {
  // Unless told otherwise before it is loaded, it keeps events about its user in the home folder and sends them to
  // its maker.
  process.env["ORT_DISABLE_TELEMETRY"] = "1";
  try {
    return await import("onnxruntime-node");
  } catch (cause) {
    throw new EngineError(
      "unavailable",
      "The package onnxruntime-node cannot be loaded, and the built-in engine needs it. Run `npm install` " +
        "again (with optional parts), or on a system without a build of it (for example Alpine Linux) use glibc.",
      { cause },
    );
  }
}

async function requireFile(path: string): Promise<void> {
  try {
    if ((await stat(path)).isFile()) return;
  } catch (cause) {
    throw new EngineError("failed", `Cannot read the model file ${path}. ${RESTORE}`, { cause });
  }
  throw new EngineError("failed", `The model file ${path} is not a file. ${RESTORE}`);
}

const RESTORE = "Install the package again or restore the file from where you got it.";

async function loadGraph(
  runtime: Runtime,
  path: string,
  threads: number,
  provider: Provider,
): Promise<InferenceSession> {
  try {
    return await runtime.InferenceSession.create(path, {
      executionProviders: [provider],
      intraOpNumThreads: threads,
      interOpNumThreads: 1,
      graphOptimizationLevel: GRAPH_OPTIMIZATION,
      logSeverityLevel: 3,
      // A plan of a run's memory is made in its first run and taken beside what that has: 0.9 GiB more for the pixels
      // of 512x512, and not faster (docs/benchmarks.md).
      enableMemPattern: false,
      // Idle threads that spin starve everything else on a shared machine, and the other threads of this run.
      extra: { session: { intra_op: { allow_spinning: "0" } } },
    });
  } catch (cause) {
    const reason = findReason(getText(cause).replace(`Load model from ${path} failed:`, ""));
    if (isMemoryError(cause))
      throw new EngineError("out_of_memory", `There is not enough memory to load ${path}.`, { cause });
    throw new EngineError(
      "failed",
      `The model file ${path} is damaged or not an ONNX graph that this version can run (${reason}). ${RESTORE}`,
      { cause },
    );
  }
}

function translateRunError(path: string, cause: unknown): EngineError {
  return new EngineError(
    isMemoryError(cause) ? "out_of_memory" : "failed",
    `The graph ${path} failed: ${getText(cause)}`,
    {
      cause,
    },
  );
}

const TYPES: ReadonlySet<string> = new Set<TensorType>([
  "float32",
  "float64",
  "float16",
  "int8",
  "uint8",
  "bool",
  "int32",
  "int64",
]);

function describeTensor(metadata: InferenceSession.ValueMetadata): TensorInfo {
  if (!metadata.isTensor) return { name: metadata.name, type: "unsupported", shape: [] };
  const type = TYPES.has(metadata.type) ? (metadata.type as TensorType) : "unsupported";
  return { name: metadata.name, type, shape: metadata.shape };
}

function fromNative(value: OrtTensor): Tensor {
  const { type, dims } = value;
  const data = value.data as TensorData;
  if (type !== "float16") return { type: type as TensorType, dims, data };
  return { type, dims, data: new Uint16Array(data.buffer, data.byteOffset, data.length) };
}
