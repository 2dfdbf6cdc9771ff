/**
 * A worker: the child process in which model code runs. It is forked by a runner with
 * `serialization: "advanced"`, speaks the messages of `messages.ts` and does nothing on its own.
 *
 * States: started → described (the model file is loaded) → ready (weights are loaded) ⇄ running (one run).
 * `stop`, or the loss of the channel, leads from anywhere to the end: the run is aborted, `teardown` is called,
 * the process exits. Signals meant for the whole process group (Ctrl-C, a service manager's SIGTERM) are
 * left to the runner, which lets the run finish first.
 */
import { performance } from "node:perf_hooks";
import { captureOutput } from "./capture-output.ts";
import { type LoadedModelFile, loadModelFile, ModelFileError } from "./load-model-file.ts";
import type { CancelReason, FileReply, FromWorker, ToWorker, WorkerRun } from "./messages.ts";
import { createStates, type ModelStates } from "./model-states.ts";
import { provideRuntime } from "./provide-runtime.ts";
import { type RunHandle, startRun } from "./run-model.ts";
import { watchParent } from "./watch-parent.ts";

const TEARDOWN_MS = 2_000;

watchParent(process.ppid);
provideRuntime();
for (const signal of ["SIGINT", "SIGTERM", "SIGHUP"] as const) process.on(signal, () => {});

const ending = new AbortController();
const fileCalls = new Map<number, (reply: FileReply) => void>();
let loaded: LoadedModelFile | undefined;
let states: ModelStates | undefined;
let current: RunHandle | undefined;
let callCount = 0;

const output = captureOutput((runId, level, message) =>
  send({ type: "log", runId, level, message, at: Date.now() }),
);

process.on("message", (message) => receive(message as ToWorker));
process.once("disconnect", () => void end("shutting_down"));

function receive(message: ToWorker): void {
  switch (message.type) {
    case "describe":
      void describe(message.file);
      break;
    case "setup":
      void setup(message);
      break;
    case "run":
      run(message.run);
      break;
    case "previews":
      if (current?.run.runId === message.runId) current.setWantsPreviews(message.areWanted);
      break;
    case "cancel":
      if (current?.run.runId === message.runId) current.cancel(message.reason);
      break;
    case "file":
      fileCalls.get(message.callId)?.(message.result);
      break;
    case "stop":
      void end("shutting_down");
      break;
    default:
      message satisfies never;
  }
}

async function describe(file: string): Promise<void> {
  try {
    loaded = await loadModelFile(file);
    send({ type: "described", manifest: loaded.manifest });
  } catch (error) {
    const message =
      error instanceof ModelFileError ? error.message : `${file} cannot be used: ${String(error)}`;
    send({ type: "rejected", message, ...stackOf(error instanceof ModelFileError ? error.cause : error) });
  }
}

async function setup(message: Extract<ToWorker, { type: "setup" }>): Promise<void> {
  const startedAt = performance.now();
  try {
    if (loaded === undefined) throw new Error("setup was asked for before the model file was described");
    states ??= createStates(loaded.definitions.values());
    await states.setup({
      log: (text, level = "INFO") => output.write(null, level, text),
      signal: ending.signal,
      threads: message.threads,
      cacheDir: message.cacheDir,
      settings: message.settings,
    });
    send({ type: "ready", loadMs: performance.now() - startedAt });
  } catch (error) {
    const isOutOfMemory = (error as { readonly kind?: unknown } | null)?.kind === "out_of_memory";
    send({ type: "setup_failed", message: messageOf(error), isOutOfMemory, ...stackOf(error) });
  }
}

function run(run: WorkerRun): void {
  const definition = loaded?.definitions.get(run.endpointId);
  if (definition === undefined || states === undefined || current !== undefined) {
    const message =
      current === undefined
        ? `this worker is not ready for ${run.endpointId}`
        : "this worker already runs a request";
    send({ type: "failed", runId: run.runId, failure: { kind: "exception", message } });
    return;
  }
  current = startRun(run, {
    definition,
    state: states.get(definition),
    send,
    output,
    readFile: (value, options) =>
      new Promise((resolve) => {
        const callId = callCount++;
        fileCalls.set(callId, (reply) => {
          fileCalls.delete(callId);
          resolve(reply);
        });
        send({ type: "read_file", runId: run.runId, callId, value, ...options });
      }),
  });
  void current.ended.then((message) => {
    current = undefined;
    fileCalls.clear();
    send(message);
  });
}

let isEnding = false;

async function end(reason: CancelReason): Promise<void> {
  if (isEnding) return;
  isEnding = true;
  ending.abort(new Error("The worker must end."));
  // A teardown that hangs must not keep the process: the parent may be gone.
  setTimeout(() => process.exit(0), TEARDOWN_MS);
  current?.cancel(reason);
  await current?.ended;
  await states?.teardown((error) => output.write(null, "ERROR", `teardown failed: ${messageOf(error)}`));
  process.exit(0);
}

function send(message: FromWorker): void {
  if (!process.connected) return;
  // The callback takes the error of a channel that closes meanwhile; `disconnect` then ends this process.
  process.send?.(message, undefined, undefined, () => {});
}

function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}

function stackOf(error: unknown): { stack?: string } {
  return error instanceof Error && error.stack !== undefined ? { stack: error.stack } : {};
}
