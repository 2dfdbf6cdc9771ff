import { type ChildProcess, fork } from "node:child_process";
import { fileURLToPath } from "node:url";
import { createErrorDetail, type ErrorDetail, type LogLevel } from "@sluice/protocol";
import type { ModelFileManifest, Progress } from "@sluice/runtime/model";
import type {
  ArtifactMessage,
  CancelReason,
  FileReply,
  FromWorker,
  ToWorker,
  WorkerRun,
} from "@sluice/runtime/worker/messages";
import type { Clock } from "../clock.ts";
import { formatMiB, preferAsOomVictim, readRssBytes } from "./process-memory.ts";
import { readLines } from "./read-lines.ts";
import { explainExit, formatExit, type WorkerExit } from "./worker-exit.ts";

const MEMORY_WATCH_MS = 500;
const STOP_GRACE_MS = 3_000;
/** Longest time that a cancelled run gets to stop, however long its steps are. */
const MAX_GRACE_MS = 30_000;
/** How long the pipes of an ended process may stay open: something it started may hold them. */
const PIPES_MS = 500;
const LAST_LINES = 20;

/**
 * One child process that runs model code, seen from the runner: it is started, describes its model file, is set
 * up, runs one request at a time, and ends. However it ends, whoever waits is told why.
 */
export class WorkerProcess implements AsyncDisposable {
  readonly #child: ChildProcess;
  readonly #options: WorkerProcessOptions;
  readonly #exit = Promise.withResolvers<WorkerExit>();
  /** What it printed to stderr last, to explain a crash. */
  readonly #lastLines: string[] = [];
  #exited: WorkerExit | undefined;
  #ending: WorkerExit | undefined;
  #expected: ((message: FromWorker) => void) | undefined;
  #onLog: LogListener | undefined;
  #run: ActiveRun | undefined;
  #memoryTimer: NodeJS.Timeout | undefined;

  constructor(options: WorkerProcessOptions) {
    this.#options = options;
    this.#child = fork(fileURLToPath(import.meta.resolve("@sluice/runtime/worker")), [], {
      serialization: "advanced",
      stdio: ["ignore", "pipe", "pipe", "ipc"],
      execArgv: ["--disable-warning=ExperimentalWarning", "--disable-warning=MODULE_TYPELESS_PACKAGE_JSON"],
      env: { ...options.environment },
      // A process group of its own, so that what the model started ends with it, and Ctrl-C is left to the server.
      detached: true,
    });
    this.#child.on("message", (message) => this.#receive(message as FromWorker));
    this.#child.on("error", (error) => this.#end({ kind: "crashed", message: error.message, stderr: "" }));
    this.#child.on("exit", (code, signal) => void this.#onExit(code, signal));
    const { stdout, stderr, pid } = this.#child;
    if (stdout !== null) readLines(stdout, (line) => this.#log("STDOUT", line));
    if (stderr !== null) readLines(stderr, (line) => this.#log("STDERR", line));
    if (pid !== undefined) void preferAsOomVictim(pid);
    if (options.memoryBytes !== null) this.#watchMemory(options.memoryBytes);
  }

  /** Undefined when the process could not be started. */
  get pid(): number | undefined {
    return this.#child.pid;
  }

  /** Resolves once the process is gone and all its output has been read. */
  get exited(): Promise<WorkerExit> {
    return this.#exit.promise;
  }

  get isAlive(): boolean {
    return this.#exited === undefined && this.#ending === undefined;
  }

  /**
   * Loads the model file in the child.
   * @throws WorkerStartError
   */
  async describe(file: string, options: StartOptions): Promise<ModelFileManifest> {
    const reply = await this.#ask({ type: "describe", file }, options, "load the model file");
    if (reply.type === "described") return reply.manifest;
    if (reply.type === "rejected")
      throw new WorkerStartError("rejected", reply.message, { stack: reply.stack });
    throw new WorkerStartError("crashed", `The worker answered describe with ${reply.type}.`);
  }

  /**
   * Loads the weights. Only after `describe`; again after a failure that left the process alive.
   * @returns milliseconds that it took
   * @throws WorkerStartError
   */
  async setup(settings: WorkerSetup, options: StartOptions): Promise<number> {
    const reply = await this.#ask({ type: "setup", ...settings }, options, "set up the model");
    if (reply.type === "ready") return reply.loadMs;
    if (reply.type === "setup_failed") {
      const kind = reply.isOutOfMemory ? "out_of_memory" : "setup_failed";
      throw new WorkerStartError(kind, reply.message, { stack: reply.stack });
    }
    throw new WorkerStartError("crashed", `The worker answered setup with ${reply.type}.`);
  }

  /**
   * Runs one request. When the signal aborts (its reason is a {@link CancelReason}), the model is told; a model
   * that does not stop within twice its last step, at least `graceMs`, is ended with its process. Once aborted, the
   * outcome is `stopped`, whatever the model still answers.
   */
  run(run: WorkerRun, listener: RunListener, signal: AbortSignal): Promise<RunOutcome> {
    if (this.#run !== undefined) throw new Error("This worker already runs a request.");
    const { clock } = this.#options;
    const { promise, resolve } = Promise.withResolvers<RunOutcome>();
    let graceTimer: NodeJS.Timeout | undefined;
    let reason: CancelReason | undefined;
    const cancel = (): void => {
      reason = signal.reason as CancelReason;
      this.#send({ type: "cancel", runId: run.runId, reason });
      const graceMs = Math.min(Math.max(active.lastStepMs * 2, this.#options.graceMs), MAX_GRACE_MS);
      graceTimer = setTimeout(() => this.#kill({ kind: "killed", why: "deaf to cancel" }), graceMs);
    };
    const active: ActiveRun = {
      runId: run.runId,
      listener,
      hasAudience: run.wantsPreviews,
      lastStepMs: 0,
      steppedAt: clock.monotonic(),
      signal,
      finish: (outcome) => {
        clearTimeout(graceTimer);
        signal.removeEventListener("abort", cancel);
        this.#run = undefined;
        this.#onLog = undefined;
        resolve(
          reason === undefined ? outcome : { kind: "stopped", reason, wasKilled: outcome.kind === "exited" },
        );
      },
    };
    if (this.#exited !== undefined) return Promise.resolve({ kind: "exited", exit: this.#exited });
    if (signal.aborted) {
      return Promise.resolve({ kind: "stopped", reason: signal.reason as CancelReason, wasKilled: false });
    }
    this.#run = active;
    this.#onLog = listener.log;
    signal.addEventListener("abort", cancel, { once: true });
    this.#send({ type: "run", run });
    return promise;
  }

  /** Tears the model down and ends the process, with force when it takes longer than three seconds. */
  async stop(): Promise<void> {
    if (this.#exited === undefined && this.#ending === undefined) {
      this.#ending = { kind: "stopped" };
      this.#send({ type: "stop" });
    }
    const timer = setTimeout(() => this.#killGroup(), STOP_GRACE_MS);
    await this.exited;
    clearTimeout(timer);
  }

  /** Ends the process at once. */
  async kill(why: string): Promise<void> {
    this.#kill({ kind: "killed", why });
    await this.exited;
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.stop();
  }

  /** Resident memory in bytes; undefined when unknown. */
  async readMemory(): Promise<number | undefined> {
    return this.pid === undefined ? undefined : readRssBytes(this.pid);
  }

  #ask(message: ToWorker, options: StartOptions, what: string): Promise<FromWorker> {
    const { promise, resolve, reject } = Promise.withResolvers<FromWorker>();
    const { signal, timeoutMs } = options;
    const timer = setTimeout(() => {
      const text = `The worker took longer than ${timeoutMs} ms to ${what}.`;
      reject(new WorkerStartError("timed_out", text));
      this.#kill({ kind: "killed", why: text });
    }, timeoutMs);
    const abort = (): void => {
      reject(signal?.reason);
      this.#kill({ kind: "killed", why: "not needed any more" });
    };
    signal?.addEventListener("abort", abort, { once: true });
    this.#expected = resolve;
    this.#onLog = options.log;
    void this.exited.then((exit) =>
      reject(
        new WorkerStartError(
          exit.kind === "out_of_memory" ? "out_of_memory" : "crashed",
          `The worker ended while it had to ${what}: ${formatExit(exit)}`,
        ),
      ),
    );
    if (signal?.aborted) abort();
    else this.#send(message);
    return promise.finally(() => {
      clearTimeout(timer);
      signal?.removeEventListener("abort", abort);
      this.#expected = undefined;
      this.#onLog = undefined;
    });
  }

  #receive(message: FromWorker): void {
    const run = this.#run;
    switch (message.type) {
      case "described":
      case "rejected":
      case "ready":
      case "setup_failed":
        this.#expected?.(message);
        return;
      case "log":
        if (message.runId === null || message.runId === run?.runId) {
          this.#log(message.level, message.message, message.at);
        }
        return;
    }
    if (run === undefined || message.runId !== run.runId) return;
    switch (message.type) {
      case "progress": {
        const now = this.#options.clock.monotonic();
        run.lastStepMs = now - run.steppedAt;
        run.steppedAt = now;
        run.listener.progress(message.progress, message.at);
        this.#tellAudience(run);
        return;
      }
      case "preview":
        run.listener.preview(message.artifact, message.image, message.step);
        return;
      case "emit":
        run.listener.emit(message.value);
        return;
      case "read_file":
        void this.#readFile(message, run);
        return;
      case "done": {
        const { output, artifacts, billableUnits, inferenceMs } = message;
        run.finish({ kind: "done", output, artifacts, billableUnits, inferenceMs });
        return;
      }
      case "failed":
        run.finish(
          message.failure.kind === "stopped" ? { ...message.failure, wasKilled: false } : message.failure,
        );
        return;
      default:
        message satisfies never;
    }
  }

  /** Tells the model when the first listener came or the last one left. */
  #tellAudience(run: ActiveRun): void {
    const areWanted = run.listener.wantsPreviews();
    if (areWanted === run.hasAudience) return;
    run.hasAudience = areWanted;
    this.#send({ type: "previews", runId: run.runId, areWanted });
  }

  async #readFile(message: Extract<FromWorker, { type: "read_file" }>, run: ActiveRun): Promise<void> {
    const { callId, value, loc, maxBytes } = message;
    let result: FileReply;
    try {
      result = await run.listener.readFile(value, { loc, maxBytes, signal: run.signal });
    } catch (error) {
      if (run.signal.aborted) return;
      run.listener.log("ERROR", `An input file could not be read: ${String(error)}`);
      result = { ok: false, status: 500, detail: [createErrorDetail("internal_server_error", loc)] };
    }
    this.#send({ type: "file", callId, result });
  }

  #log(level: LogLevel, message: string, at?: number): void {
    if (level === "STDERR" && this.#lastLines.push(message) > LAST_LINES) this.#lastLines.shift();
    if (this.#onLog !== undefined) this.#onLog(level, message, at);
    else this.#options.onIdleLog?.(level, message);
  }

  #send(message: ToWorker): void {
    if (!this.#child.connected) return;
    // A channel that closes meanwhile means that the process ends, and that is told by `exited`.
    this.#child.send(message, () => {});
  }

  #kill(exit: WorkerExit): void {
    if (this.#exited !== undefined) return;
    this.#ending ??= exit;
    this.#killGroup();
  }

  /** Ends the process and everything that it started. */
  #killGroup(): void {
    if (this.pid === undefined) return;
    try {
      process.kill(-this.pid, "SIGKILL");
    } catch {
      // No group (Windows), or nobody is left in it.
      this.#child.kill("SIGKILL");
    }
  }

  async #onExit(code: number | null, signal: NodeJS.Signals | null): Promise<void> {
    let timer: NodeJS.Timeout | undefined;
    this.#killGroup();
    // What it still said arrives through the pipes and the channel.
    const isClosed = new Promise((resolve) => this.#child.once("close", resolve));
    const isDisconnected = this.#child.connected
      ? new Promise((resolve) => this.#child.once("disconnect", resolve))
      : undefined;
    await Promise.race([
      Promise.all([isClosed, isDisconnected]),
      new Promise((resolve) => {
        timer = setTimeout(resolve, PIPES_MS);
      }),
    ]);
    clearTimeout(timer);
    this.#end(this.#ending ?? explainExit(code, signal, this.#lastLines));
  }

  #end(exit: WorkerExit): void {
    if (this.#exited !== undefined) return;
    this.#exited = exit;
    clearInterval(this.#memoryTimer);
    this.#run?.finish({ kind: "exited", exit });
    this.#exit.resolve(exit);
  }

  #watchMemory(limitBytes: number): void {
    this.#memoryTimer = setInterval(() => void check(), MEMORY_WATCH_MS);
    const check = async (): Promise<void> => {
      const rssBytes = await this.readMemory();
      if (rssBytes !== undefined && rssBytes > limitBytes && this.isAlive) {
        this.#kill({
          kind: "out_of_memory",
          message: `it used ${formatMiB(rssBytes)} of the ${formatMiB(limitBytes)} that its model file allows`,
        });
      }
    };
  }
}

export interface WorkerProcessOptions {
  /** All that the child sees of the environment. */
  readonly environment: Readonly<Record<string, string>>;
  readonly clock: Clock;
  /** The process is ended when its resident memory passes this; null: no limit. */
  readonly memoryBytes: number | null;
  /** Shortest time that a cancelled run gets to stop, in milliseconds. */
  readonly graceMs: number;
  /** Lines printed while nothing runs. */
  readonly onIdleLog?: (level: LogLevel, message: string) => void;
}

export interface StartOptions {
  readonly timeoutMs: number;
  readonly signal?: AbortSignal;
  readonly log?: LogListener;
}

export interface WorkerSetup {
  readonly threads: number;
  readonly cacheDir: string;
  readonly settings: Readonly<Record<string, string>>;
}

/** `at` is epoch milliseconds; undefined for output of native code, which has no time of its own. */
export type LogListener = (level: LogLevel, message: string, at?: number) => void;

/** What a run reports while it lasts, in the order in which the model made it. */
export interface RunListener {
  readonly log: LogListener;
  progress(progress: Progress, at: number): void;
  preview(artifact: ArtifactMessage, image: number, step: number): void;
  /** Asked at every progress: whether anybody looks at previews. */
  wantsPreviews(): boolean;
  emit(value: unknown): void;
  readFile(
    value: unknown,
    options: {
      readonly loc: readonly (string | number)[];
      readonly maxBytes: number;
      readonly signal: AbortSignal;
    },
  ): Promise<FileReply>;
}

export type RunOutcome =
  | {
      readonly kind: "done";
      /** With `{ "$artifact": index }` in the place of each artifact. */
      readonly output: unknown;
      readonly artifacts: readonly ArtifactMessage[];
      readonly billableUnits: number;
      readonly inferenceMs: number;
    }
  | { readonly kind: "model_error"; readonly status: number; readonly detail: readonly ErrorDetail[] }
  | { readonly kind: "exception"; readonly message: string; readonly stack?: string }
  | { readonly kind: "stopped"; readonly reason: CancelReason; readonly wasKilled: boolean }
  | { readonly kind: "exited"; readonly exit: WorkerExit };

/** A worker did not become ready. */
export class WorkerStartError extends Error {
  readonly kind: "rejected" | "setup_failed" | "timed_out" | "crashed" | "out_of_memory";
  /** Stack of the error inside the worker. */
  readonly workerStack: string | undefined;
  constructor(
    kind: WorkerStartError["kind"],
    message: string,
    options: { readonly stack?: string | undefined } = {},
  ) {
    super(message);
    this.name = "WorkerStartError";
    this.kind = kind;
    this.workerStack = options.stack;
  }
}

interface ActiveRun {
  readonly runId: string;
  readonly listener: RunListener;
  readonly signal: AbortSignal;
  hasAudience: boolean;
  lastStepMs: number;
  steppedAt: number;
  readonly finish: (outcome: RunOutcome) => void;
}
