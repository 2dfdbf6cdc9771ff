/**
 * Stands in for stable-diffusion.cpp's `sd-server`: a process that takes its options, prints what it prints and
 * answers its native API as it does (recorded from release 827), with made-up pictures, and that can be told to
 * misbehave. Started by the script that `replay-sd-server.ts` writes.
 *
 *     node replay-sd-server-program.ts FOLDER [sd-server's options]
 */
import { createHash } from "node:crypto";
import { appendFileSync, readFileSync, writeFileSync } from "node:fs";
import { createServer, type IncomingMessage, type ServerResponse } from "node:http";
import { basename, join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { parseArgs } from "node:util";
import { deflateSync } from "node:zlib";
import { createPngChunk } from "../images/png-text.ts";
import { readFixture } from "./read-fixture.ts";
import type { ReplayBehaviour } from "./replay-sd-server.ts";

const [folder = "", ...args] = process.argv.slice(2);
const recorded = readFixture<{ readonly capabilities: Fields }>("sd-server.json");

type Fields = Readonly<Record<string, unknown>>;

interface Job {
  readonly id: string;
  readonly created: number;
  readonly body: Fields;
  readonly misbehaves: boolean;
  status: "queued" | "generating" | "completed" | "failed";
  started: number | null;
  completed: number | null;
  picture: string | undefined;
  message: string | undefined;
}

const OPTIONS = {
  "listen-ip": { type: "string" },
  "listen-port": { type: "string" },
  model: { type: "string" },
  "diffusion-model": { type: "string" },
  vae: { type: "string" },
  tae: { type: "string" },
  clip_l: { type: "string" },
  clip_g: { type: "string" },
  t5xxl: { type: "string" },
  llm: { type: "string" },
  threads: { type: "string" },
  rng: { type: "string" },
  type: { type: "string" },
  "max-vram": { type: "string" },
  "eager-load": { type: "boolean" },
  "offload-to-cpu": { type: "boolean" },
  "vae-tiling": { type: "boolean" },
} as const;

await serve();

/** Read anew each time, so that a test can change it while the program runs. */
function behave(): ReplayBehaviour {
  return JSON.parse(readFileSync(join(folder, "behaviour.json"), "utf8"));
}

async function serve(): Promise<void> {
  const options = readOptions();
  const starts = countUp("starts");
  note({ start: args });
  process.stdout.write("[INFO ] stable-diffusion.cpp:713  - loading model from '/somewhere'\n");
  await load();
  const behaviour = behave();
  if (behaviour.hang === "start") {
    setInterval(() => {}, 1_000);
    return;
  }
  if (behaviour.failsToLoad !== undefined && starts > (behaviour.worksForStarts ?? 0)) {
    process.stderr.write(`[ERROR] stable-diffusion.cpp:889  - ${behaviour.failsToLoad}\n`);
    process.stderr.write("[ERROR] main.cpp:78   - new_sd_ctx_t failed\n");
    process.exit(1);
  }
  const server = createServer((request, response) => void answer(request, response, options));
  server.on("error", () => process.exit(0));
  server.listen(Number(options["listen-port"]), String(options["listen-ip"]));
}

function readOptions(): Readonly<Record<string, string | boolean | undefined>> {
  try {
    return parseArgs({ args, options: OPTIONS, strict: true }).values;
  } catch (error) {
    process.stderr.write(`[ERROR] common.cpp:300  - error: ${String(error)}\n`);
    process.stdout.write("Usage: sd-server [options]\n");
    process.exit(1);
  }
}

/** As the real one prints while it reads weights. */
async function load(): Promise<void> {
  const of = 20;
  for (let done = 1; done <= of; done++) {
    await sleep((behave().loadMs ?? 0) / of);
    const bar = "#".repeat(Math.floor((done * 50) / of)).padEnd(50);
    process.stdout.write(`\r  |${bar}| ${done}/${of} - 1.48GB/s\u001b[K${done === of ? "\n" : ""}`);
  }
}

const jobs = new Map<string, Job>();
let isHanging = false;

async function answer(
  request: IncomingMessage,
  response: ServerResponse,
  options: Readonly<Record<string, string | boolean | undefined>>,
): Promise<void> {
  if (isHanging) return;
  const reply: Reply = (status, body) => {
    response.writeHead(status, { "content-type": "application/json", "access-control-allow-origin": "*" });
    response.end(behave().garbage === "json" ? "<html>" : JSON.stringify(body));
  };
  const { method, url = "" } = request;
  const [, id = "", cancel] = /^\/sdcpp\/v1\/jobs\/([\w-]+)(\/cancel)?$/.exec(url) ?? [];
  const job = jobs.get(id);
  if (method === "GET" && url === "/sdcpp/v1/capabilities") {
    const path = String(options["model"] ?? options["diffusion-model"]);
    const model = { name: basename(path), stem: basename(path).replace(/\.\w+$/, ""), path };
    reply(200, { ...recorded.capabilities, model, ...behave().capabilities });
  } else if (method === "POST" && url === "/sdcpp/v1/img_gen") accept(await readBody(request), reply);
  else if (job === undefined || behave().forgetsJobs) reply(404, { error: "job not found" });
  else if (cancel !== undefined) cancelJob(job, reply);
  else if (job.misbehaves && behave().hang === "poll") isHanging = true;
  else reply(200, describe(job));
}

type Reply = (status: number, body: unknown) => void;

function cancelJob(job: Job, reply: Reply): void {
  note({ cancel: job.id });
  if (job.status !== "generating") {
    reply(200, describe(job));
    return;
  }
  const canCancel = JSON.stringify(behave().capabilities ?? {}).includes('"cancel_generating":true');
  if (!canCancel) {
    reply(409, { error: "job is currently generating and cannot be interrupted yet" });
    return;
  }
  job.status = "failed";
  job.message = "cancelled";
  reply(200, describe(job));
}

async function readBody(request: IncomingMessage): Promise<string> {
  const chunks: Buffer[] = [];
  for await (const chunk of request) chunks.push(chunk as Buffer);
  return Buffer.concat(chunks).toString("utf8");
}

function accept(text: string, reply: Reply): void {
  let body: Fields;
  try {
    // The parser there refuses half characters.
    if (/\\ud[89ab][0-9a-f]{2}(?!\\ud[c-f])/i.test(text)) throw new SyntaxError("surrogate");
    body = JSON.parse(text);
  } catch (error) {
    reply(400, { error: "invalid json", message: String(error) });
    return;
  }
  note({ body });
  if (!(((body["sample_params"] as Fields | undefined)?.["sample_steps"] as number) > 0)) {
    process.stderr.write("[ERROR] common.cpp:2379 - error: the sample_steps must be greater than 0\n");
    reply(400, { error: "invalid generation parameters" });
    return;
  }
  const created = Math.floor(Date.now() / 1000);
  const id = `job_${created.toString(16)}_${String(jobs.size).padStart(8, "0")}`;
  const job: Job = {
    id,
    created,
    body,
    misbehaves: countUp("jobs") <= (behave().badJobs ?? Number.POSITIVE_INFINITY),
    status: "queued",
    started: null,
    completed: null,
    picture: undefined,
    message: undefined,
  };
  jobs.set(id, job);
  reply(202, { id, kind: "img_gen", status: "queued", created, poll_url: `/sdcpp/v1/jobs/${id}` });
  void draw(job);
}

function describe({ id, status, created, started, completed, picture, message }: Job): Fields {
  const images = [{ index: 0, b64_json: picture }];
  return {
    id,
    kind: "img_gen",
    status,
    created,
    started,
    completed,
    queue_position: status === "queued" ? 1 : 0,
    result: status === "completed" ? { output_format: "png", images } : null,
    error: status === "failed" ? { code: "generation_failed", message } : null,
  };
}

async function draw(job: Job): Promise<void> {
  const params = job.body["sample_params"] as Fields;
  const steps = job.body["init_image"]
    ? 1 + Math.floor((params["sample_steps"] as number) / 2)
    : (params["sample_steps"] as number);
  const { misbehaves } = job;
  const behaviour = behave();
  job.status = "generating";
  job.started = Math.floor(Date.now() / 1000);
  const { width, height, seed } = job.body as { width: number; height: number; seed: number };
  say("INFO", "stable-diffusion.cpp:5628", `generate_image ${width}x${height}`);
  say("INFO", "stable-diffusion.cpp:5296", "get_learned_condition completed, taking 0.01s");
  say("INFO", "stable-diffusion.cpp:5679", `generating image: 1/1 - seed ${seed}`);
  if (misbehaves && behaviour.garbage === "output")
    process.stdout.write(`\u0000\r\r|==\u001b[K${"?".repeat(40_000)}\n`);
  for (let step = 1; step <= steps; step++) {
    await sleep(behaviour.stepMs ?? 0);
    if (job.message === "cancelled") return;
    const bar = `${"=".repeat(Math.floor((step * 50) / steps)).slice(0, 49)}>`.padEnd(50);
    process.stdout.write(`\r  |${bar}| ${step}/${steps} - 1.23s/it\u001b[K${step === steps ? "\n" : ""}`);
    if (misbehaves && behaviour.crash !== undefined && step === Math.min(steps, behaviour.crash.step))
      crash(behaviour.crash);
    if (misbehaves && behaviour.hang === "job" && step === 1) return;
  }
  say("INFO", "stable-diffusion.cpp:5711", "sampling completed, taking 0.02s");
  if (misbehaves && behaviour.failure !== undefined) {
    process.stderr.write(`[ERROR] ggml_extend.hpp:1900 - ${behaviour.failure}\n`);
    finish(job, "failed", "generate_image returned no results");
    return;
  }
  // The decoder draws bars of its own where it works in tiles.
  process.stdout.write(`\r  |${"=".repeat(25).padEnd(50)}| 2/4 - 9.99it/s\u001b[K\n`);
  say("INFO", "stable-diffusion.cpp:5391", "decode_first_stage completed, taking 0.01s");
  say("WARN", "stable-diffusion.cpp:1", "a warning while drawing");
  const scale = misbehaves && behaviour.garbage === "size" ? 2 : 1;
  const picture = encodePicture(width * scale, height, job.body);
  job.picture = misbehaves && behaviour.garbage === "png" ? "bm90IGEgcGljdHVyZQ==" : picture;
  finish(job, "completed", undefined);
  say("INFO", "stable-diffusion.cpp:5861", "generate_image completed in 0.05s");
}

function crash({ by }: NonNullable<ReplayBehaviour["crash"]>): void {
  process.stderr.write(`${behave().lastWords ?? "GGML_ASSERT(n_dims <= 4) failed"}\n`);
  if (by === "exit") process.exit(3);
  process.kill(process.pid, by);
}

function finish(job: Job, status: "completed" | "failed", message: string | undefined): void {
  job.status = status;
  job.message = message;
  job.completed = Math.floor(Date.now() / 1000);
}

function say(level: string, place: string, text: string): void {
  process.stdout.write(`[${level.padEnd(5)}] ${place.padEnd(26)} - ${text}\n`);
}

/** Stripes whose colours follow from everything in the body. */
function encodePicture(width: number, height: number, body: Fields): string {
  const colours = createHash("sha512").update(JSON.stringify(body)).digest();
  const row = Buffer.alloc(1 + 3 * width);
  for (let x = 0; x < width; x++)
    for (let channel = 0; channel < 3; channel++)
      row[1 + 3 * x + channel] = colours[((x >> 3) * 3 + channel) % colours.length] ?? 0;
  const header = Buffer.alloc(13);
  header.writeUInt32BE(width, 0);
  header.writeUInt32BE(height, 4);
  header.set([8, 2, 0, 0, 0], 8);
  const pixels = deflateSync(Buffer.concat(Array.from({ length: height }, () => row)));
  return Buffer.concat([
    Buffer.from("\x89PNG\r\n\x1a\n", "latin1"),
    createPngChunk("IHDR", header),
    createPngChunk("IDAT", pixels),
    createPngChunk("IEND", Buffer.alloc(0)),
  ]).toString("base64");
}

/** Across restarts. */
function countUp(name: string): number {
  const path = join(folder, name);
  let count = 0;
  try {
    count = Number(readFileSync(path, "utf8"));
  } catch {
    // The first.
  }
  writeFileSync(path, String(count + 1));
  return count + 1;
}

/** What tests look at afterwards. */
function note(call: Fields): void {
  appendFileSync(join(folder, "calls.jsonl"), `${JSON.stringify({ pid: process.pid, ...call })}\n`);
}
