import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { once } from "node:events";
import { rm, truncate, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { describe, test } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import {
  createGguf,
  createReplaySdServer,
  type ReplayBehaviour,
  type ReplaySdServer,
} from "../../testing/replay-sd-server.ts";
import type { Engine, EngineJob, EngineResult } from "../engine.ts";
import { openSdServerEngine, type SdServerEngineOptions } from "./sd-server-engine.ts";
import type { SdServerModel } from "./sd-server-model.ts";
import { getSdServerVersion } from "./sd-server-version.ts";

const JOB: EngineJob = {
  prompt: "a cat beside a dog",
  width: 96,
  height: 64,
  steps: 4,
  guidance: 3.5,
  seeds: [42],
  wantsPreviews: false,
};

describe("what sd-server is started with and asked for", { timeout: 60_000 }, () => {
  test("it listens on this machine alone, on a free port, with the model's files and options", async () => {
    await using opened = await open(
      {},
      { model: { quantize: "q8_0", args: ["--max-vram", "6"] }, args: ["--vae-tiling"] },
    );
    const [{ start = [] } = {}] = await opened.replay.readCalls();
    const port = start[start.indexOf("--listen-port") + 1];
    assert.ok(Number(port) > 1024, port);
    const { folder } = opened.replay;
    assert.deepEqual(
      start.filter((arg) => arg !== port),
      [
        ...["--listen-ip", "127.0.0.1", "--listen-port"],
        ...["--diffusion-model", join(folder, "model.gguf"), "--vae", join(folder, "vae.safetensors")],
        ...["--threads", "1", "--rng", "cpu", "--eager-load", "--type", "q8_0"],
        ...["--max-vram", "6", "--vae-tiling"],
      ],
    );
  });

  test("nothing is left to its defaults: seed, guidance, picture count and metadata are always said", async () => {
    await using opened = await open({}, { model: { sampler: "euler", scheduler: "simple", flowShift: 3 } });
    await opened.draw({ seeds: [7, 8], negativePrompt: "dog" });
    const bodies = await opened.readBodies();
    assert.deepEqual(
      bodies.map((body) => body["seed"]),
      [7, 8],
    );
    const { seed: _, ...body } = bodies[0] ?? {};
    assert.deepEqual(body, {
      prompt: "a cat beside a dog",
      negative_prompt: "dog",
      width: 96,
      height: 64,
      batch_count: 1,
      sample_params: {
        sample_steps: 4,
        sample_method: "euler",
        scheduler: "simple",
        flow_shift: 3,
        guidance: { txt_cfg: 3.5, distilled_guidance: 3.5 },
      },
      output_format: "png",
      embed_image_metadata: false,
    });
  });

  test("a model without classifier-free guidance is never computed twice, and says so about negative prompts", async () => {
    for (const [model, expected] of [
      [{ guidance: null }, { txt_cfg: 1, distilled_guidance: 3.5 }],
      [{ guidanceKind: "distilled" }, { txt_cfg: 1, distilled_guidance: 6 }],
    ] as const) {
      await using opened = await open({}, { model });
      await opened.draw({ guidance: 6, negativePrompt: "dog" });
      const [body = {}] = await opened.readBodies();
      const { guidance } = body["sample_params"] as { readonly guidance: unknown };
      assert.deepEqual(guidance, expected);
      assert.match(opened.lines.join("\n"), /WARN without classifier-free guidance a negative prompt/);
    }
  });

  test("a prompt arrives as plain text", async () => {
    await using opened = await open();
    await opened.draw({ prompt: "(a:.) <lora:x:1> \u0000😀", negativePrompt: "<|im_end|>[b]" });
    const [body] = await opened.readBodies();
    assert.deepEqual([body?.["prompt"], body?.["negative_prompt"]], ["\\(a: .)    😀", " \\(b)"]);
  });

  test("sizes are snapped down, because the program would round them up", async () => {
    await using opened = await open();
    const { pictures } = await opened.draw({ width: 110, height: 79 });
    assert.deepEqual([pictures[0]?.width, pictures[0]?.height], [96, 64]);
    assert.match(opened.lines.join("\n"), /110x79 became 96x64/);
  });

  test("loading is told in tenths, and the program's warnings are the request's", async () => {
    await using opened = await open({ loadMs: 60 });
    await opened.draw();
    assert.deepEqual(
      opened.loading.filter((line) => line.startsWith("loading weights")),
      Array.from({ length: 10 }, (_, i) => `loading weights: ${10 * (i + 1)} %`),
    );
    assert.ok(opened.lines.includes("WARN a warning while drawing"));
    assert.ok(!opened.lines.join("\n").includes("generate_image"), opened.lines.join("\n"));
  });
});

describe("an sd-server that fails while it draws", { timeout: 120_000 }, () => {
  for (const by of ["exit", "SIGSEGV"] as const)
    test(`a crash (${by}) costs a restart, not the picture`, async () => {
      await using sound = await open();
      const expected = (await sound.draw()).pictures;
      await using opened = await open({ crash: { step: 2, by }, badJobs: 1 });
      assert.deepEqual((await opened.draw()).pictures, expected);
      assert.match(
        opened.lines.join("\n"),
        /WARN sd-server failed \(it (exited with code 3|died of SIGSEGV)\): it is started again/,
      );
      assert.equal(await opened.countStarts(), 2);
    });

  test("a picture that crashes it twice is given up with its last words, and the next one is drawn", async () => {
    await using opened = await open({ crash: { step: 1, by: "SIGSEGV" }, badJobs: 2 });
    await assert.rejects(opened.draw(), {
      kind: "failed",
      message:
        /failed twice on this picture: it died of SIGSEGV\. It said: .*GGML_ASSERT\(n_dims <= 4\) failed/,
    });
    assert.equal((await opened.draw()).pictures.length, 1);
  });

  test("one that the system ends, or whose allocation fails, is out of memory, with what to do", async () => {
    for (const behaviour of [
      { crash: { step: 1, by: "SIGKILL" } },
      {
        crash: { step: 1, by: "exit" },
        lastWords: "terminate called after throwing an instance of 'std::bad_alloc'",
      },
    ] as const) {
      await using opened = await open({ ...behaviour, badJobs: 1 });
      await assert.rejects(opened.draw(), {
        kind: "out_of_memory",
        message: /--vae-tiling, --offload-to-cpu/,
      });
      assert.equal((await opened.draw()).pictures.length, 1);
    }
  });

  test("one that says that memory is short, and lives, is kept", async () => {
    await using opened = await open({ failure: "alloc runtime buffer failed", badJobs: 1 });
    await assert.rejects(opened.draw(), { kind: "out_of_memory", message: /alloc runtime buffer failed/ });
    await opened.draw();
    assert.equal(await opened.countStarts(), 1);
  });

  test("another failure of a job is told in its own words", async () => {
    await using opened = await open({ failure: "tensor 'x' has wrong shape", badJobs: 1 });
    await assert.rejects(opened.draw(), {
      kind: "failed",
      message: /returned no results\. It said: tensor 'x' has wrong shape/,
    });
  });

  for (const [garbage, expected] of [
    ["png", /its picture cannot be read/],
    ["size", /it drew 192x64 in place of 96x64/],
  ] as const)
    test(`a wrong answer (${garbage}) replaces it, and is an error when it comes again`, async () => {
      await using opened = await open({ garbage, badJobs: 2 });
      await assert.rejects(opened.draw(), { kind: "failed", message: expected });
      assert.match(opened.lines.join("\n"), /WARN sd-server failed .*: it is started again/);
      assert.equal((await opened.draw()).pictures.length, 1);
      assert.equal(await opened.countStarts(), 3);
    });

  test("a server that forgets its job is replaced", async () => {
    await using opened = await open({ forgetsJobs: true });
    await assert.rejects(opened.draw(), {
      kind: "failed",
      message: /it answered 404 to jobs\/job_\w+: job not found/,
    });
    await opened.replay.change({});
    await opened.draw();
  });

  test("garbage between its messages does no harm", async () => {
    await using opened = await open({ garbage: "output" });
    assert.equal((await opened.draw()).pictures.length, 1);
    assert.ok(opened.steps.includes("denoise 4/4"));
  });

  test("one that stops answering is ended", async () => {
    await using opened = await open({ hang: "poll", badJobs: 1 }, { replyTimeoutMs: 2_000 });
    assert.equal((await opened.draw()).pictures.length, 1);
    assert.match(opened.lines.join("\n"), /WARN sd-server failed \(it did not answer within 2 seconds\)/);
  });

  test("one that ended between two requests is started again, and the log says so", async () => {
    await using opened = await open();
    await opened.draw();
    const [{ pid } = { pid: 0 }] = await opened.replay.readCalls();
    process.kill(pid, "SIGTERM");
    await waitUntilGone(pid);
    await opened.draw();
    assert.match(
      opened.loading.join("\n"),
      /sd-server had ended \(it died of SIGTERM\): it is started again/,
    );
  });
});

describe("cancelling a picture that sd-server draws", { timeout: 60_000 }, () => {
  test("ends the program, which cannot interrupt itself, and loads the model again before anyone asks", async () => {
    await using opened = await open({ stepMs: 10, hang: "job", badJobs: 1 });
    const controller = new AbortController();
    const drawing = opened.draw({}, controller.signal);
    await opened.waitForStep("denoise 1/4");
    controller.abort(new Error("cancelled by the caller"));
    await assert.rejects(drawing, /cancelled by the caller/);
    const [first] = await opened.replay.readCalls();
    assert.ok(first && !isRunning(first.pid));
    while ((await opened.countStarts()) < 2) await sleep(20);
    assert.equal((await opened.draw()).pictures.length, 1);
    assert.equal(await opened.countStarts(), 2);
  });

  test("keeps a program that can", async () => {
    const features = { img_gen: { init_image: true, cancel_generating: true } };
    await using opened = await open({ stepMs: 20, capabilities: { features_by_mode: features } });
    const controller = new AbortController();
    const drawing = opened.draw({ steps: 50 }, controller.signal);
    await opened.waitForStep("denoise 1/50");
    controller.abort(new Error("cancelled by the caller"));
    await assert.rejects(drawing, /cancelled by the caller/);
    await opened.draw();
    assert.equal(await opened.countStarts(), 1);
    assert.ok((await opened.replay.readCalls()).some(({ cancel }) => cancel !== undefined));
  });

  test("works while the program starts again, which goes on", async () => {
    const behaviour = { crash: { step: 1, by: "exit" }, badJobs: 1 } as const;
    await using opened = await open(behaviour);
    await opened.replay.change({ ...behaviour, loadMs: 1_000 });
    const controller = new AbortController();
    const drawing = opened.draw({}, controller.signal);
    while ((await opened.countStarts()) < 2) await sleep(20);
    controller.abort(new Error("cancelled by the caller"));
    await assert.rejects(drawing, /cancelled by the caller/);
    await opened.draw();
    assert.equal(await opened.countStarts(), 2);
  });
});

describe("an sd-server that cannot be used", { timeout: 60_000 }, () => {
  test("is found on the PATH, or named, or missed with what to install", async () => {
    await using replay = await createReplaySdServer();
    await using engine = await openOn(replay, { binary: undefined, searchPath: `/nowhere:${replay.folder}` });
    assert.equal(engine.info.kind, "sd-server");
    await assert.rejects(openOn(replay, { binary: undefined, searchPath: "/nowhere" }), {
      kind: "unavailable",
      message:
        /sd-server is not on the PATH\. Get a release of stable-diffusion\.cpp.*SLUICE_MODEL_SD_SERVER/,
    });
    await assert.rejects(openOn(replay, { binary: "/nowhere/sd" }), /there is no program \/nowhere\/sd/);
  });

  test("is refused when it is too old, something else, or does not answer", async () => {
    for (const [version, message] of [
      [
        "stable-diffusion.cpp version master-423-c3ad6a1, commit c3ad6a1\n",
        /release master-423-c3ad6a1.*use 563 or later/,
      ],
      ["Python 3.11.2\n", /does not say that it is stable-diffusion\.cpp; it says "Python 3\.11\.2"/],
    ] as const)
      await assert.rejects(open({ version }), { kind: "unavailable", message });
    await assert.rejects(open({ hang: "version" }, { signal: AbortSignal.timeout(500) }), {
      name: "TimeoutError",
    });
  });

  test("an older one is not given options that it does not know, and one of unknown age is asked", async () => {
    const unknown = "stable-diffusion.cpp version unknown, commit unknown\n";
    for (const [behaviour, isEager] of [
      [{ version: "stable-diffusion.cpp version master-600-abcdef0, commit abcdef0\n" }, false],
      [{ version: "stable-diffusion.cpp version master-715-abcdef0, commit abcdef0\n" }, true],
      [{ version: unknown }, true],
      [{ version: unknown, help: "Usage: sd-server [options]\n  -t, --threads <int>\n" }, false],
    ] as const) {
      await using opened = await open(behaviour);
      const [{ start = [] } = {}] = await opened.replay.readCalls();
      assert.equal(start.includes("--eager-load"), isEager, JSON.stringify(behaviour));
    }
  });

  test("one that never gets ready is given up, with its last words", async () => {
    await assert.rejects(open({ hang: "start" }, { startTimeoutMs: 6_000 }), {
      kind: "unavailable",
      message: /did not take requests within 6 seconds of its start\. It said: loading model/,
    });
    await assert.rejects(open({ hang: "start" }, { signal: AbortSignal.timeout(1_000) }), {
      name: "TimeoutError",
    });
  });

  test("a model that it cannot load is told in its words, and memory as memory", async () => {
    await assert.rejects(open({ failsToLoad: "unknown model version" }), {
      kind: "failed",
      message:
        /could not load the model: it exited with code 1\. It said: .*unknown model version \/ new_sd_ctx_t failed/,
    });
    await assert.rejects(
      open({ failsToLoad: "ggml_backend_cpu_buffer: failed to allocate buffer of size 9" }),
      {
        kind: "out_of_memory",
        message: /not enough memory for this model/,
      },
    );
  });

  test("a restart that fails is the next request's failure, and the one after tries again", async () => {
    await using opened = await open({
      crash: { step: 1, by: "exit" },
      failsToLoad: "disk error",
      worksForStarts: 1,
    });
    await assert.rejects(opened.draw(), /could not load the model: .*disk error/);
    await assert.rejects(opened.draw(), /could not load the model: .*disk error/);
    await opened.replay.change({});
    assert.equal((await opened.draw()).pictures.length, 1);
  });

  test("samplers and schedulers that it would silently replace, videos and other servers are refused", async () => {
    await assert.rejects(
      open({}, { model: { sampler: "eulr" } }),
      /does not know the sampler "eulr"; it knows euler, /,
    );
    await assert.rejects(open({}, { model: { scheduler: "x" } }), /does not know the scheduler "x"/);
    await assert.rejects(
      open({ capabilities: { supported_modes: ["vid_gen"] } }),
      /makes videos, no pictures/,
    );
    const model = { name: "b.gguf", stem: "b", path: "/other/b.gguf" };
    await assert.rejects(open({ capabilities: { model } }), /Another sd-server answers at this port/);
    await assert.rejects(open({ garbage: "json" }), /does not speak sd-server's API: it answered "<html>"/);
    await assert.rejects(
      open({ capabilities: { supported_modes: 3 } }),
      /capabilities lack the model or the modes/,
    );
  });
});

describe("a description of a model for sd-server", { timeout: 60_000 }, () => {
  test("is refused by the field that is wrong", async () => {
    await using replay = await createReplaySdServer();
    const cases: readonly (readonly [Partial<Record<keyof SdServerModel, unknown>>, RegExp])[] = [
      [{ files: {} }, /"files" has neither "model" .* nor "diffusion-model"/],
      [{ files: { unet: "x.gguf" } }, /"files" has no part "unet"; parts are model, diffusion-model/],
      [{ files: { model: "x.ckpt" } }, /x\.ckpt, is a pickle, which can run code/],
      [{ files: { model: "x.txt" } }, /x\.txt, is neither \.gguf nor \.safetensors/],
      [{ files: { model: "../x.gguf" } }, /is outside of the model's folder/],
      [{ files: { model: "nowhere.gguf" } }, /nowhere\.gguf cannot be read in .*it holds .*model\.gguf/],
      [{ steps: { min: 4, max: 1, default: 2 } }, /"steps" needs the numbers min ≤ default ≤ max/],
      [{ guidance: 3 }, /"guidance" needs the numbers/],
      [{ guidanceKind: "cfg" }, /"guidanceKind" is not classifier-free or distilled/],
      [{ sampler: "a b" }, /"sampler" is not a word/],
      [{ multipleOf: 0 }, /"multipleOf" is not a whole number/],
      [{ lora: [] }, /"lora" is not known; known are files/] as never,
      [{ args: ["--listen-ip", "0.0.0.0"] }, /--listen-ip, which is set by the driver/],
      [{ args: ["--listen-ip=0.0.0.0"] }, /--listen-ip, which is set by the driver/],
      [{ args: ["--lora-model-dir", "/"] }, /LoRA files, which are not supported: merge them/],
      [{ args: ["--embd-dir", "/"] }, /would let prompts name files/],
      [{ args: ["--vae", "x"] }, /is a file of the model: name it in "files"/],
    ];
    for (const [wrong, message] of cases)
      await assert.rejects(openOn(replay, { model: { ...replay.model, ...wrong } as SdServerModel }), {
        name: "EngineError",
        message,
      });
    await assert.rejects(openOn(replay, { args: ["--rng", "cuda"] }), /--rng, which is set by the driver/);
  });

  test("with damaged files is refused before anything is started", async () => {
    await using replay = await createReplaySdServer();
    const vae = join(replay.folder, "vae.safetensors");
    const gguf = join(replay.folder, "model.gguf");
    await truncate(vae, 80);
    await assert.rejects(
      openOn(replay),
      /vae\.safetensors are damaged or incomplete: it has 80 bytes of \d+/,
    );
    await truncate(vae, 20);
    await assert.rejects(openOn(replay), /it ends at 20 bytes, inside its header/);
    await writeFile(vae, "version https://git-lfs.github.com/spec/v1\noid sha256:00\n");
    await assert.rejects(openOn(replay), /it is a pointer of Git LFS/);
    await writeFile(gguf, createGguf(1));
    await assert.rejects(openOn(replay), /it is GGUF of version 1/);
    await writeFile(gguf, "");
    await assert.rejects(openOn(replay), /it is not a GGUF file/);
    assert.deepEqual(await replay.readCalls(), []);
  });

  test("has a version that follows its files, its settings and the release of the program", async () => {
    await using replay = await createReplaySdServer();
    const { folder, model } = replay;
    const versions = [
      getSdServerVersion(model, folder),
      getSdServerVersion({ ...model, sampler: "lcm" }, folder),
      getSdServerVersion(model, folder, ["master-827"]),
    ];
    await writeFile(join(folder, "model.gguf"), Buffer.concat([createGguf(), Buffer.from("x")]));
    versions.push(getSdServerVersion(model, folder));
    assert.equal(new Set(versions).size, 4);
    await rm(join(folder, "model.gguf"));
    assert.throws(() => getSdServerVersion(model, folder), /There are no weights .*model\.gguf/);
  });
});

test("sd-server ends with the process that started it, even when that is killed in the middle of a picture", {
  timeout: 30_000,
}, async () => {
  await using replay = await createReplaySdServer({ hang: "job" });
  const owner = spawn(
    process.execPath,
    ["--disable-warning=ExperimentalWarning", "--input-type=module-typescript"],
    {
      stdio: ["pipe", "pipe", "inherit"],
    },
  );
  const { href } = new URL("./sd-server-engine.ts", import.meta.url);
  const options = {
    model: replay.model,
    folder: replay.folder,
    name: "x",
    threads: 1,
    binary: replay.binary,
  };
  owner.stdin.end(`
    import { openSdServerEngine } from ${JSON.stringify(href)};
    const engine = await openSdServerEngine(${JSON.stringify(options)});
    const sink = { log() {}, preview() {}, progress: ({ phase }) => phase === "denoise" && console.log("drawing") };
    await engine.generate(${JSON.stringify(JOB)}, sink, new AbortController().signal);
  `);
  await once(createInterface({ input: owner.stdout }), "line");
  const [{ pid } = { pid: 0 }] = await replay.readCalls();
  assert.ok(isRunning(pid));
  owner.kill("SIGKILL");
  await waitUntilGone(pid);
});

interface Opened extends AsyncDisposable {
  readonly replay: ReplaySdServer;
  readonly engine: Engine;
  /** What was logged while the model loaded. */
  readonly loading: string[];
  readonly lines: string[];
  readonly steps: string[];
  draw(job?: Partial<EngineJob>, signal?: AbortSignal): Promise<EngineResult>;
  readBodies(): Promise<readonly Readonly<Record<string, unknown>>[]>;
  countStarts(): Promise<number>;
  waitForStep(step: string): Promise<void>;
}

type Changes = Omit<Partial<SdServerEngineOptions>, "model"> & { readonly model?: Partial<SdServerModel> };

async function open(
  behaviour: ReplayBehaviour = {},
  { model = {}, ...options }: Changes = {},
): Promise<Opened> {
  const replay = await createReplaySdServer(behaviour);
  const [loading, lines, steps]: string[][] = [[], [], []];
  let engine: Engine;
  try {
    engine = await openOn(replay, {
      model: { ...replay.model, ...model },
      log: (line) => loading?.push(line),
      ...options,
    });
  } catch (error) {
    await replay[Symbol.asyncDispose]();
    throw error;
  }
  const sink = {
    log: (line: string, level = "INFO") => lines?.push(`${level} ${line}`),
    progress: ({ phase, step, steps: of }: { phase: string; step: number; steps: number }) =>
      steps?.push(`${phase} ${step}/${of}`),
    preview: () => {},
  };
  return {
    replay,
    engine,
    loading: loading ?? [],
    lines: lines ?? [],
    steps: steps ?? [],
    draw: (job = {}, signal = new AbortController().signal) =>
      engine.generate({ ...JOB, ...job }, sink, signal),
    readBodies: async () =>
      (await replay.readCalls()).flatMap(({ body }) => (body === undefined ? [] : [body])),
    countStarts: async () => (await replay.readCalls()).filter(({ start }) => start !== undefined).length,
    async waitForStep(step) {
      while (!steps?.includes(step)) await sleep(10);
    },
    async [Symbol.asyncDispose]() {
      await engine[Symbol.asyncDispose]();
      await replay[Symbol.asyncDispose]();
    },
  };
}

function openOn(replay: ReplaySdServer, options: Partial<SdServerEngineOptions> = {}): Promise<Engine> {
  const { model, folder, binary } = replay;
  return openSdServerEngine({ model, folder, binary, name: "replay", threads: 1, pollMs: 20, ...options });
}

function isRunning(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch {
    return false;
  }
}

async function waitUntilGone(pid: number): Promise<void> {
  while (isRunning(pid)) await sleep(20);
}
