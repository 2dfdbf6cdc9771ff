import { performance } from "node:perf_hooks";
import type { ModelDefinition, RunContext } from "../model/define-model.ts";
import type { InputFile, ReadFileOptions } from "../model/input-file.ts";
import { readSchemaValidator, type SchemaSource } from "../model/json-schema.ts";
import { createModelError, isModelError, ModelError } from "../model/model-error.ts";
import type { CapturedOutput } from "./capture-output.ts";
import type { CancelReason, FileReply, FromWorker, WorkerFailure, WorkerRun } from "./messages.ts";
import { inlineArtifacts, takeArtifacts, toArtifactMessage } from "./to-plain.ts";

const DEFAULT_MAX_FILE_BYTES = 50 * 2 ** 20;

export interface RunHandle {
  readonly run: WorkerRun;
  /** Aborts the run's signal. The run ends when model code notices. */
  cancel(reason: CancelReason): void;
  setWantsPreviews(areWanted: boolean): void;
  /** The last message of the run; never rejects. */
  readonly ended: Promise<Extract<FromWorker, { type: "done" | "failed" }>>;
}

export interface RunHost {
  readonly definition: ModelDefinition;
  readonly state: unknown;
  readonly output: CapturedOutput;
  readonly send: (message: FromWorker) => void;
  readonly readFile: (
    value: unknown,
    options: { readonly loc: readonly (string | number)[]; readonly maxBytes: number },
  ) => Promise<FileReply>;
}

/** The reason of a run's signal: what model code may throw on. */
export class RunStopped extends Error {
  readonly reason: CancelReason;
  constructor(reason: CancelReason) {
    super(`The run must stop: ${reason.replaceAll("_", " ")}.`);
    this.name = "AbortError";
    this.reason = reason;
  }
}

/** Starts one run of a model. What the model does with its context becomes messages. */
export function startRun(run: WorkerRun, host: RunHost): RunHandle {
  const controller = new AbortController();
  const { signal } = controller;
  const audience = { wantsPreviews: run.wantsPreviews };
  const ended = host.output.during(run.runId, async () => {
    try {
      return await callModel(run, host, audience, signal);
    } catch (error) {
      return { type: "failed", runId: run.runId, failure: toFailure(error, signal) } as const;
    } finally {
      host.output.finish(run.runId);
    }
  });
  return {
    run,
    ended,
    cancel: (reason) => controller.abort(new RunStopped(reason)),
    setWantsPreviews(areWanted) {
      audience.wantsPreviews = areWanted;
    },
  };
}

interface Audience {
  readonly wantsPreviews: boolean;
}

async function callModel(
  run: WorkerRun,
  host: RunHost,
  audience: Audience,
  signal: AbortSignal,
): Promise<Extract<FromWorker, { type: "done" }>> {
  const { definition } = host;
  const input = await parseInput(definition.input, run.input);
  const startedAt = performance.now();
  const output = await definition.run(input, createContext(run, host, audience, signal));
  const inferenceMs = performance.now() - startedAt;
  const billableUnits = definition.billableUnits?.(input, output) ?? 1;
  if (!(Number.isFinite(billableUnits) && billableUnits >= 0)) {
    throw new TypeError(`billableUnits returned ${billableUnits}: it must be a number of 0 or more`);
  }
  return { type: "done", runId: run.runId, ...takeArtifacts(output), billableUnits, inferenceMs };
}

function createContext(run: WorkerRun, host: RunHost, audience: Audience, signal: AbortSignal): RunContext {
  const { runId } = run;
  const { send } = host;
  return {
    state: host.state,
    requestId: run.requestId,
    endpointId: run.endpointId,
    attempt: run.attempt,
    seed: run.seed,
    headers: run.headers,
    get wantsPreviews() {
      return audience.wantsPreviews;
    },
    signal,
    log: (message, level = "INFO") => host.output.write(runId, level, String(message)),
    progress: (progress) => send({ type: "progress", runId, progress, at: Date.now() }),
    preview: ({ artifact, image, step }) =>
      send({ type: "preview", runId, image, step, artifact: toArtifactMessage(artifact) }),
    emit: (partial) => send({ type: "emit", runId, value: inlineArtifacts(partial) }),
    files: { read: (value, options) => readFile(value, options ?? {}, host, signal) },
  };
}

async function readFile(
  value: unknown,
  options: ReadFileOptions,
  host: RunHost,
  signal: AbortSignal,
): Promise<InputFile> {
  signal.throwIfAborted();
  const { loc = ["body"], maxBytes = DEFAULT_MAX_FILE_BYTES } = options;
  const reply = await abortable(host.readFile(toFileSource(value, loc), { loc, maxBytes }), signal);
  if (!reply.ok) throw new ModelError(reply.detail, { status: reply.status });
  const { bytes, contentType, source, fileName } = reply;
  return { bytes, contentType, source, ...(fileName === undefined ? {} : { fileName }) };
}

/** A file field holds a URL, or an object that has one; nothing else crosses to the server. */
function toFileSource(value: unknown, loc: readonly (string | number)[]): string | { url: string } {
  if (typeof value === "string") return value;
  const url = (value as { readonly url?: unknown } | null | undefined)?.url;
  if (typeof url === "string") return { url };
  throw createModelError("value_error", loc, { msg: "value must be a valid URL" });
}

/**
 * A Standard Schema may check and change more than its JSON Schema says (refinements, transforms, defaults): the
 * model gets what it made of the input.
 */
async function parseInput(source: SchemaSource, input: unknown): Promise<unknown> {
  const validate = readSchemaValidator(source);
  if (validate === undefined) return input;
  const outcome = await validate(input);
  if (outcome.issues === undefined) return outcome.value;
  throw new ModelError(
    outcome.issues.flatMap((issue) => {
      const loc = ["body", ...(issue.path ?? []).map(toLocPart)];
      return createModelError("value_error", loc, { msg: issue.message }).detail;
    }),
  );
}

function toLocPart(part: PropertyKey | { readonly key: PropertyKey }): string | number {
  const key = typeof part === "object" ? part.key : part;
  return typeof key === "number" ? key : String(key);
}

function toFailure(error: unknown, signal: AbortSignal): WorkerFailure {
  // After an abort whatever is thrown is its consequence: libraries wrap the reason in errors of their own.
  if (signal.aborted) return { kind: "stopped", reason: (signal.reason as RunStopped).reason };
  if (isModelError(error)) return { kind: "model_error", status: error.status, detail: error.detail };
  if (!(error instanceof Error)) return { kind: "exception", message: String(error) };
  return {
    kind: "exception",
    message: error.message,
    ...(error.stack === undefined ? {} : { stack: error.stack }),
  };
}

function abortable<T>(promise: Promise<T>, signal: AbortSignal): Promise<T> {
  return new Promise((resolve, reject) => {
    const stop = (): void => reject(signal.reason);
    signal.addEventListener("abort", stop, { once: true });
    void promise.then(resolve, reject).finally(() => signal.removeEventListener("abort", stop));
  });
}
