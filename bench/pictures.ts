/**
 * How long does the shipped model take for a picture, and how much of that is ours? A picture of 1024×768 at 28 and at
 * 4 steps, first through `sluice serve` (load time, seconds per picture, memory of the worker), then with the engine
 * in this process, where the time inside the native call of ONNX Runtime is taken from the time of the steps: what is
 * left is the pipeline's own.
 *
 *     node bench/pictures.ts [--rounds 3] [--prompt "a red apple on a white table"]
 */
import { readFileSync } from "node:fs";
import { readdir } from "node:fs/promises";
import { availableParallelism } from "node:os";
import { fileURLToPath } from "node:url";
import { parseArgs } from "node:util";
import { openTinyEngine } from "@sluice/runtime/engines";
import { InferenceSession } from "onnxruntime-node";
import { HttpConnection } from "./measuring/http-connection.ts";
import {
  type Figure,
  print,
  printBudget,
  printConditions,
  printFigures,
  printHeader,
} from "./measuring/report.ts";
import { readResidentBytes } from "./measuring/start-process.ts";
import { startSluice } from "./measuring/start-sluice.ts";
import { getSpread } from "./measuring/statistics.ts";
import { makeTemporaryFolder } from "./measuring/temporary-folder.ts";

const { values } = parseArgs({
  options: {
    rounds: { type: "string", default: "3" },
    prompt: { type: "string", default: "a red apple on a white table" },
  },
});
const rounds = Number(values.rounds);
const { prompt } = values;
const SIZE = { width: 1_024, height: 768 };
const STEPS = [28, 4];

printHeader("Pictures of 1024×768 with the shipped model");
const figures: Figure[] = [];
await measureServer();
const shares = await measureEngine();
printConditions(`${rounds} rounds`);
printFigures(figures);
print("");
printBudget("a step costs less than 3 % over the ONNX session alone", getSpread(shares).median < 3);

async function measureServer(): Promise<void> {
  await using folder = await makeTemporaryFolder();
  await using sluice = await startSluice({ dataFolder: folder.path, hasShippedModels: true, modelFiles: [] });
  const connection = await HttpConnection.open(sluice.url, { authorization: `Key ${sluice.credential}` });
  const draw = async (steps: number, seed: number): Promise<number> => {
    const startedAt = performance.now();
    const { status, body } = await connection.send(
      "POST",
      "/run/fal-ai/flux-pro",
      JSON.stringify({ prompt, image_size: SIZE, num_inference_steps: steps, seed }),
    );
    if (status !== 200 || !body.includes('"width":1024')) throw new Error(`Answered ${status}: ${body}`);
    return (performance.now() - startedAt) / 1_000;
  };
  // The smallest picture is nearly all load.
  const cold = await draw(4, 0);
  const warm = await draw(4, 0);
  figures.push({
    name: "first picture, 4 steps, model not loaded",
    unit: "s",
    min: cold,
    median: cold,
    max: cold,
  });
  figures.push({ name: "of which load", unit: "s", ...getSpread([Math.max(0, cold - warm)]) });
  for (const steps of STEPS) {
    const seconds: number[] = [];
    for (let round = 0; round < rounds; round++) seconds.push(await draw(steps, round));
    figures.push({ name: `through the server, ${steps} steps`, unit: "s/picture", ...getSpread(seconds) });
  }
  const workers = await listChildren(sluice.pid);
  const largest = Math.max(...workers.map(readResidentBytes)) / 2 ** 20;
  figures.push({ name: "resident memory of the worker", unit: "MiB", ...getSpread([largest]) });
  figures.push({
    name: "resident memory of the server",
    unit: "MiB",
    ...getSpread([sluice.readResidentBytes() / 2 ** 20]),
  });
  connection.close();
}

/** Percent that a step takes beyond the native call. */
async function measureEngine(): Promise<number[]> {
  const native: { readonly session: object; readonly ms: number }[] = [];
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
  const loadedAt = performance.now();
  await using engine = await openTinyEngine({
    folder: fileURLToPath(new URL("../models/tiny/", import.meta.url)),
    name: "sluice-tiny",
    threads: availableParallelism(),
  });
  const loadSeconds = (performance.now() - loadedAt) / 1_000;
  figures.push({ name: "engine: open", unit: "s", ...getSpread([loadSeconds]) });
  const sink = { log() {}, progress() {}, preview() {} };
  const shares: number[] = [];
  for (const steps of STEPS) {
    const phases = { encode: [] as number[], inference: [] as number[], decode: [] as number[] };
    const ownShares: number[] = [];
    const stepMs: number[] = [];
    for (let round = 0; round <= rounds; round++) {
      native.length = 0;
      const job = { prompt, ...SIZE, steps, guidance: 3.5, seeds: [round], wantsPreviews: false };
      const { timings } = await engine.generate(job, sink, new AbortController().signal);
      // The first picture warms up.
      if (round === 0) continue;
      // The text encoder runs first; then comes the network of the steps.
      const transformer = native[1]?.session;
      const inside = native
        .filter((call) => call.session === transformer)
        .slice(0, steps)
        .reduce((sum, call) => sum + call.ms, 0);
      const whole = (timings["inference"] ?? 0) * 1_000;
      ownShares.push((100 * (whole - inside)) / inside);
      stepMs.push(whole / steps);
      for (const phase of ["encode", "inference", "decode"] as const) phases[phase].push(timings[phase] ?? 0);
    }
    shares.push(...ownShares);
    figures.push({ name: `engine, ${steps} steps: a step`, unit: "ms", ...getSpread(stepMs) });
    figures.push({ name: `engine, ${steps} steps: over the session`, unit: "%", ...getSpread(ownShares) });
    figures.push({ name: `engine, ${steps} steps: encode`, unit: "s", ...getSpread(phases.encode) });
    figures.push({ name: `engine, ${steps} steps: denoise`, unit: "s", ...getSpread(phases.inference) });
    figures.push({ name: `engine, ${steps} steps: decode`, unit: "s", ...getSpread(phases.decode) });
  }
  return shares;
}

/** Process ids of the children of a process. Linux only. */
async function listChildren(pid: number): Promise<number[]> {
  const children: number[] = [];
  for (const task of await readdir(`/proc/${pid}/task`)) {
    const line = readFileSync(`/proc/${pid}/task/${task}/children`, "latin1").trim();
    if (line !== "") children.push(...line.split(" ").map(Number));
  }
  return children;
}
