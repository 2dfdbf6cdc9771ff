/**
 * How fast are open models drawn on the processor? Our engine on onnxruntime against diffusers on torch, and against
 * stable-diffusion.cpp where its sd-server is given: the same random weights, prompt, seed, size and steps, each in a
 * process of its own, in turns. Besides: what a step of ours costs beyond the native call, and the most memory of each.
 *
 *     node scripts/parity/write-tokenizers.ts MODELS/tokenizers
 *     PYTHON bench/diffusion/make_models.py MODELS
 *     PYTHON bench/diffusion/write_checkpoint.py MODELS/sd15/torch MODELS/sd15/sd15.safetensors   # for sd-server
 *     node bench/diffusion.ts --models MODELS --python PYTHON [--model sd15] [--sd-server PATH] [--rounds 3]
 *
 * PYTHON is that of an environment with scripts/parity/requirements.txt.
 */
import { type ChildProcess, fork, spawn } from "node:child_process";
import { readFileSync } from "node:fs";
import { availableParallelism } from "node:os";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { fileURLToPath } from "node:url";
import { parseArgs } from "node:util";
import { type Engine, openDiffusionEngine, openSdServerEngine } from "@sluice/runtime/engines";
import { InferenceSession } from "onnxruntime-node";
import {
  describeLoad,
  type Figure,
  print,
  printBudget,
  printFigures,
  printHeader,
} from "./measuring/report.ts";
import { readCpuMs } from "./measuring/start-process.ts";
import { getSpread } from "./measuring/statistics.ts";

const { values } = parseArgs({
  options: {
    models: { type: "string" },
    model: { type: "string", default: "sd15" },
    python: { type: "string", default: "python3" },
    "sd-server": { type: "string" },
    rounds: { type: "string", default: "3" },
    steps: { type: "string", default: "4" },
    size: { type: "string", default: "256" },
    threads: { type: "string", default: String(availableParallelism()) },
    serve: { type: "string" },
  },
});
const root = values.models ?? "";
const JOB = { prompt: "a cat beside a dog", size: Number(values.size), steps: Number(values.steps) };
const threads = Number(values.threads);

interface Drawn {
  readonly seconds: number;
  readonly stepMs: readonly number[];
  /** CPU time of all threads: what a busy machine disturbs least. */
  readonly stepCpuMs: readonly number[];
  readonly decodeSeconds: number;
  readonly decodeCpuMs: number;
  /** Time of the steps inside native calls, where it is known. */
  readonly nativeMs?: number;
}

if (values.serve !== undefined) await serve(values.serve);
else await compare();

async function compare(): Promise<void> {
  printHeader(
    `A picture of ${JOB.size}×${JOB.size} in ${JOB.steps} steps with random weights: ${values.model}`,
  );
  const subjects = [await startOwn("ours"), await startTorch()];
  if (values["sd-server"] !== undefined) subjects.push(await startOwn("sd-server"));
  const all = subjects.map(() => [] as Drawn[]);
  // The first picture warms up.
  for (let round = -1; round < Number(values.rounds); round++)
    for (const [i, subject] of subjects.entries()) {
      const drawn = await subject.draw(Math.max(0, round));
      const { seconds, stepMs } = drawn;
      process.stderr.write(
        `${subject.name}: ${seconds.toFixed(1)} s, a step ${getSpread(stepMs).median.toFixed(0)} ms\n`,
      );
      if (round >= 0) all[i]?.push(drawn);
    }
  const [ours = []] = all;
  const figures: Figure[] = subjects.flatMap(({ name, readPeakBytes }, i) => {
    const rounds = all[i] ?? [];
    const median = (pick: (drawn: Drawn) => number) => getSpread(rounds.map(pick));
    return [
      { name: `${name}: picture`, unit: "s", ...median(({ seconds }) => seconds) },
      { name: `${name}: step`, unit: "ms", ...median(({ stepMs }) => getSpread(stepMs).median) },
      { name: `${name}: step, CPU`, unit: "ms", ...median(({ stepCpuMs }) => getSpread(stepCpuMs).median) },
      { name: `${name}: decode`, unit: "s", ...median(({ decodeSeconds }) => decodeSeconds) },
      { name: `${name}: decode, CPU`, unit: "ms", ...median(({ decodeCpuMs }) => decodeCpuMs) },
      { name: `${name}: most memory`, unit: "MiB", ...getSpread([readPeakBytes() / 2 ** 20]) },
    ];
  });
  for (const [i, subject] of subjects.entries())
    if (i > 0)
      for (const [what, pick] of [
        ["picture", ({ seconds }: Drawn) => seconds],
        ["step", ({ stepMs }: Drawn) => getSpread(stepMs).median],
        ["step by CPU", ({ stepCpuMs }: Drawn) => getSpread(stepCpuMs).median],
        ["decode by CPU", ({ decodeCpuMs }: Drawn) => decodeCpuMs],
      ] as const) {
        const ratios = ours.map((own, round) => pick(all[i]?.[round] ?? own) / pick(own));
        figures.push({ name: `${subject.name} / ours, ${what}`, unit: "×", ...getSpread(ratios) });
      }
  const overheads = ours.map(({ stepMs, nativeMs = 0 }) => {
    const whole = stepMs.reduce((sum, ms) => sum + ms, 0);
    return (100 * (whole - nativeMs)) / nativeMs;
  });
  figures.push({ name: "ours: a step over the sessions alone", unit: "%", ...getSpread(overheads) });
  print(`${values.rounds} rounds, ${threads} threads each; ${describeLoad()} at the end`);
  for (const { name, ready } of subjects) print(`${name}: ${ready}`);
  print("");
  printFigures(figures);
  print("");
  const torch = figures.find(({ name }) => name === "diffusers / ours, step");
  printBudget("a step is at least 1.5 × as fast as diffusers'", (torch?.median ?? 0) >= 1.5);
  printBudget("a step costs less than 3 % over the sessions alone", getSpread(overheads).median < 3);
  for (const { end } of subjects) end();
}

interface Subject {
  readonly name: string;
  readonly ready: string;
  draw(seed: number): Promise<Drawn>;
  /** Of the process that computes, since its start. */
  readPeakBytes(): number;
  end(): void;
}

async function startOwn(name: "ours" | "sd-server"): Promise<Subject> {
  const child = fork(fileURLToPath(import.meta.url), [...process.argv.slice(2), "--serve", name]);
  const { ready, pid } = await nextMessage<{ ready: string; pid: number }>(child);
  return {
    name,
    ready,
    draw(seed) {
      child.send({ seed });
      return nextMessage<Drawn>(child);
    },
    readPeakBytes: () => readPeakBytes(pid),
    end: () => void child.kill(),
  };
}

function nextMessage<T>(child: ChildProcess): Promise<T> {
  return new Promise((resolve, reject) => {
    child.once("message", (message) => resolve(message as T));
    child.once("exit", (code) => reject(new Error(`The process ended with ${code}.`)));
  });
}

async function startTorch(): Promise<Subject> {
  const worker = fileURLToPath(new URL("diffusion/torch_worker.py", import.meta.url));
  const child = spawn(values.python, [worker, root, values.model, String(threads)], {
    stdio: ["pipe", "pipe", "inherit"],
  });
  const lines = createInterface({ input: child.stdout })[Symbol.asyncIterator]();
  const next = async () => JSON.parse((await lines.next()).value ?? "null");
  const { ready } = (await next()) as { ready: string };
  return {
    name: "diffusers",
    ready,
    draw(seed) {
      child.stdin.write(`${JSON.stringify({ ...JOB, seed })}\n`);
      return next();
    },
    readPeakBytes: () => readPeakBytes(child.pid ?? 0),
    end: () => void child.kill(),
  };
}

/** Linux only. */
function readPeakBytes(pid: number): number {
  return 1024 * Number(/^VmHWM:\s+(\d+) kB$/m.exec(readFileSync(`/proc/${pid}/status`, "latin1"))?.[1]);
}

/** The child: an engine of ours, which draws when it is told a seed. */
async function serve(name: string): Promise<void> {
  const native: { readonly session: object; readonly ms: number }[] = [];
  measureNativeCalls(native);
  const engine = name === "ours" ? await openOurs() : await openSdServer();
  const pid = name === "ours" ? process.pid : findChild();
  process.on("message", ({ seed }: { seed: number }) => void draw(engine, pid, seed, native));
  process.send?.({ ready: `${engine.info.kind} ${engine.info.version}`, pid });
}

function openOurs(): Promise<Engine> {
  const folder = join(root, values.model);
  return openDiffusionEngine({ folder, name: values.model, threads, provider: "cpu" });
}

function openSdServer(): Promise<Engine> {
  return openSdServerEngine({
    model: {
      files: { model: `${values.model}.safetensors` },
      steps: { min: 1, max: 50, default: 20 },
      guidance: { min: 1, max: 20, default: 7.5 },
      sampler: "euler",
      multipleOf: 8,
    },
    folder: join(root, values.model),
    name: values.model,
    threads,
    binary: values["sd-server"],
  });
}

async function draw(
  engine: Engine,
  pid: number,
  seed: number,
  native: { session: object; ms: number }[],
): Promise<void> {
  native.length = 0;
  const at: number[] = [];
  const cpu: number[] = [];
  const nativeBefore: number[] = [];
  let decodedCpu = Number.NaN;
  const sink = {
    log: () => {},
    preview: () => {},
    progress: ({ phase }: { phase: string }) => {
      if (phase === "decode") decodedCpu = readCpuMs(pid);
      if (phase !== "denoise") return;
      at.push(performance.now());
      cpu.push(readCpuMs(pid));
      nativeBefore.push(native.reduce((sum, { ms }) => sum + ms, 0));
    },
  };
  const { prompt, size, steps } = JOB;
  const guidance = engine.info.limits.guidance === undefined ? 1 : 7.5;
  const job = { prompt, width: size, height: size, steps, guidance, seeds: [seed], wantsPreviews: false };
  const started = performance.now();
  const { timings } = await engine.generate(job, sink, new AbortController().signal);
  process.send?.({
    seconds: (performance.now() - started) / 1000,
    stepMs: at.slice(1).map((time, i) => time - (at[i] ?? 0)),
    stepCpuMs: cpu.slice(1).map((time, i) => time - (cpu[i] ?? 0)),
    decodeSeconds: timings["decode"] ?? 0,
    decodeCpuMs: decodedCpu - (cpu.at(-1) ?? Number.NaN),
    nativeMs: (nativeBefore.at(-1) ?? 0) - (nativeBefore[0] ?? 0),
  } satisfies Drawn);
}

function measureNativeCalls(native: { session: object; ms: number }[]): void {
  // The class is a value at run time, though its type says that it only makes sessions.
  const { prototype } = InferenceSession as unknown as {
    prototype: { run(...args: unknown[]): Promise<unknown> };
  };
  const { run } = prototype;
  prototype.run = async function (this: object, ...args: unknown[]) {
    const startedAt = performance.now();
    const answer = await run.apply(this, args);
    native.push({ session: this, ms: performance.now() - startedAt });
    return answer;
  };
}

/** The program that the engine has started. */
function findChild(): number {
  const children = readFileSync(`/proc/${process.pid}/task/${process.pid}/children`, "latin1").trim();
  return Number(children.split(" ")[0]);
}
