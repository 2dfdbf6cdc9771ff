/**
 * The engine on stable-diffusion.cpp: its program `sd-server` as a supervised child that holds one model.
 *
 * States: starting → ready ⇄ drawing → gone, and from gone to starting again: in the background after a cancel or a
 * crash, so that the weights are there for the next request, else when a request comes. The program cannot interrupt a
 * picture that it has begun, so a cancel ends it. A crash costs one more attempt at the same picture on a fresh server,
 * since the bytes depend on nothing but the job.
 */
import { setTimeout as sleep } from "node:timers/promises";
import { decodeImage } from "../../images/decode-image.ts";
import { encodeImage } from "../../images/encode-image.ts";
import { fitPicture, type Size } from "../../images/fit-picture.ts";
import { checkJob } from "../check-job.ts";
import { chooseSize } from "../choose-size.ts";
import {
  type Engine,
  EngineError,
  type EngineInfo,
  type EngineJob,
  type EngineResult,
  type EngineSink,
  type Picture,
} from "../engine.ts";
import { createStepLog } from "../step-log.ts";
import { checkWeightsFile } from "./check-weights-file.ts";
import { findSdServer, type SdServerBinary } from "./find-sd-server.ts";
import { MOST_PROMPT_CHARACTERS, toPlainPrompt } from "./plain-prompt.ts";
import type { OutputEvent } from "./read-output.ts";
import { SdServerConfused } from "./sd-server-api.ts";
import {
  checkArgs,
  type ResolvedSdServerModel,
  resolveSdServerModel,
  type SdServerModel,
} from "./sd-server-model.ts";
import { isMemoryComplaint, quote, type SdServerProcess, startSdServer } from "./sd-server-process.ts";
import { getSdServerVersion } from "./sd-server-version.ts";

export interface SdServerEngineOptions {
  readonly model: SdServerModel;
  /** Where the relative paths of the model's files start. */
  readonly folder: string;
  /** Name of the model that answers. */
  readonly name: string;
  /** Compute threads of the processor. */
  readonly threads: number;
  /** The program: a path, or a name to find on the PATH; default `sd-server`. */
  readonly binary?: string | undefined;
  /** Where programs are looked for; default the PATH of this process. */
  readonly searchPath?: string | undefined;
  /** Options of the program that this machine needs besides the model's own. */
  readonly args?: readonly string[] | undefined;
  /** Ends the start. */
  readonly signal?: AbortSignal | undefined;
  /** Longest time to load the weights, in milliseconds; default 30 minutes. */
  readonly startTimeoutMs?: number | undefined;
  /** Longest wait for an answer of the program's API, which computes elsewhere; default 30 seconds. */
  readonly replyTimeoutMs?: number | undefined;
  /** How often the program is asked whether it is done; default every 250 ms, and when it says that it is. */
  readonly pollMs?: number | undefined;
  /** Hears what happens while the model loads. */
  readonly log?: ((message: string) => void) | undefined;
  /** Monotonic milliseconds; default `performance.now`. */
  readonly now?: (() => number) | undefined;
}

/**
 * Loads a model into a `sd-server` of its own.
 * @throws EngineError when the program, a file or the memory is not what it takes, saying why
 */
export async function openSdServerEngine(options: SdServerEngineOptions): Promise<Engine> {
  const { name, folder, signal = new AbortController().signal, log = () => {}, args = [] } = options;
  checkArgs(args);
  const model = resolveSdServerModel(options.model, folder);
  for (const { path } of model.files) await checkWeightsFile(path);
  const binary = await findSdServer(options.binary, {
    searchPath: options.searchPath ?? process.env["PATH"] ?? "",
    signal,
  });
  const version = getSdServerVersion(options.model, folder, [binary.version, ...args]);
  log(`${name}@${version} runs in stable-diffusion.cpp ${binary.version}`);
  const engine = new SdServerEngine({ options, model, binary, version });
  try {
    await engine.start(signal);
    return engine;
  } catch (error) {
    await engine[Symbol.asyncDispose]();
    throw error;
  }
}

const START_TIMEOUT_MS = 1_800_000;
const REPLY_TIMEOUT_MS = 30_000;
const POLL_MS = 250;
/** A process that broke its connection is gone after this time, or it lives. */
const EXIT_MS = 1_000;
/** A picture is tried again once when the server crashes over it. */
const ATTEMPTS = 2;
/** Where distilled guidance is not asked for, what the program itself takes. */
const DEFAULT_DISTILLED = 3.5;

interface Parts {
  readonly options: SdServerEngineOptions;
  readonly model: ResolvedSdServerModel;
  readonly binary: SdServerBinary;
  readonly version: string;
}

class SdServerEngine implements Engine {
  readonly #parts: Parts;
  readonly #closing = new AbortController();
  readonly #now: () => number;
  #info: EngineInfo;
  #server: Promise<SdServerProcess> | undefined;
  #isDrawing = false;

  constructor(parts: Parts) {
    const { options, model, version } = parts;
    this.#parts = parts;
    this.#now = options.now ?? (() => performance.now());
    this.#info = { kind: "sd-server", name: options.name, version, limits: model.limits };
  }

  get info(): EngineInfo {
    return this.#info;
  }

  /** Starts the program for the first time and takes over the limits that it tells. */
  async start(signal: AbortSignal): Promise<void> {
    const { capabilities } = await this.#getServer(signal);
    const { limits } = this.#info;
    const maxSide = Math.min(limits.maxSide, capabilities.maxSide ?? limits.maxSide);
    this.#info = { ...this.#info, limits: { ...limits, maxSide } };
  }

  async generate(job: EngineJob, sink: EngineSink, signal: AbortSignal): Promise<EngineResult> {
    checkJob(job, this.info.limits);
    signal.throwIfAborted();
    this.#closing.signal.throwIfAborted();
    if (this.#isDrawing) throw new EngineError("failed", "sd-server draws one job at a time.");
    this.#isDrawing = true;
    try {
      return await this.#draw(job, sink, signal);
    } finally {
      this.#isDrawing = false;
    }
  }

  async #draw(job: EngineJob, sink: EngineSink, signal: AbortSignal): Promise<EngineResult> {
    const size = chooseSize(job, this.info.limits, (message) => sink.log(message));
    const body = await this.#createBody(job, size, sink);
    const timings = { encode: 0, inference: 0, decode: 0 };
    const pictures: Picture[] = [];
    for (const [image, seed] of job.seeds.entries()) {
      const report = createReport({ job, image, sink, timings, now: this.#now });
      pictures.push(await this.#drawOne({ ...body, seed }, size, report, sink, signal));
      sink.progress({ phase: "decode", step: 1, steps: 1, image });
    }
    return { pictures, timings };
  }

  async #drawOne(
    body: object,
    size: Size,
    report: Report,
    sink: EngineSink,
    signal: AbortSignal,
  ): Promise<Picture> {
    for (let attempt = 1; ; attempt++) {
      const server = await this.#getServer(signal);
      try {
        report.begin();
        const picture = await this.#ask(server, body, report, signal);
        report.end();
        if (picture.width === size.width && picture.height === size.height) return picture;
        throw new SdServerConfused(
          `it drew ${picture.width}x${picture.height} in place of ${size.width}x${size.height}`,
        );
      } catch (error) {
        if (signal.aborted || this.#closing.signal.aborted) {
          await this.#replace(server);
          signal.throwIfAborted();
          this.#closing.signal.throwIfAborted();
        }
        if (error instanceof EngineError) throw error;
        // A broken connection is heard of before the end of the process that broke it.
        if (!(error instanceof SdServerConfused)) await Promise.race([server.exited, sleep(EXIT_MS)]);
        const exit = await this.#replace(server);
        if (exit?.isOutOfMemory) throw createMemoryError(exit.how, exit.lastWords, error);
        const what = exit === undefined ? messageOf(error) : exit.how;
        if (attempt < ATTEMPTS) {
          sink.log(`sd-server failed (${what}): it is started again for another attempt`, "WARN");
          continue;
        }
        throw new EngineError(
          "failed",
          `sd-server failed twice on this picture: ${what}.${quote(exit?.lastWords ?? "")}`,
          {
            cause: error,
          },
        );
      } finally {
        server.listen(undefined);
      }
    }
  }

  /** One picture from a server that runs. @throws whatever goes wrong, the end of the server included */
  async #ask(server: SdServerProcess, body: object, report: Report, signal: AbortSignal): Promise<Picture> {
    const gone = new AbortController();
    void server.exited.then(({ how }) => gone.abort(new SdServerConfused(how)));
    const waiting = AbortSignal.any([signal, gone.signal, this.#closing.signal]);
    let wake = () => {};
    server.takeErrors();
    server.listen((event) => {
      report.hear(event);
      if (event.kind === "finished") wake();
    });
    const id = await server.api.submit(body, waiting);
    try {
      while (true) {
        const job = await server.api.getJob(id, waiting);
        if (job.status === "completed") return await decodePicture(job.image);
        if (job.status === "failed" || job.status === "cancelled")
          throw describeFailedJob(job.message, server);
        const nap = new AbortController();
        wake = () => nap.abort();
        await sleep(this.#parts.options.pollMs ?? POLL_MS, undefined, {
          signal: AbortSignal.any([waiting, nap.signal]),
        }).catch(() => {});
        waiting.throwIfAborted();
      }
    } catch (error) {
      if (signal.aborted && server.isAlive && server.capabilities.canCancel)
        await this.#interrupt(server, id);
      throw error;
    }
  }

  /** A release that can stop a picture half-way keeps its weights. */
  async #interrupt(server: SdServerProcess, id: string): Promise<void> {
    try {
      if (await server.api.cancel(id, this.#closing.signal)) this.#interrupted.add(server);
    } catch {
      // Then it is ended, as those are that cannot.
    }
  }

  readonly #interrupted = new WeakSet<SdServerProcess>();

  /**
   * Ends a server that is in the middle of something nobody wants, or that is confused, and starts the next in the
   * background.
   * @returns how it had ended by itself; undefined when it was ended here
   */
  async #replace(server: SdServerProcess): ReturnType<typeof endServer> {
    if (this.#interrupted.delete(server) && server.isAlive) return undefined;
    const exit = await endServer(server);
    if (this.#server !== undefined && (await this.#server.catch(() => undefined)) === server)
      this.#server = undefined;
    // A failure to start is told to whoever asks for a picture next.
    if (!this.#closing.signal.aborted) this.#startServer().catch(() => {});
    return exit;
  }

  /** The server that runs, or the next one. Waiting for it can be given up; its start goes on. */
  async #getServer(signal: AbortSignal): Promise<SdServerProcess> {
    const server = await abortable(this.#server ?? this.#startServer(), signal);
    if (server.isAlive) return server;
    this.#parts.options.log?.(`sd-server had ended (${(await server.exited).how}): it is started again`);
    this.#server = undefined;
    return await abortable(this.#startServer(), signal);
  }

  #startServer(): Promise<SdServerProcess> {
    const { options, model, binary } = this.#parts;
    const log = options.log ?? (() => {});
    const startedAt = this.#now();
    const starting = startSdServer(
      {
        binary: binary.path,
        args: createArgs(this.#parts),
        startTimeoutMs: options.startTimeoutMs ?? START_TIMEOUT_MS,
        replyTimeoutMs: options.replyTimeoutMs ?? REPLY_TIMEOUT_MS,
        onStart: createLoadReport(log),
      },
      this.#closing.signal,
    ).then(async (server) => {
      const problem = findProblem(server, model);
      if (problem === undefined) {
        log(`${options.name} is loaded after ${((this.#now() - startedAt) / 1000).toFixed(1)} s`);
        return server;
      }
      await server[Symbol.asyncDispose]();
      throw new EngineError("failed", problem);
    });
    this.#server = starting;
    // The next one who asks starts it again.
    starting.catch(() => {
      if (this.#server === starting) this.#server = undefined;
    });
    return starting;
  }

  async #createBody(job: EngineJob, size: Size, sink: EngineSink): Promise<object> {
    const { model } = this.#parts;
    const { sampler, scheduler, flowShift, guidance, guidanceKind = "classifier-free" } = model;
    const prompt = toPlainPrompt(job.prompt);
    const negative = toPlainPrompt(job.negativePrompt ?? "");
    if (prompt.isCut || negative.isCut)
      sink.log(`the prompt is longer than the ${MOST_PROMPT_CHARACTERS} characters that are read`, "WARN");
    const isDoubled = guidance !== null && guidanceKind === "classifier-free" && job.guidance > 1;
    if (job.negativePrompt && !isDoubled)
      sink.log("without classifier-free guidance a negative prompt changes nothing", "WARN");
    return {
      prompt: prompt.text,
      negative_prompt: negative.text,
      ...size,
      // One job per picture, so that progress is told for each and none depends on how many there are.
      batch_count: 1,
      sample_params: {
        sample_steps: job.steps,
        ...(sampler === undefined ? {} : { sample_method: sampler }),
        ...(scheduler === undefined ? {} : { scheduler }),
        ...(flowShift === undefined ? {} : { flow_shift: flowShift }),
        // Always both: left out, the first is 7 and doubles the work of a model that needs none.
        guidance: {
          txt_cfg: isDoubled ? job.guidance : 1,
          distilled_guidance:
            guidance !== null && guidanceKind === "distilled" ? job.guidance : DEFAULT_DISTILLED,
        },
      },
      output_format: "png",
      embed_image_metadata: false,
      ...(job.init === undefined ? {} : await createInit(job.init, size)),
    };
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#closing.abort(new EngineError("failed", "The engine is closed."));
    const server = await this.#server?.catch(() => undefined);
    await server?.[Symbol.asyncDispose]();
  }
}

function createArgs({ options, model, binary }: Parts): string[] {
  return [
    ...model.files.flatMap(({ role, path }) => [`--${role}`, path]),
    "--threads",
    String(options.threads),
    // Noise as torch draws it on the processor, and not as a graphics card does.
    "--rng",
    "cpu",
    ...(binary.loadsEagerly ? ["--eager-load"] : []),
    ...(model.quantize === undefined ? [] : ["--type", model.quantize]),
    ...(model.args ?? []),
    ...(options.args ?? []),
  ];
}

/** A name that the program does not know is silently replaced by a default there. */
function findProblem({ capabilities }: SdServerProcess, model: ResolvedSdServerModel): string | undefined {
  const { samplers, schedulers, modelPath } = capabilities;
  const path = (
    model.files.find(({ role }) => role === "model") ??
    model.files.find(({ role }) => role === "diffusion-model")
  )?.path;
  if (modelPath !== path)
    return `Another sd-server answers at this port, with the model ${modelPath}. Try again.`;
  if (!capabilities.makesImages)
    return "This model makes videos, no pictures. Choose one that makes pictures.";
  if (model.sampler !== undefined && !samplers.includes(model.sampler))
    return `sd-server does not know the sampler "${model.sampler}"; it knows ${samplers.join(", ")}.`;
  if (model.scheduler !== undefined && !schedulers.includes(model.scheduler))
    return `sd-server does not know the scheduler "${model.scheduler}"; it knows ${schedulers.join(", ")}.`;
  return undefined;
}

/** Tells how far the weights are, ten times in all, and what the program warns of. */
function createLoadReport(log: (message: string) => void): (event: OutputEvent) => void {
  let told = 0;
  return (event) => {
    if (event.kind === "loading") {
      const tenths = Math.floor((10 * event.done) / Math.max(1, event.of));
      if (tenths < told) told = 0;
      if (tenths > told) log(`loading weights: ${10 * tenths} %`);
      told = tenths;
    } else if (event.kind === "line" && (event.level === "WARN" || event.level === "ERROR")) log(event.text);
  };
}

/** Turns what the program prints while it draws one picture into progress, log lines and timings. */
interface Report {
  begin(): void;
  hear(event: OutputEvent): void;
  end(): void;
}

function createReport(options: {
  readonly job: EngineJob;
  readonly image: number;
  readonly sink: EngineSink;
  readonly timings: { encode: number; inference: number; decode: number };
  readonly now: () => number;
}): Report {
  const { job, image, sink, timings, now } = options;
  const logStep = createStepLog({ images: job.seeds.length, image, sink, now });
  let phase: keyof typeof timings = "encode";
  let since = now();
  let told = 0;
  const enter = (next: keyof typeof timings): void => {
    const at = now();
    timings[phase] += (at - since) / 1000;
    since = at;
    phase = next;
  };
  return {
    begin() {
      phase = "encode";
      since = now();
      told = 0;
    },
    hear(event) {
      switch (event.kind) {
        case "sampling":
          enter("inference");
          sink.progress({ phase: "encode", step: 1, steps: 1, image });
          break;
        case "steps":
          // Tiles of the decoder and of an upscaler are drawn as bars too.
          if (phase !== "inference" || event.done <= told) break;
          told = event.done;
          sink.progress({ phase: "denoise", step: event.done, steps: event.of, image });
          logStep(event.done, event.of);
          break;
        case "sampled":
          enter("decode");
          break;
        case "line":
          if (event.level === "WARN" || event.level === "ERROR") sink.log(event.text, event.level);
          break;
      }
    },
    end: () => enter(phase),
  };
}

async function createInit(init: NonNullable<EngineJob["init"]>, size: Size): Promise<object> {
  const { rgb, width, height, strength } = init;
  const { bytes } = await encodeImage(await fitPicture({ rgb, width, height }, size), { format: "png" });
  return { init_image: Buffer.from(bytes).toString("base64"), strength };
}

async function decodePicture(bytes: Uint8Array): Promise<Picture> {
  try {
    return await decodeImage(bytes, { loc: [] });
  } catch (cause) {
    throw new SdServerConfused("its picture cannot be read", { cause });
  }
}

/** A job that failed leaves the server as it was, and another attempt would fail the same way. */
function describeFailedJob(message: string, server: SdServerProcess): EngineError {
  const errors = server.takeErrors().join("\n");
  return isMemoryComplaint(`${message}\n${errors}`)
    ? createMemoryError(message, errors, undefined)
    : new EngineError("failed", `sd-server could not draw the picture: ${message}.${quote(errors)}`);
}

function createMemoryError(what: string, words: string, cause: unknown): EngineError {
  return new EngineError(
    "out_of_memory",
    `sd-server ran out of memory while it drew (${what}). Ask for a smaller picture, use a more quantised file, or "args" such as --vae-tiling, --offload-to-cpu or --max-vram.${quote(words)}`,
    { cause },
  );
}

async function endServer(server: SdServerProcess): Promise<Awaited<SdServerProcess["exited"]> | undefined> {
  const hadEnded = !server.isAlive;
  await server[Symbol.asyncDispose]();
  return hadEnded ? await server.exited : undefined;
}

function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}

function abortable<T>(promise: Promise<T>, signal: AbortSignal): Promise<T> {
  return new Promise((resolve, reject) => {
    const stop = (): void => reject(signal.reason);
    if (signal.aborted) stop();
    signal.addEventListener("abort", stop, { once: true });
    void promise.then(resolve, reject).finally(() => signal.removeEventListener("abort", stop));
  });
}
