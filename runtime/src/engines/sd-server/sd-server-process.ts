import type { ChildProcess } from "node:child_process";
import { createServer } from "node:net";
import { setTimeout as sleep } from "node:timers/promises";
import { EngineError } from "../engine.ts";
import { createOutputReader, type OutputEvent } from "./read-output.ts";
import {
  createSdServerApi,
  type SdCapabilities,
  type SdServerApi,
  SdServerConfused,
} from "./sd-server-api.ts";
import { spawnTied } from "./spawn-tied.ts";

export interface SdServerProcessOptions {
  readonly binary: string;
  /** All but the address. */
  readonly args: readonly string[];
  /** Longest time until it takes requests: it reads the weights first. */
  readonly startTimeoutMs: number;
  /** Longest wait for one answer of its API. */
  readonly replyTimeoutMs: number;
  /** Hears what it prints while it starts. */
  readonly onStart: (event: OutputEvent) => void;
}

/** How a server ended. */
export interface SdServerExit {
  /** `it exited with code 1`, `it died of SIGSEGV`. */
  readonly how: string;
  readonly isOutOfMemory: boolean;
  /** What it said last, for errors. */
  readonly lastWords: string;
}

/** One running `sd-server`, ready for requests. Disposing ends it at once: there is nothing in it to lose. */
export interface SdServerProcess extends AsyncDisposable {
  readonly api: SdServerApi;
  readonly capabilities: SdCapabilities;
  readonly pid: number | undefined;
  /** Resolves when it is gone, by itself or not. */
  readonly exited: Promise<SdServerExit>;
  readonly isAlive: boolean;
  /** Who hears what it prints from now on; one at a time. */
  listen(listener: ((event: OutputEvent) => void) | undefined): void;
  /** The errors among its last lines since the last call. */
  takeErrors(): readonly string[];
}

const READY_POLL_MS = 100;
/** Another program may take the free port first. */
const PORT_TRIES = 3;
const LAST_LINES = 12;
const MEMORY =
  /out of memory|bad_alloc|failed to allocate|cannot allocate|alloc\w* (?:.*)failed|ErrorOutOfDeviceMemory/i;

/**
 * Starts a server on a free port of this machine's loopback and waits until it takes requests.
 * @throws EngineError; the signal's reason
 */
export async function startSdServer(
  options: SdServerProcessOptions,
  signal: AbortSignal,
): Promise<SdServerProcess> {
  for (let attempt = 1; ; attempt++) {
    signal.throwIfAborted();
    const port = await findFreePort();
    const running = new RunningServer(options, port);
    try {
      await running.waitUntilReady(signal);
      return running;
    } catch (error) {
      const exit = await running.end();
      signal.throwIfAborted();
      if (PORT_TAKEN.test(exit.lastWords) && attempt < PORT_TRIES) continue;
      throw error;
    }
  }
}

const PORT_TAKEN = /address already in use|failed to (?:bind|listen)|couldn't bind|listening on: http/i;

/** Whether memory is what a program complains about. */
export function isMemoryComplaint(text: string): boolean {
  return MEMORY.test(text);
}

class RunningServer implements SdServerProcess {
  readonly api: SdServerApi;
  readonly exited: Promise<SdServerExit>;
  readonly #options: SdServerProcessOptions;
  readonly #child: ChildProcess;
  readonly #lastLines: string[] = [];
  #errors: string[] = [];
  #listener: ((event: OutputEvent) => void) | undefined;
  #capabilities: SdCapabilities | undefined;
  #exit: SdServerExit | undefined;

  constructor(options: SdServerProcessOptions, port: number) {
    this.#options = options;
    this.#listener = options.onStart;
    const args = ["--listen-ip", "127.0.0.1", "--listen-port", String(port), ...options.args];
    this.#child = spawnTied(options.binary, args);
    this.api = createSdServerApi(`http://127.0.0.1:${port}`, options.replyTimeoutMs);
    this.#read("stdout");
    this.#read("stderr");
    this.exited = new Promise((resolve) => {
      const end = (how: string, isOutOfMemory = false): void => {
        const lastWords = this.#lastLines.join("\n");
        this.#exit ??= { how, isOutOfMemory: isOutOfMemory || isMemoryComplaint(lastWords), lastWords };
        resolve(this.#exit);
      };
      this.#child.once("error", (error) => end(error.message));
      // `close` comes when all its output has been read.
      this.#child.once("close", (code, name) => {
        if (name === null) return end(`it exited with code ${code}`);
        // Nobody else sends SIGKILL to a server that nobody ended: on Linux that is a machine without memory.
        end(`it died of ${name}`, name === "SIGKILL" && !this.#isEnding);
      });
    });
  }

  #isEnding = false;

  get pid(): number | undefined {
    return this.#child.pid;
  }

  get isAlive(): boolean {
    return this.#exit === undefined && !this.#isEnding;
  }

  get capabilities(): SdCapabilities {
    if (this.#capabilities === undefined) throw new TypeError("sd-server is not ready yet");
    return this.#capabilities;
  }

  listen(listener: ((event: OutputEvent) => void) | undefined): void {
    this.#listener = listener;
  }

  takeErrors(): readonly string[] {
    const errors = this.#errors;
    this.#errors = [];
    return errors;
  }

  async waitUntilReady(signal: AbortSignal): Promise<void> {
    const { startTimeoutMs } = this.#options;
    const deadline = AbortSignal.timeout(startTimeoutMs);
    const gone = new AbortController();
    void this.exited.then(() => gone.abort());
    const waiting = AbortSignal.any([signal, deadline, gone.signal]);
    try {
      while (true) {
        const found = await this.api.findCapabilities(waiting);
        waiting.throwIfAborted();
        if (found !== undefined) {
          this.#capabilities = found;
          this.#listener = undefined;
          return;
        }
        await sleep(READY_POLL_MS, undefined, { signal: waiting });
      }
    } catch (cause) {
      signal.throwIfAborted();
      if (this.#exit !== undefined) throw describeFailedStart(this.#exit);
      if (deadline.aborted) {
        const seconds = startTimeoutMs / 1000;
        throw new EngineError(
          "unavailable",
          `sd-server did not take requests within ${seconds} seconds of its start.${quote(this.#lastLines.join("\n"))}`,
        );
      }
      if (cause instanceof SdServerConfused)
        throw new EngineError(
          "unavailable",
          `The program does not speak sd-server's API: ${cause.message}.`,
          { cause },
        );
      throw cause;
    }
  }

  async end(): Promise<SdServerExit> {
    this.#isEnding = true;
    this.#child.kill("SIGKILL");
    return await this.exited;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.end();
  }

  #read(name: "stdout" | "stderr"): void {
    const stream = this.#child[name];
    if (stream === null) return;
    const reader = createOutputReader((event) => {
      if (event.kind === "line") this.#keep(event.text, event.level === "ERROR" || name === "stderr");
      this.#listener?.(event);
    });
    stream.setEncoding("utf8");
    stream.on("data", (text: string) => reader.push(text));
    stream.on("end", () => reader.end());
  }

  #keep(text: string, isError: boolean): void {
    if (this.#lastLines.push(text) > LAST_LINES) this.#lastLines.shift();
    if (isError && this.#errors.push(text) > LAST_LINES) this.#errors.shift();
  }
}

function describeFailedStart({ how, isOutOfMemory, lastWords }: SdServerExit): EngineError {
  return isOutOfMemory
    ? new EngineError(
        "out_of_memory",
        `There is not enough memory for this model: sd-server ended while it was loading it, ${how}. Use a smaller or more quantised file, or "args" such as --offload-to-cpu or --max-vram.${quote(lastWords)}`,
      )
    : new EngineError("failed", `sd-server could not load the model: ${how}.${quote(lastWords)}`);
}

/** Its own words at the end of a message. */
export function quote(words: string): string {
  return words === "" ? "" : ` It said: ${words.split("\n").slice(-6).join(" / ").slice(0, 1_000)}`;
}

async function findFreePort(): Promise<number> {
  const server = createServer();
  try {
    return await new Promise<number>((resolve, reject) => {
      server.once("error", reject);
      server.listen(0, "127.0.0.1", () => {
        const address = server.address();
        resolve(typeof address === "object" && address !== null ? address.port : 0);
      });
    });
  } finally {
    await new Promise((resolve) => server.close(resolve));
  }
}
