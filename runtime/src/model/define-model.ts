import type { LogLevel } from "@sluice/protocol";
import type { Artifact } from "./artifact.ts";
import type { InputFile, ReadFileOptions } from "./input-file.ts";
import type { JsonSchema, SchemaSource } from "./json-schema.ts";

/**
 * What an author writes: one endpoint, what goes in, what comes out, and the function in between.
 *
 * A model file has one default export: a definition, or a list of definitions that share a worker process.
 * Definitions with the same `setup` function share its result: weights are loaded once for all of them.
 *
 * @example
 * export default defineModel({
 *   id: "acme/shout",
 *   title: "Shout",
 *   model: { name: "shout", version: "1" },
 *   input: { type: "object", required: ["text"], properties: { text: { type: "string" } } },
 *   output: { type: "object", properties: { text: { type: "string" } } },
 *   run: async (input: { text: string }) => ({ text: input.text.toUpperCase() }),
 * });
 */
export interface ModelDefinition<Input = unknown, Output = unknown, State = unknown> {
  /** Endpoint id: `owner/alias` or `owner/alias/path`. */
  readonly id: string;
  readonly title: string;
  readonly description?: string;
  /** `text-to-image`, `image-to-image`, …; default `other`. */
  readonly category?: string;
  readonly tags?: readonly string[];
  /** What really answers; sent as `x-model: name@version`. */
  readonly model: ModelIdentity;
  /** Licence of the weights as an SPDX expression. */
  readonly license?: string;
  /** JSON Schema (2020-12) of the input object, or anything that speaks Standard Schema with JSON Schema. */
  readonly input: SchemaSource<Input>;
  readonly output: SchemaSource<Output>;
  /** Sample calls for the generated page; the first is shown. */
  readonly examples?: readonly ModelExample[];
  readonly limits?: ModelLimits;
  /** How the cost of a result is counted for `x-fal-billable-units`; default 1 per request. */
  readonly billableUnits?: (input: Input, output: Output) => number;
  /** Price shown by the platform routes; default 0. */
  readonly price?: { readonly unit: string; readonly amount: number };
  /** Loads weights once per worker. Whatever it returns is handed to `run` and `teardown`. */
  readonly setup?: (context: SetupContext) => Promise<State> | State;
  /** Answers one request. Throw a {@link ModelError} for a failure that the caller should understand. */
  readonly run: (input: Input, context: RunContext<State>) => Promise<Output> | Output;
  readonly teardown?: (state: State) => Promise<void> | void;
}

export interface ModelIdentity {
  readonly name: string;
  readonly version: string;
}

export interface ModelExample {
  readonly input: Readonly<Record<string, unknown>>;
  readonly output?: Readonly<Record<string, unknown>>;
}

export interface ModelLimits {
  /** Longest one attempt may take, in milliseconds; default 3,600,000. */
  readonly timeoutMs?: number;
  /** Longest `setup` may take, in milliseconds; default 600,000. */
  readonly setupTimeoutMs?: number;
  /** Worker processes that may run this model file at once; default 1. */
  readonly workers?: number;
  /** An idle worker is released after this time, in milliseconds; default 300,000. */
  readonly idleMs?: number;
  /** The worker is ended when its resident memory passes this, in bytes; default: no limit. */
  readonly memoryBytes?: number;
}

export interface SetupContext {
  readonly log: (message: string, level?: LogLevel) => void;
  /** Aborted when the worker must end. */
  readonly signal: AbortSignal;
  /** Compute threads this worker may use. */
  readonly threads: number;
  /** Folder for downloaded weights and caches; survives restarts. */
  readonly cacheDir: string;
  /** The operator's settings for model code: `SLUICE_MODEL_*` variables without their prefix, in lower case. */
  readonly settings: Readonly<Record<string, string>>;
}

export interface RunContext<State = unknown> {
  readonly state: State;
  readonly requestId: string;
  readonly endpointId: string;
  /** 1 for the first attempt. */
  readonly attempt: number;
  /**
   * A number in 0..2^32-1 derived from the request id: the seed to use when the input has none. A retry of
   * the same request gets the same one, so that it makes the same picture.
   */
  readonly seed: number;
  /** Aborted with a reason when the caller cancels, the time is up or the lease is lost. Check it between steps. */
  readonly signal: AbortSignal;
  /** Adds a line to the request's logs. Default level INFO. `console.*` is captured too. */
  readonly log: (message: string, level?: LogLevel) => void;
  readonly progress: (progress: Progress) => void;
  /** Shows the picture while it is made; passed to whoever listens, never stored. */
  readonly preview: (preview: Preview) => void;
  /** Emits one event of a streamed answer; the returned output is the last event. */
  readonly emit: (partial: unknown) => void;
  readonly files: InputFiles;
  /** Ask before making each preview: false while nobody looks. Listeners come and go during a run. */
  readonly wantsPreviews: boolean;
  /** Headers of the call that model code may see (never credentials), names in lower case. */
  readonly headers: Readonly<Record<string, string>>;
}

/** Phases are reported in the order load, encode, denoise, decode; a model may leave any out. */
export interface Progress {
  readonly phase: "load" | "encode" | "denoise" | "decode" | "run";
  /** Finished steps of this phase. */
  readonly step: number;
  /** Steps of this phase in all. */
  readonly steps: number;
  /** Index of the picture, for several. */
  readonly image?: number;
}

export interface Preview {
  readonly artifact: Artifact;
  readonly image: number;
  readonly step: number;
}

/** Turns what the caller put into a file field (URL, data URI, own file) into bytes. */
export interface InputFiles {
  /**
   * @param value what the field holds: a string, or an object with `url`
   * @param options `loc` names the field in errors, default `["body"]`
   * @throws ModelError `file_download_error`, `file_too_large` or `value_error` on that field
   */
  read(value: unknown, options?: ReadFileOptions): Promise<InputFile>;
}

/** Checks nothing and changes nothing: it gives a definition its types. */
export function defineModel<Input, Output, State = undefined>(
  definition: ModelDefinition<Input, Output, State>,
): ModelDefinition<Input, Output, State> {
  return definition;
}

export type { JsonSchema };
