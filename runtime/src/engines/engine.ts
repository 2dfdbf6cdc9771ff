import type { LogLevel } from "@sluice/protocol";
import type { Progress } from "../model/define-model.ts";

/**
 * What turns a checked job into pictures: our own pipelines on ONNX graphs, or an adapter to another program.
 * The model definitions speak to this contract only; the queue does not know that engines exist.
 *
 * Everything is resolved before an engine sees it: pixels, seeds, steps and guidance within the model's limits.
 * Engines never invent a seed. Picture i of a job depends on `seeds[i]` alone, not on the other pictures. Disposing one
 * twice is as good as once; afterwards it draws nothing more. `testing/engine-conformance.ts` is this in tests.
 */
export interface Engine extends AsyncDisposable {
  readonly info: EngineInfo;
  /**
   * Makes one picture per seed, in order.
   * @throws the signal's reason, at the latest one step after it aborts; {@link EngineError} otherwise
   */
  generate(job: EngineJob, sink: EngineSink, signal: AbortSignal): Promise<EngineResult>;
}

export interface EngineInfo {
  /** `onnx`, `sd-server`, … */
  readonly kind: string;
  /** The model that answers, for `x-model` and metadata. */
  readonly name: string;
  /** Changes when the same seed may give other bytes. */
  readonly version: string;
  readonly limits: EngineLimits;
}

export interface EngineLimits {
  readonly steps: { readonly min: number; readonly max: number; readonly default: number };
  /** Undefined when the model has no guidance. */
  readonly guidance?: { readonly min: number; readonly max: number; readonly default: number };
  /** Pixels. */
  readonly maxSide: number;
  readonly maxArea: number;
  /** Sides are multiples of this; 1 when every size is exact. */
  readonly multipleOf: number;
}

export interface EngineJob {
  readonly prompt: string;
  readonly negativePrompt?: string;
  /** Pixels of the finished picture. */
  readonly width: number;
  readonly height: number;
  readonly steps: number;
  readonly guidance: number;
  /** One per picture, 0..2^32-1. */
  readonly seeds: readonly number[];
  /** Starting picture, 8-bit RGB, row-major, for image-to-image; strength in 0..1. */
  readonly init?: {
    readonly rgb: Uint8Array;
    readonly width: number;
    readonly height: number;
    readonly strength: number;
  };
  readonly wantsPreviews: boolean;
}

export interface EngineSink {
  log(message: string, level?: LogLevel): void;
  progress(progress: Progress): void;
  /** A small picture of the current estimate, 8-bit RGB. */
  preview(preview: { readonly image: number; readonly step: number; readonly picture: Picture }): void;
}

/** 8-bit RGB pixels, row-major, 3 bytes each. */
export interface Picture {
  readonly rgb: Uint8Array;
  readonly width: number;
  readonly height: number;
}

export interface EngineResult {
  readonly pictures: readonly Picture[];
  /** Seconds by name: `encode`, `inference`, `decode`. */
  readonly timings: Readonly<Record<string, number>>;
}

/** `invalid_input`: not retried; `unavailable`: try another worker; `out_of_memory`; `failed`: everything else. */
export type EngineErrorKind = "invalid_input" | "unavailable" | "out_of_memory" | "failed";

export class EngineError extends Error {
  readonly kind: EngineErrorKind;
  constructor(kind: EngineErrorKind, message: string, options: { cause?: unknown } = {}) {
    super(message, options);
    this.name = "EngineError";
    this.kind = kind;
  }
}
