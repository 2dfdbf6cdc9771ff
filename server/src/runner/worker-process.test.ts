import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { once } from "node:events";
import { copyFile, mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, describe, it } from "node:test";
import type { CancelReason, WorkerRun } from "@sluice/runtime/worker/messages";
import { systemClock } from "../clock.ts";
import { describeModelFiles } from "./describe-model-files.ts";
import { createWorkerEnvironment } from "./worker-environment.ts";
import { type RunListener, WorkerProcess, WorkerStartError } from "./worker-process.ts";

const environment = createWorkerEnvironment(process.env);
const TIMEOUT = { timeoutMs: 20_000 };
let folder = "";

before(async () => {
  folder = await mkdtemp(join(tmpdir(), "sluice-worker-"));
});
after(() => rm(folder, { recursive: true, force: true }));

describe("a worker process", { timeout: 120_000 }, () => {
  it("describes a model file with its defaults filled in", async () => {
    const [described] = await describeModelFiles([fixture("shared-setup.mjs")], { environment });
    const models = described?.models ?? [];
    assert.deepEqual(
      models.map((model) => model.id),
      ["test/first", "test/second"],
    );
    assert.deepEqual(models[0]!.limits, {
      timeoutMs: 3_600_000,
      setupTimeoutMs: 600_000,
      workers: 1,
      idleMs: 400,
      memoryBytes: null,
    });
  });

  it("describes several model files in one process, in their order", async () => {
    const file = join(folder, "single.mjs");
    await writeFile(
      file,
      `export default { id: "test/single", title: "t", model: { name: "m", version: String(process.pid) },
        input: { type: "object" }, output: { type: "object" }, run: () => ({}) };`,
    );
    const other = join(folder, "second.mjs");
    await copyFile(file, other);
    const described = await describeModelFiles([file, fixture("shared-setup.mjs"), other], { environment });
    const ids = described.map(({ models }) => models.map((model) => model.id));
    assert.deepEqual(ids, [["test/single"], ["test/first", "test/second"], ["test/single"]]);
    assert.equal(described[0]?.models[0]?.model.version, described[2]?.models[0]?.model.version);
    assert.deepEqual(await describeModelFiles([], { environment }), []);
  });

  it("says why a model file cannot be used", async () => {
    await assert.rejects(describeModelFiles(["/nowhere/model.ts"], { environment }), {
      kind: "rejected",
      message: "/nowhere/model.ts cannot be read: is the path right?",
    });
    const file = join(folder, "broken.mjs");
    await writeFile(file, "export default {");
    await assert.rejects(describeModelFiles([file], { environment }), (error) => {
      assert(error instanceof WorkerStartError);
      assert.match(error.message, /broken\.mjs does not load: Unexpected/);
      return true;
    });
  });

  it("loads TypeScript from anywhere, with this installation's runtime", async () => {
    const file = join(folder, "elsewhere.ts");
    await writeFile(
      file,
      `import { createArtifact, defineModel, type RunContext } from "@sluice/runtime/model";
      export default defineModel({ id: "test/elsewhere", title: "t", model: { name: "m", version: "1" },
        input: { type: "object" }, output: { type: "object" }, run: (_: object, { seed }: RunContext<undefined>) =>
        ({ seed, file: createArtifact({ bytes: Buffer.from("x"), contentType: "text/plain" }) }) });`,
    );
    await using worker = await start(file);
    const outcome = await run(worker, "test/elsewhere");
    assert(outcome.kind === "done");
    assert.deepEqual(outcome.output, { seed: 77, file: { $artifact: 0 } });
  });

  it("does not show the server's settings to model code", async () => {
    const file = join(folder, "environment.mjs");
    await writeFile(
      file,
      `export default { id: "test/environment", title: "t", model: { name: "m", version: "1" }, input: { type: "object" },
        output: { type: "object" }, run: () => process.env };`,
    );
    const parent = {
      ...process.env,
      SLUICE_DATABASE_URL: "postgres://secret",
      FAL_KEY: "secret",
      HF_HOME: "/hf",
    };
    await using worker = await start(file, { environment: createWorkerEnvironment(parent) });
    const outcome = await run(worker, "test/environment");
    assert(outcome.kind === "done");
    const seen = outcome.output as Record<string, string>;
    assert.equal(seen["HF_HOME"], "/hf");
    assert.equal(seen["SLUICE_DATABASE_URL"], undefined);
    assert.equal(seen["FAL_KEY"], undefined);
  });

  it("sets a shared setup up once and tears it down once", async () => {
    {
      await using worker = await start(fixture("shared-setup.mjs"));
      const first = await run(worker, "test/first");
      const second = await run(worker, "test/second");
      assert(first.kind === "done" && second.kind === "done");
      assert.deepEqual(
        { ...(second.output as object), pid: 0 },
        {
          setups: 1,
          runs: 2,
          threads: 2,
          pid: 0,
          seed: 77,
          attempt: 1,
          endpointId: "test/second",
          headers: { "x-some": "header" },
        },
      );
    }
    assert.equal(await readFile(join(folder, "journal"), "utf8"), "setup\nteardown\n");
  });

  it("reports a setup that fails or takes too long", async () => {
    await assert.rejects(start(fixture("setup-fails.mjs")), {
      kind: "setup_failed",
      message: "the weights are not there",
    });
    await assert.rejects(
      start(fixture("shared-setup.mjs"), { settings: { setup_ms: "60000" }, setupTimeoutMs: 300 }),
      { kind: "timed_out" },
    );
  });

  it("hands out artifacts apart from the output, and keeps look-alikes of the caller", async () => {
    await using worker = await start(fixture("pictures.mjs"));
    const listener = createListener();
    listener.audience.isThere = true;
    const outcome = await run(worker, "test/pictures", {
      listener,
      input: { num_images: 2 },
      wantsPreviews: true,
    });
    assert(outcome.kind === "done");
    assert.deepEqual(outcome.output, {
      images: [{ $artifact: 0 }, { $artifact: 1 }],
      mask: { $artifact: 2 },
      link: { $artifact: 3 },
      prompt: "",
      echo: { $artifact: null, value: { $artifact: 0 } },
    });
    assert.equal(Buffer.from(outcome.artifacts[1]!.bytes).toString(), "picture 1");
    assert.equal(outcome.billableUnits, 2);
    assert.deepEqual(listener.phases, [
      "encode 1/1",
      "denoise 1/3",
      "denoise 2/3",
      "denoise 3/3",
      "decode 1/1",
    ]);
    assert.deepEqual(listener.previews, ["picture 0 at 1", "picture 0 at 2", "picture 0 at 3"]);
    const url = `data:image/png;base64,${Buffer.from("picture 0").toString("base64")}`;
    assert.deepEqual(listener.emitted, [
      { images: [{ url, content_type: "image/png", width: 4, height: 3 }] },
    ]);
  });

  it("makes previews from the moment that somebody looks", async () => {
    await using worker = await start(fixture("misbehaving.mjs"));
    const listener = createListener();
    setTimeout(() => {
      listener.audience.isThere = true;
    }, 300);
    await run(worker, "test/polite", { listener, cancelAfterMs: 600 });
    const first = Number(listener.previews[0]?.split(" ").at(-1));
    assert(first > 5 && first < 30, listener.previews.join(", "));
  });

  it("captures everything the model prints, in order and with its level", async () => {
    await using worker = await start(fixture("logs.mjs"));
    const listener = createListener();
    await run(worker, "test/logs", { listener });
    assert.deepEqual(listener.lines, [
      "INFO first",
      "INFO second 2",
      "WARN third",
      "STDOUT third and a half",
      "ERROR fourth",
      "STDERR fifth without an end",
    ]);
  });

  it("captures what native code prints, and bounds the lines of one run", async () => {
    await using worker = await start(fixture("logs.mjs"));
    const listener = createListener();
    await run(worker, "test/logs", { listener, input: { native: true, count: 12_000 } });
    assert.equal(listener.lines.includes("STDOUT from native code"), true);
    assert.equal(listener.lines.includes("WARN More than 10000 lines: the rest is not kept."), true);
    assert(listener.lines.length <= 10_010);
    assert.equal(listener.lines.includes("INFO too late"), false);
  });

  it("reads input files through the runner", async () => {
    await using worker = await start(fixture("pictures.mjs"));
    const listener = createListener();
    const outcome = await run(worker, "test/read-file", {
      listener,
      input: { image_url: "https://a.test/x" },
    });
    assert(outcome.kind === "done");
    assert.deepEqual(outcome.output, {
      text: "bytes",
      content_type: "text/plain",
      source: "https://a.test/x",
    });
    const refused = await run(worker, "test/read-file", {
      listener,
      input: { image_url: { url: "https://no.test" } },
    });
    assert.deepEqual(refused, {
      kind: "model_error",
      status: 422,
      detail: [{ loc: ["body", "image_url"], msg: "no", type: "file_download_error" }],
    });
    const invalid = await run(worker, "test/read-file", { listener, input: { image_url: 5 } });
    assert(invalid.kind === "model_error");
    assert.equal(invalid.detail[0]!.msg, "value must be a valid URL");
  });

  it("survives what a model throws or returns", async () => {
    await using worker = await start(fixture("misbehaving.mjs"));
    const thrown = await run(worker, "test/throws");
    assert(thrown.kind === "exception");
    assert.match(thrown.stack ?? "", /misbehaving\.mjs/);
    const refused = await run(worker, "test/model-error");
    assert(refused.kind === "model_error");
    assert.equal(refused.status, 422);
    assert.deepEqual(
      await run(worker, "test/unwritable-output").then((outcome) => "message" in outcome && outcome.message),
      "output.list.0.bytes is bytes: wrap them with createArtifact({ bytes, contentType })",
    );
    assert.equal((await run(worker, "test/fine")).kind, "done");
  });

  it("tells a crash, with its last words", async () => {
    for (const [endpointId, pattern] of [
      ["test/abort", /SIGABRT[\s\S]*about to abort/],
      ["test/exit", /exited with code 3/],
      ["test/rejects-later", /nobody waits for this/],
    ] as const) {
      await using worker = await start(fixture("misbehaving.mjs"));
      const outcome = await run(worker, endpointId);
      assert(outcome.kind === "exited" && outcome.exit.kind === "crashed", JSON.stringify(outcome));
      assert.match(`${outcome.exit.message} ${outcome.exit.stderr}`, pattern);
    }
  });

  it("is ended when it, or a program that it started, uses more memory than its model file allows", async () => {
    for (const endpointId of ["test/memory", "test/memory-of-child"]) {
      await using worker = await start(fixture("misbehaving.mjs"), { memoryBytes: 350 * 2 ** 20 });
      const outcome = await run(worker, endpointId);
      assert(outcome.kind === "exited");
      assert.equal(outcome.exit.kind, "out_of_memory");
    }
  });

  it("stops at the next step when cancelled, and can run again", async () => {
    await using worker = await start(fixture("misbehaving.mjs"));
    const outcome = await run(worker, "test/polite", { cancelAfterMs: 100 });
    assert.deepEqual(outcome, { kind: "stopped", reason: "cancelled", wasKilled: false });
    assert.equal((await run(worker, "test/fine")).kind, "done");
  });

  it("is ended when its model is deaf to cancel, even in an endless loop", async () => {
    for (const endpointId of ["test/deaf", "test/loop"]) {
      await using worker = await start(fixture("misbehaving.mjs"), { graceMs: 200 });
      const outcome = await run(worker, endpointId, { cancelAfterMs: 100 });
      assert.deepEqual(outcome, { kind: "stopped", reason: "cancelled", wasKilled: true });
      assert.deepEqual(await worker.exited, { kind: "killed", why: "deaf to cancel" });
    }
  });

  it("takes with it what its model started", async () => {
    await using worker = await start(fixture("misbehaving.mjs"), { graceMs: 200 });
    const listener = createListener();
    await run(worker, "test/child", { listener, cancelAfterMs: 200 });
    await worker.exited;
    const pid = Number(listener.lines[0]?.split(" ")[1]);
    assert(pid > 0);
    await waitUntilGone(pid);
  });

  it("is ended by force when its teardown hangs", async () => {
    const worker = await start(fixture("misbehaving.mjs"));
    const running = run(worker, "test/loop");
    await worker.stop();
    assert.equal((await running).kind, "exited");
    assert.equal(isRunning(worker.pid), false);
  });

  it("ends itself when its parent is killed while it is inside an endless loop", async () => {
    const child = spawn(
      process.execPath,
      [
        "--disable-warning=ExperimentalWarning",
        fixture("orphan-parent.ts"),
        fixture("misbehaving.mjs"),
        "test/loop",
        folder,
      ],
      { stdio: ["ignore", "pipe", "inherit"] },
    );
    const [text] = (await once(child.stdout, "data")) as [Buffer];
    const pid = Number(text.toString());
    assert(isRunning(pid), "the worker runs");
    child.kill("SIGKILL");
    await waitUntilGone(pid);
  });
});

function fixture(name: string): string {
  return join(import.meta.dirname, "fixtures", name);
}

interface StartFixture {
  readonly environment?: Readonly<Record<string, string>>;
  readonly memoryBytes?: number;
  readonly graceMs?: number;
  readonly settings?: Readonly<Record<string, string>>;
  readonly setupTimeoutMs?: number;
}

async function start(file: string, options: StartFixture = {}): Promise<WorkerProcess> {
  const worker = new WorkerProcess({
    environment: options.environment ?? environment,
    clock: systemClock,
    memoryBytes: options.memoryBytes ?? null,
    graceMs: options.graceMs ?? 5_000,
  });
  try {
    await worker.describe(file, TIMEOUT);
    const setup = { threads: 2, cacheDir: folder, settings: options.settings ?? {} };
    await worker.setup(setup, { timeoutMs: options.setupTimeoutMs ?? 20_000 });
  } catch (error) {
    await worker.stop();
    throw error;
  }
  return worker;
}

async function run(
  worker: WorkerProcess,
  endpointId: string,
  options: {
    readonly input?: unknown;
    readonly listener?: RunListener;
    readonly cancelAfterMs?: number;
    readonly wantsPreviews?: boolean;
  } = {},
): ReturnType<WorkerProcess["run"]> {
  const controller = new AbortController();
  const work: WorkerRun = {
    runId: crypto.randomUUID(),
    requestId: "r",
    endpointId,
    attempt: 1,
    seed: 77,
    input: options.input ?? {},
    headers: { "x-some": "header" },
    wantsPreviews: options.wantsPreviews ?? false,
  };
  const reason: CancelReason = "cancelled";
  const timer = setTimeout(() => controller.abort(reason), options.cancelAfterMs ?? 30_000);
  try {
    return await worker.run(work, options.listener ?? createListener(), controller.signal);
  } finally {
    clearTimeout(timer);
  }
}

function createListener(): RunListener & {
  readonly lines: string[];
  readonly phases: string[];
  readonly previews: string[];
  readonly emitted: unknown[];
  readonly audience: { isThere: boolean };
} {
  const lines: string[] = [];
  const phases: string[] = [];
  const previews: string[] = [];
  const emitted: unknown[] = [];
  const audience = { isThere: false };
  return {
    audience,
    lines,
    phases,
    previews,
    emitted,
    log: (level, message) => lines.push(`${level} ${message}`),
    progress: ({ phase, step, steps }) => phases.push(`${phase} ${step}/${steps}`),
    preview: (artifact, _image, step) =>
      previews.push(`${Buffer.from(artifact.bytes).toString()} at ${step}`),
    emit: (value) => emitted.push(value),
    wantsPreviews: () => audience.isThere,
    readFile: async (value, { loc }) =>
      value === "https://a.test/x"
        ? { ok: true, bytes: Buffer.from("bytes"), contentType: "text/plain", source: value }
        : { ok: false, status: 422, detail: [{ loc, msg: "no", type: "file_download_error" }] },
  };
}

async function waitUntilGone(pid: number): Promise<void> {
  const deadline = performance.now() + 10_000;
  while (isRunning(pid)) {
    assert(performance.now() < deadline, `process ${pid} is still there`);
    await systemClock.sleep(100);
  }
}

function isRunning(pid: number | undefined): boolean {
  if (pid === undefined) return false;
  try {
    process.kill(pid, 0);
    return true;
  } catch {
    return false;
  }
}
