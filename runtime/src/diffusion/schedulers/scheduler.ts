/**
 * One run of a scheduler: it says which timesteps the network is asked for, and turns each prediction into the
 * next sample. Made for a number of steps and used once, because some keep what they saw.
 */
export interface Scheduler {
  /** What the network is told, one per call; a scheduler may call more often than there are steps. */
  readonly timesteps: readonly number[];
  /** Standard normal noise times this is where the run begins. */
  readonly initialScale: number;
  /** What the network sees of the sample in call `index`; may be the sample itself. */
  scaleInput(sample: Float32Array, index: number): Float32Array;
  /** The next sample after call `index`; the arguments are not changed. */
  step(prediction: Float32Array, index: number, sample: Float32Array): Float32Array;
}

/**
 * What a network predicts: the noise (`epsilon`), a mix of noise and picture (`v`), the picture (`sample`), or
 * the direction from picture to noise (`flow`).
 */
export type PredictionKind = "epsilon" | "v" | "sample" | "flow";

/** Combines two arrays value by value. */
export function combine(
  a: Float32Array,
  b: Float32Array,
  rule: (a: number, b: number) => number,
): Float32Array {
  return a.map((value, i) => rule(value, b[i] as number));
}

/** The entry at an index that is known to exist. */
export function at(values: ArrayLike<number>, index: number): number {
  const value = values[index];
  if (value === undefined) throw new RangeError(`index ${index} is outside 0..${values.length - 1}`);
  return value;
}
