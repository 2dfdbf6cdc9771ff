import type { Tensor, TensorType } from "./tensor.ts";

/**
 * A loaded graph that can be run on tensors. Runs of one session are answered in order. `run` blocks the event
 * loop while it computes (the native call is synchronous), so sessions belong in a worker process.
 */
export interface Session extends AsyncDisposable {
  /** The file it was opened from. */
  readonly path: string;
  readonly inputs: readonly TensorInfo[];
  readonly outputs: readonly TensorInfo[];
  /**
   * @param feeds one tensor per input, by name
   * @returns every output, by name
   * @throws EngineError naming the file and the input that is missing or has another type
   */
  run(feeds: Readonly<Record<string, Tensor>>): Promise<Readonly<Record<string, Tensor>>>;
}

/** What a graph says about one of its inputs or outputs. */
export interface TensorInfo {
  readonly name: string;
  readonly type: TensorType | "unsupported";
  /** A number, or a name for a size that may vary. */
  readonly shape: readonly (number | string)[];
}

/** The output of that name. @throws TypeError listing what the graph did return */
export function getOutput(outputs: Readonly<Record<string, Tensor>>, name: string): Tensor {
  const tensor = outputs[name];
  if (tensor === undefined)
    throw new TypeError(`the graph returned no "${name}"; it returned ${Object.keys(outputs).join(", ")}`);
  return tensor;
}
