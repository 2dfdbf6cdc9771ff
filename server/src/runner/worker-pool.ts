import type { Clock } from "../clock.ts";
import type { RequestId } from "../ids.ts";
import type { Logger } from "../logger.ts";
import { formatMiB } from "./process-memory.ts";
import { formatExit, type WorkerExit } from "./worker-exit.ts";
import { type LogListener, WorkerProcess, type WorkerSetup, WorkerStartError } from "./worker-process.ts";

/**
 * The workers of all model files. A worker is started when a request needs one, kept warm for the requests after
 * it, and released when it was idle for long or when the machine runs short of memory.
 *
 * States of a worker: starting → idle ⇄ busy → gone. One that ends by itself is forgotten at once; after
 * repeated failures of a model file the next start waits, twice as long each time.
 */
export class WorkerPool implements AsyncDisposable {
  readonly #options: WorkerPoolOptions;
  readonly #closing = new AbortController();
  readonly #entries = new Set<Entry>();
  readonly #failures = new Map<string, Failures>();
  /** Workers that were released and are not gone yet. */
  readonly #leaving = new Set<Promise<void>>();
  readonly #guard: Promise<void>;
  /** Model files whose workers stay; undefined for all. */
  #kept: ReadonlySet<string> | undefined;

  constructor(options: WorkerPoolOptions) {
    this.#options = options;
    this.#guard = this.#guardMemory();
  }

  /**
   * A worker of this model file that is set up: a warm one when there is one. It is the caller's alone until
   * `release`. How many are taken at a time is for the caller to limit. When the signal aborts while a worker
   * starts, the start goes on for whoever comes next.
   *
   * @throws WorkerStartError; the signal's reason
   */
  async take(file: PoolFile, options: TakeOptions): Promise<TakenWorker> {
    options.signal.throwIfAborted();
    this.#closing.signal.throwIfAborted();
    const found = this.#find(file, "idle") ?? this.#find(file, "starting");
    const isWarm = found?.state === "idle";
    const entry = found ?? this.#start(file);
    entry.isTaken = true;
    entry.request = { ...options.request, since: this.#options.clock.now() };
    this.#changed();
    entry.idle?.abort("taken or gone");
    entry.log = options.log;
    try {
      const worker = await abortable(entry.ready, options.signal);
      entry.state = "busy";
      return { worker, isWarm, loadMs: entry.loadMs, release: once(() => this.#release(entry)) };
    } catch (error) {
      if (options.signal.aborted) this.#giveUp(entry);
      throw error;
    }
  }

  /** Milliseconds until a worker of this file may be started again, and why; undefined when it may now. */
  getBackOff(path: string): { readonly waitMs: number; readonly message: string } | undefined {
    const failures = this.#failures.get(path);
    if (failures === undefined) return undefined;
    const waitMs = failures.retryAt - this.#options.clock.monotonic();
    return waitMs > 0 ? { waitMs, message: failures.message } : undefined;
  }

  /** Workers of other model files are released: idle ones now, the others when they are free. */
  keepWarm(paths: ReadonlySet<string>): void {
    this.#kept = paths;
    for (const entry of this.#entries) if (!this.#isKept(entry)) void this.#evict(entry, LEFT);
  }

  #isKept({ file }: Entry): boolean {
    return this.#kept === undefined || this.#kept.has(file.path);
  }

  list(): readonly WorkerInfo[] {
    return [...this.#entries].map((entry) => ({
      modelFile: entry.file.path,
      pid: entry.process.pid ?? null,
      state: entry.state,
      startedAt: entry.startedAt,
      loadMs: entry.isReady ? entry.loadMs : null,
      runs: entry.runs,
      rssBytes: entry.rssBytes,
      request: entry.request,
    }));
  }

  /** Stops all workers, with their running requests. */
  async [Symbol.asyncDispose](): Promise<void> {
    this.#closing.abort(new Error("The pool is closed."));
    await Promise.all([...this.#entries].map((entry) => this.#stop(entry)));
    await this.#guard;
  }

  #find(file: PoolFile, state: "idle" | "starting"): Entry | undefined {
    for (const entry of this.#entries) {
      if (entry.file.path === file.path && entry.state === state && !entry.isTaken) return entry;
    }
    return undefined;
  }

  #start(file: PoolFile): Entry {
    const { environment, clock, logger, graceMs } = this.#options;
    this.#makeRoom();
    const process = new WorkerProcess({
      environment,
      clock,
      memoryBytes: file.limits.memoryBytes,
      graceMs,
      onIdleLog: (level, message) => logger.debug({ modelFile: file.path, level }, message),
    });
    const { promise: ready, resolve, reject } = Promise.withResolvers<WorkerProcess>();
    // A failure that nobody waits for any more is counted and logged in #load.
    ready.catch(() => {});
    const entry: Entry = {
      file,
      process,
      state: "starting",
      ready,
      startedAt: clock.now(),
      isTaken: false,
      isReady: false,
      loadMs: 0,
      runs: 0,
      rssBytes: null,
      request: null,
      log: undefined,
      idle: undefined,
    };
    this.#entries.add(entry);
    this.#changed();
    void process.exited.then((exit) => this.#forget(entry, exit));
    void this.#load(entry).then(() => resolve(process), reject);
    return entry;
  }

  async #load(entry: Entry): Promise<void> {
    const { process, file } = entry;
    const { logger, clock } = this.#options;
    const startedAt = clock.monotonic();
    const log: LogListener = (level, message, at) => entry.log?.(level, message, at);
    try {
      // Their memory is free when they are gone, not when they are told to go.
      await Promise.all(this.#leaving);
      await process.describe(file.path, { timeoutMs: DESCRIBE_MS, log });
      await this.#setUp(entry, log);
    } catch (error) {
      // Gone before anyone can take it again, and before the failure is told.
      this.#entries.delete(entry);
      entry.state = "gone";
      await process.kill("it did not become ready");
      if (!this.#closing.signal.aborted) {
        const message = error instanceof Error ? error.message : String(error);
        this.#countFailure(file.path, message, 1);
        const stack = error instanceof WorkerStartError ? error.workerStack : undefined;
        logger.warn({ modelFile: file.path, stack }, `A worker did not start: ${message}`);
      }
      throw error;
    }
    entry.isReady = true;
    entry.loadMs = clock.monotonic() - startedAt;
    logger.info(
      { modelFile: file.path, pid: process.pid, loadMs: Math.round(entry.loadMs) },
      "Worker ready.",
    );
    if (!entry.isTaken) this.#rest(entry);
  }

  /** Loads the weights; where they do not fit, idle workers are released, the oldest first, until they do. */
  async #setUp({ process, file }: Entry, log: LogListener): Promise<void> {
    const options = { timeoutMs: file.limits.setupTimeoutMs, log };
    while (true) {
      try {
        await process.setup(this.#options.setup, options);
        return;
      } catch (error) {
        if (!(error instanceof WorkerStartError) || error.kind !== "out_of_memory" || !process.isAlive)
          throw error;
        const oldest = this.#findOldestIdle();
        if (oldest === undefined) throw error;
        log("INFO", `another model is released to make room: ${error.message}`);
        await this.#evict(oldest, `${file.path} needs its memory: ${error.message}`);
      }
    }
  }

  #release(entry: Entry): void {
    entry.runs++;
    entry.isTaken = false;
    entry.request = null;
    this.#changed();
    if (entry.state === "gone" || !entry.process.isAlive) return;
    this.#failures.delete(entry.file.path);
    this.#rest(entry);
  }

  #giveUp(entry: Entry): void {
    entry.isTaken = false;
    entry.request = null;
    entry.log = undefined;
    // Set up in the same moment: nobody else would put it to rest.
    if (entry.isReady) this.#rest(entry);
  }

  #rest(entry: Entry): void {
    if (entry.state === "gone") return;
    entry.state = "idle";
    if (!this.#isKept(entry)) {
      void this.#evict(entry, LEFT);
      return;
    }
    const idle = new AbortController();
    entry.idle = idle;
    this.#options.clock.sleep(entry.file.limits.idleMs, idle.signal).then(
      () => void this.#evict(entry, "idle"),
      () => {}, // Taken again.
    );
  }

  async #evict(entry: Entry, why: string): Promise<void> {
    if (entry.state !== "idle" || entry.isTaken) return;
    this.#options.logger.info(
      { modelFile: entry.file.path, pid: entry.process.pid },
      `Worker released: ${why}.`,
    );
    const leaving = this.#stop(entry);
    this.#leaving.add(leaving);
    await leaving.finally(() => this.#leaving.delete(leaving));
  }

  async #stop(entry: Entry): Promise<void> {
    entry.state = "gone";
    entry.idle?.abort("taken or gone");
    await entry.process.stop();
  }

  #forget(entry: Entry, exit: WorkerExit): void {
    this.#entries.delete(entry);
    this.#changed();
    entry.idle?.abort("taken or gone");
    const wasInUse = entry.state === "busy" || entry.state === "idle";
    entry.state = "gone";
    if (!wasInUse || (exit.kind !== "crashed" && exit.kind !== "out_of_memory")) return;
    this.#countFailure(entry.file.path, formatExit(exit), 0);
    this.#options.logger.warn({ modelFile: entry.file.path }, `A worker ended: ${formatExit(exit)}`);
  }

  /** The first crash of a worker that had been ready costs no wait: one bad request must not hold up the rest. */
  #countFailure(path: string, message: string, least: 0 | 1): void {
    const count = (this.#failures.get(path)?.count ?? 0) + 1;
    const doublings = count - 2 + least;
    const waitMs = doublings < 0 ? 0 : Math.min(BACK_OFF_MS * 2 ** doublings, MAX_BACK_OFF_MS);
    this.#failures.set(path, { count, message, retryAt: this.#options.clock.monotonic() + waitMs });
  }

  #changed(): void {
    const entries = [...this.#entries];
    const busy = entries.filter((entry) => entry.isTaken).length;
    this.#options.onChange?.({ running: entries.length, busy });
  }

  /** Looks at the memory while the pool lives, and gives back what idle workers hold when little is left. */
  async #guardMemory(): Promise<void> {
    const { clock } = this.#options;
    const { signal } = this.#closing;
    while (!signal.aborted) {
      await clock.sleep(GUARD_MS, signal).catch(() => {});
      if (signal.aborted || this.#entries.size === 0) continue;
      for (const entry of this.#entries) entry.rssBytes = (await entry.process.readMemory()) ?? null;
      this.#makeRoom();
    }
  }

  /** Releases the oldest idle worker when memory is short. One at a time: the next look shows what that gave back. */
  #makeRoom(): void {
    const { readAvailableBytes, minAvailableBytes } = this.#options;
    const available = readAvailableBytes();
    if (available >= minAvailableBytes) return;
    const oldest = this.#findOldestIdle();
    if (oldest === undefined) return;
    const figures = `${formatMiB(available)} are available, ${formatMiB(minAvailableBytes)} are kept free`;
    void this.#evict(oldest, `the machine runs short of memory (${figures})`);
  }

  #findOldestIdle(): Entry | undefined {
    return [...this.#entries].find((entry) => entry.state === "idle" && !entry.isTaken);
  }
}

export interface WorkerPoolOptions {
  readonly setup: WorkerSetup;
  /** Made by `createWorkerEnvironment`. */
  readonly environment: Readonly<Record<string, string>>;
  readonly clock: Clock;
  readonly logger: Logger;
  /** Shortest time that a cancelled run gets to stop, in milliseconds. */
  readonly graceMs: number;
  /** Memory that new work could use, in bytes. */
  readonly readAvailableBytes: () => number;
  /** Idle workers are released while less than this is available. */
  readonly minAvailableBytes: number;
  /** Told how many workers there are, and how many are in use. */
  readonly onChange?: (counts: { readonly running: number; readonly busy: number }) => void;
}

/** A model file and what its models allow, taken together. */
export interface PoolFile {
  readonly path: string;
  readonly limits: {
    readonly setupTimeoutMs: number;
    readonly idleMs: number;
    readonly memoryBytes: number | null;
  };
}

export interface TakeOptions {
  /** What the worker is for. */
  readonly request: { readonly id: RequestId; readonly endpointId: string };
  readonly signal: AbortSignal;
  /** Lines printed while the model loads. */
  readonly log: LogListener;
}

export interface TakenWorker {
  readonly worker: WorkerProcess;
  /** False when the model had to be loaded first. */
  readonly isWarm: boolean;
  /** Milliseconds from the start of the process to ready. */
  readonly loadMs: number;
  release(): void;
}

export interface WorkerInfo {
  readonly modelFile: string;
  readonly pid: number | null;
  readonly state: "starting" | "idle" | "busy" | "gone";
  /** Epoch milliseconds. */
  readonly startedAt: number;
  /** Null while it starts. */
  readonly loadMs: number | null;
  /** Requests it has executed. */
  readonly runs: number;
  /** Resident memory, looked at every few seconds; null when unknown. */
  readonly rssBytes: number | null;
  /** What it was taken for; null while it is idle. */
  readonly request: (TakeOptions["request"] & { readonly since: number }) | null;
}

interface Entry {
  readonly file: PoolFile;
  readonly process: WorkerProcess;
  readonly ready: Promise<WorkerProcess>;
  readonly startedAt: number;
  state: WorkerInfo["state"];
  isTaken: boolean;
  isReady: boolean;
  loadMs: number;
  runs: number;
  rssBytes: number | null;
  request: WorkerInfo["request"];
  log: LogListener | undefined;
  idle: AbortController | undefined;
}

interface Failures {
  readonly count: number;
  readonly message: string;
  /** On the monotonic clock. */
  readonly retryAt: number;
}

const LEFT = "its model file is not offered any more";
const DESCRIBE_MS = 60_000;
const GUARD_MS = 2_000;
const BACK_OFF_MS = 1_000;
const MAX_BACK_OFF_MS = 60_000;

function once(action: () => void): () => void {
  let isDone = false;
  return () => {
    if (!isDone) action();
    isDone = true;
  };
}

function abortable<T>(promise: Promise<T>, signal: AbortSignal): Promise<T> {
  return new Promise((resolve, reject) => {
    const stop = (): void => reject(signal.reason);
    signal.addEventListener("abort", stop, { once: true });
    void promise.then(resolve, reject).finally(() => signal.removeEventListener("abort", stop));
  });
}
