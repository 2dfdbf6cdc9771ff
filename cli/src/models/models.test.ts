/** `sluice models` as its user meets it: real processes, a real server, a hub on this machine. */
import assert from "node:assert/strict";
import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { existsSync } from "node:fs";
import { mkdtemp, readdir, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, describe, test } from "node:test";
import { fileURLToPath } from "node:url";
import { createDiffusionFolder } from "@sluice/runtime/testing/diffusion-folder";
import { type HubServer, startHubServer } from "@sluice/runtime/testing/hub-server";
import { createReplaySdServer, type ReplaySdServer } from "@sluice/runtime/testing/replay-sd-server";
import { writeGguf, writeSafetensors } from "@sluice/runtime/testing/weights-files";

import { readGreeting } from "../greeting/read-greeting.ts";
import { addModel, removeModel } from "./bind.ts";
import { readWeightsSettings } from "./weights-settings.ts";

const MAIN = fileURLToPath(new URL("../main.ts", import.meta.url));
const REPOSITORY = "acme/tiny-schnell";

let hub: HubServer;
let sdServer: ReplaySdServer;
let folder = "";
let data = "";
let server: ChildProcess;
let origin = "";
let key = "";

before(async () => {
  folder = await mkdtemp(join(tmpdir(), "sluice-models-"));
  data = join(folder, "data");
  hub = await startHubServer();
  sdServer = await createReplaySdServer();
  await using weights = await createDiffusionFolder("flux", { variant: "schnell" });
  await hub.putFolder(REPOSITORY, weights.path, "apache-2.0");
  ({ child: server, origin } = await serve());
  key = (await readFile(join(data, "first-key"), "utf8")).trim();
});

after(async () => {
  await stop(server);
  await hub[Symbol.asyncDispose]();
  await sdServer[Symbol.asyncDispose]();
  await rm(folder, { recursive: true, force: true });
});

describe("sluice models", { timeout: 240_000 }, () => {
  test("add pulls a model and has the running server answer with it; remove gives the embedded one back", async () => {
    assert.match((await draw("fal-ai/flux-pro")).model, /^sluice-tiny@/);
    const added = await sluice([
      "models",
      "add",
      `hf:${REPOSITORY}`,
      "--name",
      "schnell",
      "--provider",
      "cpu",
    ]);
    assert.equal(added.code, 0, added.err);
    assert.match(
      added.out,
      /^schnell answers fal-ai\/flux-pro now\.\n {2}try {2}.*sluice run fal-ai\/flux-pro/,
    );
    assert.match(added.err, /schnell: 100 %.*\n✔ schnell: .*; apache-2\.0\n/s);

    const input = { num_inference_steps: 28, seed: 7 };
    const drawn = await draw("fal-ai/flux-pro", input);
    assert.match(drawn.model, /^schnell@[0-9a-f]{12}$/);
    assert.match(drawn.log, /num_inference_steps 28 is outside this model's 1 to 4; 4 is used/);
    assert.match((await draw("fal-ai/flux/schnell")).model, /^sluice-tiny@/);
    const again = await draw("fal-ai/flux-pro", input);
    assert.deepEqual(again.bytes, drawn.bytes);

    const page = await ask("/v1/models?endpoint_id=fal-ai/flux-pro");
    assert.match(JSON.stringify(page), /Answered by schnell from open weights/);
    const installed = (await ask("/v1/sluice/models")) as { models: Record<string, unknown>[] };
    assert.deepEqual(
      installed.models.map(({ bytes: _, ...model }) => model),
      [
        {
          name: "schnell",
          title: "FLUX.1 (schnell, dev)",
          engine: "onnx",
          family: "flux",
          license: "apache-2.0",
          source: `hf:${REPOSITORY}`,
          endpoint_ids: ["fal-ai/flux-pro"],
          version: drawn.model.split("@")[1],
          is_offered: true,
          problem: null,
        },
      ],
    );

    const removed = await sluice(["models", "remove", "schnell"]);
    assert.equal(removed.code, 0, removed.err);
    assert.match(removed.out, /schnell does not answer fal-ai\/flux-pro any more\.\nIts files are kept/);
    assert.match((await draw("fal-ai/flux-pro")).model, /^sluice-tiny@/);
    hub.forget();
    assert.match((await sluice(["models", "add", "schnell"])).out, /answers fal-ai\/flux-pro now/);
    assert.deepEqual(hub.seen, [], "it was here already");
    assert.match((await draw("fal-ai/flux-pro")).model, /^schnell@/);
  });

  test("requests that wait while a model changes are answered, each by one that offers the endpoint", async () => {
    await addSchnell();
    const waiting = Array.from({ length: 6 }, (_, i) => draw("fal-ai/flux-pro", { seed: i }));
    const small = { prompt: "a cat", image_size: { width: 128, height: 96 }, num_inference_steps: 2 };
    const direct = Array.from({ length: 4 }, () => send("fal-ai/flux-pro", small));
    await sluice(["models", "remove", "schnell"]);
    for (const { model } of await Promise.all(waiting)) assert.match(model, /^(schnell|sluice-tiny)@/);
    for (const response of await Promise.all(direct)) {
      assert.equal(response.status, 200);
      assert.match(response.headers.get("x-model") ?? "", /^(schnell|sluice-tiny)@/);
    }
    assert.match((await draw("fal-ai/flux-pro")).model, /^sluice-tiny@/);
  });

  test("a value outside the schema is refused, a LoRA too", async () => {
    await addSchnell();
    const steep = await send("fal-ai/flux-pro", { prompt: "a cat", num_inference_steps: 1000 });
    assert.equal(steep.status, 422);
    const lora = await send("fal-ai/flux-pro", {
      prompt: "a cat",
      loras: [{ path: "https://x.example/l.safetensors" }],
    });
    assert.equal(lora.status, 422);
    const { detail } = (await lora.json()) as { detail: { loc: string[]; msg: string }[] };
    assert.deepEqual(detail[0]?.loc, ["body", "loras"]);
    assert.match(detail[0]?.msg ?? "", /LoRA is not supported here/);
  });

  test("a folder of this machine answers an endpoint of its own and image-to-image, when it can", async () => {
    await using weights = await createDiffusionFolder("sdxl");
    const words = ["--name", "mine", "--endpoint", "acme/draw", "fal-ai/flux/dev/image-to-image"];
    const added = await sluice(["models", "add", weights.path, ...words]);
    assert.equal(added.code, 0, added.err);
    assert.match((await draw("acme/draw", { image_size: { width: 64, height: 64 } })).model, /^mine@/);
    const picture = `data:image/png;base64,${PIXEL}`;
    const changed = await draw("fal-ai/flux/dev/image-to-image", { image_url: picture, strength: 0.5 });
    assert.match(changed.model, /^mine@/);

    await using blind = await createDiffusionFolder("sdxl", { hasEncoder: false });
    const refused = await sluice(["models", "add", blind.path, "--endpoint", "acme/edit/image-to-image"]);
    assert.equal(refused.code, 1);
    assert.match(refused.err, /cannot answer acme\/edit\/image-to-image: it cannot start from a picture/);

    const moved = await sluice(["models", "add", "schnell", "--endpoint", "acme/draw"]);
    assert.match(moved.out, /acme\/draw was answered by mine until now/);
    assert.match((await draw("acme/draw", { image_size: { width: 64, height: 64 } })).model, /^schnell@/);
    assert.equal((await sluice(["models", "remove", "mine"])).code, 0);
    const gone = await send("fal-ai/flux/dev/image-to-image", {});
    assert.equal(gone.status, 404);
  });

  test("a model of the catalog comes from its repositories and runs in sd-server", async () => {
    const model = writeGguf(["double_stream_modulation_img.lin.weight", "double_blocks.0.x"]);
    hub.put("leejet/FLUX.2-klein-4B-GGUF", { "flux-2-klein-4b-Q8_0.gguf": model, "other-Q4_0.gguf": model });
    const vae = writeSafetensors(["decoder.conv_in.weight"]);
    hub.put("black-forest-labs/FLUX.2-small-decoder", { "full_encoder_small_decoder.safetensors": vae });
    hub.put("unsloth/Qwen3-4B-GGUF", { "Qwen3-4B-Q4_K_M.gguf": writeGguf(["blk.0.attn_q.weight"]) });
    const { code, err } = await sluice(["models", "add", "flux-2-klein-4b"]);
    assert.equal(code, 0, err);
    assert.match(err, /sd-server is not here yet: .*\n.*SLUICE_MODEL_SD_SERVER/);
    const drawn = await draw("fal-ai/flux-pro", { num_inference_steps: 28 });
    assert.match(drawn.model, /^flux-2-klein-4b@[0-9a-f]{12}$/);
    assert.match(drawn.log, /num_inference_steps 28 is outside this model's 1 to 8; 8 is used/);
    const { start = [] } = (await sdServer.readCalls()).find((call) => call.start !== undefined) ?? {};
    const folder = join(data, "models/flux-2-klein-4b");
    for (const [option, path] of [
      ["--diffusion-model", "diffusion-model/flux-2-klein-4b-Q8_0.gguf"],
      ["--vae", "vae/full_encoder_small_decoder.safetensors"],
      ["--llm", "llm/Qwen3-4B-Q4_K_M.gguf"],
    ] as const)
      assert.equal(start[start.indexOf(option) + 1], join(folder, path), start.join(" "));
    assert.equal((await sluice(["models", "remove", "flux-2-klein-4b", "--delete"])).code, 0);
    assert(!existsSync(folder));
  });

  test("list shows what is installed, what it answers, and what else there is", async () => {
    await addSchnell();
    const { out, err } = await sluice(["models", "list", "--all"]);
    assert.match(out, /^INSTALLED +ENGINE +ON DISK +LICENCE +ANSWERS\n/, err);
    assert.match(out, /^schnell +onnx +[\d.]+ kB +apache-2\.0 +.*fal-ai\/flux-pro/m);
    assert.match(out, /^flux-1-dev +sd-server +12\.1 GB +FLUX\.1 \[dev\] non-/m);
    assert.match(out, /^pixart-sigma +none .*no engine yet$/m);
    assert.match(out, /^This machine: /m);
    const listing = JSON.parse((await sluice(["models", "list", "--json"])).out);
    assert.deepEqual(
      [listing.installed[0].name, listing.installed[0].endpoints.includes("fal-ai/flux-pro")],
      ["schnell", true],
    );
    assert(listing.available.some((model: { name: string }) => model.name === "z-image-turbo"));
    assert.equal(typeof listing.machine.freeDiskBytes, "number");
  });

  test("what cannot be served is refused when it is added, and nothing changes", async () => {
    await addSchnell();
    const before = await readFile(join(data, "models.json"), "utf8");
    await using weights = await createDiffusionFolder("flux");
    const broken = async (change: (path: string) => Promise<unknown>, message: RegExp) => {
      await using own = await createDiffusionFolder("flux");
      await change(own.path);
      await refuses(() => addModel(own.path, { name: "broken" }, settings()), message);
    };
    const graph = "transformer/model.onnx";
    await broken(
      (path) => rm(join(path, "tokenizer_2"), { recursive: true }),
      /tokenizer_2\/tokenizer\.json is missing/,
    );
    await broken(
      (path) => writeFile(join(path, "model_index.json"), '{"_class_name":"SanaPipeline"}'),
      /is a SanaPipeline, which the built-in engine does not know/,
    );
    await broken(
      async (path) => writeFile(join(path, graph), (await readFile(join(path, graph))).subarray(0, 200)),
      /transformer\/model\.onnx is damaged or incomplete/,
    );
    await broken((path) => rm(join(path, graph)), /lacks transformer\/model\.onnx/);

    const write = async (name: string, bytes: Uint8Array) => {
      await writeFile(join(folder, name), bytes);
      return join(folder, name);
    };
    const lora = await write("style.safetensors", writeSafetensors(["lora_te_x.lora_up.weight"]));
    const alone = await write("flux1-dev.gguf", writeGguf(["double_blocks.0.img_attn.qkv.weight"]));
    const odd = await write("odd.gguf", writeGguf(["foo.weight"], { "general.architecture": "odd" }));
    for (const [model, options, message] of [
      [lora, {}, /is a LoRA.*out of scope/],
      [alone, {}, /needs vae, clip_l, t5xxl beside it.*--file vae=PATH/s],
      [odd, {}, /not known here \("odd"\).*--family NAME/s],
      ["no-such-model", {}, /No model is named "no-such-model".*sluice models list --all/s],
      ["flux1schnell", {}, /Did you mean flux-1-schnell\?/],
      ["./nowhere", {}, /There is no file or folder/],
      ["schnell", { endpoint: ["flux"] }, /"flux" is not an endpoint id/],
      ["schnell", { provider: "gpu" }, /--provider must be auto, cpu/],
      ["schnell", { family: "flux" }, /--family is for files of this machine/],
      ["pixart-sigma", {}, /cannot run here: no engine here runs it yet/],
      ["http://example.com/x.gguf", {}, /is not https/],
      ["ftp://127.0.0.1/x.gguf", {}, /ftp:\/\/127\.0\.0\.1\/x\.gguf is not https/],
      ["https://", {}, /"https:\/\/" is not an address/],
      [weights.path, { name: "Ünwise" }, /cannot be the name of a model/],
      [
        alone,
        { file: ["vea=x.gguf"] },
        /no part of a model is called "vea".*Its parts are model, diffusion-model, vae/s,
      ],
      [alone, { file: ["ae.safetensors"] }, /"ae\.safetensors" is not PART=PATH/],
    ] as const)
      await refuses(() => addModel(model, options, settings()), message);
    await refuses(() => removeModel("nothing", {}, settings()), /No model here is named "nothing"/);
    await refuses(
      () => removeModel("schnell", { endpoint: ["acme/none"] }, settings()),
      /schnell does not answer acme\/none/,
    );
    assert.equal(await readFile(join(data, "models.json"), "utf8"), before);
  });

  test("a licence that is not open has to be accepted", async () => {
    await using weights = await createDiffusionFolder("flux");
    const words = ["models", "add", weights.path, "--name", "nc", "--endpoint", "acme/nc"];
    const refused = await sluice([...words, "--license", "FLUX.1 [dev] Non-Commercial License"]);
    assert.match(refused.err, /does not allow commercial use.*--accept-license/s);
    const added = await sluice([...words, "--license", "CC-BY-NC-4.0", "--accept-license"]);
    assert.equal(added.code, 0, added.err);
    const page = JSON.stringify(await ask("/v1/models?endpoint_id=acme/nc"));
    assert.match(page, /"license_type":"research".*"license":"CC-BY-NC-4.0"/);
    assert.equal((await sluice(["models", "remove", "nc"])).code, 0);
    // What the catalog says of a model is said before it is fetched.
    const { code, err } = await sluice(["models", "pull", "sd3.5-large", "--accept-license"]);
    assert.equal(code, 1);
    assert.match(err, /^sd3\.5-large: its repository asks for an account .* set HF_TOKEN\n.*does not exist/s);
  });

  test("a backup has the bindings, too", async () => {
    await addSchnell();
    const copy = join(folder, "backup");
    const { code, err } = await sluice(["backup", copy]);
    assert.equal(code, 0, err);
    const text = await readFile(join(copy, "models.json"), "utf8");
    assert.equal(text, await readFile(join(data, "models.json"), "utf8"));
  });

  test("Ctrl-C leaves what the next pull goes on with", async () => {
    const big = "transformer/model.onnx_data";
    hub.put(REPOSITORY, { [big]: Buffer.alloc(3_000_000, 7) });
    hub.setTrouble(big, { delayMs: 40 });
    const child = start(["models", "pull", `hf:${REPOSITORY}`, "--name", "slow"]);
    const ended = collect(child);
    await waitFor(async () => {
      const names = await readdir(join(data, "models/.pulling/slow/transformer")).catch(() => [] as string[]);
      return names.includes("model.onnx_data.part.etag");
    });
    child.kill("SIGINT");
    const { code, err } = await ended;
    assert.equal(code, 130);
    assert.match(err, /Stopped\. [\d.]+ [kM]B are kept\.\n {2}The same command goes on/);
    assert(!existsSync(join(data, "models/slow")));
    assert.match((await sluice(["models", "list"])).out, /slow is not whole yet/);
    hub.setTrouble(big, undefined);
    const again = await sluice(["models", "pull", `hf:${REPOSITORY}`, "--name", "slow"]);
    assert.equal(again.code, 0, again.err);
    const deleted = await sluice(["models", "remove", "slow", "--delete"]);
    assert.match(deleted.out, /The files of slow are deleted/);
  });

  test("bindings are there after a restart; a broken one costs none of the others", async () => {
    await addSchnell();
    const path = join(data, "models.json");
    const document = JSON.parse(await readFile(path, "utf8"));
    document.models.lost = { endpoints: ["acme/lost"] };
    await writeFile(path, JSON.stringify(document));
    await stop(server);
    ({ child: server, origin } = await serve());
    assert.match((await draw("fal-ai/flux-pro")).model, /^schnell@/);
    assert.equal((await send("acme/lost", { prompt: "x" })).status, 404);
    const { models } = (await ask("/v1/sluice/models")) as { models: Record<string, unknown>[] };
    const lost = models.find(({ name }) => name === "lost");
    assert.equal(lost?.["is_offered"], false);
    assert.match(String(lost?.["problem"]), /The model lost is not in /);
    assert.match((await sluice(["models", "list"])).out, /lost .*cannot be served/);
    assert.equal((await sluice(["models", "remove", "lost"])).code, 0);
  });

  test("without a server the change waits for the next one", async () => {
    const other = join(folder, "other");
    await using weights = await createDiffusionFolder("sd3");
    const { code, out, err } = await sluice(["models", "add", weights.path, "--name", "x"], other);
    assert.equal(code, 0, err);
    assert.match(out, /x answers fal-ai\/flux-pro from the next start of the server on/);
  });
});

const PIXEL =
  "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg==";

/** The model of the stand-in behind fal-ai/flux-pro, whatever ran before. */
async function addSchnell(): Promise<void> {
  const { code, err } = await sluice(["models", "add", `hf:${REPOSITORY}`, "--name", "schnell"]);
  assert.equal(code, 0, err);
}

const settings = () => readWeightsSettings({ data }, { SLUICE_HUB: hub.url });

/** The message, and what to do next. */
async function refuses(run: () => Promise<void>, message: RegExp): Promise<void> {
  await assert.rejects(run, (error: Error & { next?: readonly string[] }) => {
    assert.match([error.message, ...(error.next ?? [])].join("\n"), message);
    return true;
  });
}

interface Ended {
  readonly code: number | null;
  readonly out: string;
  readonly err: string;
}

function start(words: readonly string[], dataDir = data): ChildProcess {
  const {
    FAL_KEY: _,
    FAL_KEY_ID: __,
    FAL_KEY_SECRET: ___,
    SLUICE_URL: ____,
    HF_TOKEN: _____,
    ...inherited
  } = process.env;
  return spawn(
    process.execPath,
    ["--disable-warning=ExperimentalWarning", MAIN, ...words, "--data", dataDir],
    {
      stdio: ["ignore", "pipe", "pipe"],
      env: { ...inherited, SLUICE_HUB: hub.url, SLUICE_MODEL_SD_SERVER: join(folder, "none/sd-server") },
      timeout: 120_000,
      killSignal: "SIGKILL",
    },
  );
}

async function collect(child: ChildProcess): Promise<Ended> {
  const read = async (stream: NodeJS.ReadableStream | null): Promise<string> => {
    const chunks: Buffer[] = [];
    for await (const chunk of stream ?? []) chunks.push(Buffer.from(chunk));
    return Buffer.concat(chunks).toString("utf8");
  };
  const [out, err, [code]] = await Promise.all([
    read(child.stdout),
    read(child.stderr),
    once(child, "exit") as Promise<[number | null]>,
  ]);
  return { code, out, err };
}

function sluice(words: readonly string[], dataDir?: string): Promise<Ended> {
  return collect(start(words, dataDir));
}

async function serve(): Promise<{ readonly child: ChildProcess; readonly origin: string }> {
  const child = spawn(
    process.execPath,
    [
      "--disable-warning=ExperimentalWarning",
      MAIN,
      "serve",
      "--port",
      "0",
      "--log-level",
      "silent",
      "--data",
      data,
    ],
    {
      stdio: ["ignore", "pipe", "inherit"],
      env: { ...process.env, SLUICE_MODEL_PROVIDER: "cpu", SLUICE_MODEL_SD_SERVER: sdServer.binary },
    },
  );
  return { child, origin: (await readGreeting(child)).url };
}

async function stop(child: ChildProcess): Promise<void> {
  if (child.exitCode !== null) return;
  child.kill("SIGTERM");
  await once(child, "exit");
}

function send(endpoint: string, input: object): Promise<Response> {
  return fetch(`${origin}/run/${endpoint}`, {
    method: "POST",
    headers: { authorization: `Key ${key}`, "content-type": "application/json" },
    body: JSON.stringify(input),
  });
}

/** One small picture by the queue. */
async function draw(
  endpoint: string,
  input: object = {},
): Promise<{ readonly model: string; readonly bytes: Buffer; readonly log: string }> {
  const headers = { authorization: `Key ${key}`, "content-type": "application/json" };
  const body = JSON.stringify({
    prompt: "a cat",
    image_size: { width: 128, height: 96 },
    num_inference_steps: 2,
    ...input,
  });
  const submitted = await fetch(`${origin}/queue/${endpoint}`, { method: "POST", headers, body });
  const { status_url, response_url } = (await submitted.json()) as {
    status_url: string;
    response_url: string;
  };
  let log = "";
  await waitFor(async () => {
    const status = (await (await fetch(`${status_url}?logs=1`, { headers })).json()) as {
      status: string;
      logs?: { message: string }[];
    };
    log = (status.logs ?? []).map(({ message }) => message).join("\n");
    return status.status === "COMPLETED";
  });
  const response = await fetch(response_url, { headers });
  const result = (await response.json()) as { images: { url: string }[] };
  assert.equal(response.status, 200, JSON.stringify(result));
  const picture = await fetch(result.images[0]?.url ?? "");
  return {
    model: response.headers.get("x-model") ?? "",
    bytes: Buffer.from(await picture.arrayBuffer()),
    log,
  };
}

async function ask(path: string): Promise<unknown> {
  const response = await fetch(`${origin}${path}`, { headers: { authorization: `Key ${key}` } });
  assert.equal(response.status, 200);
  return response.json();
}

async function waitFor(isThere: () => Promise<boolean>): Promise<void> {
  while (!(await isThere())) await new Promise((done) => setTimeout(done, 50));
}
