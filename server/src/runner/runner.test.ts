import assert from "node:assert/strict";
import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import { describe, it } from "node:test";
import { createErrorDetail } from "@sluice/protocol";
import type { RequestId } from "../ids.ts";
import type { RequestQueue } from "../queue/request-queue.ts";
import { type HarnessOptions, type RunnerHarness, startRunnerHarness } from "./testing/runner-harness.ts";

describe("a queued request", { timeout: 120_000 }, () => {
  it("ends with its output, stored files, logs and timeline", async () => {
    await using harness = await start("pictures.mjs");
    const id = await harness.submit("test/pictures", { num_images: 2, prompt: "a fox" });
    const record = await harness.waitFor(id);
    assert.equal(record.state, "succeeded");
    assert(record.inferenceSeconds !== null && record.inferenceSeconds > 0);
    const { status, headers, body } = await harness.readResult(id);
    assert.equal(status, 200);
    assert.deepEqual(headers, {
      "content-type": "application/json",
      "x-fal-billable-units": "2",
      "x-model": "pictures@7",
    });
    const { images, mask, link, prompt, echo } = body as {
      images: Record<string, unknown>[];
      mask: Record<string, unknown>;
      link: string;
      prompt: string;
      echo: unknown;
    };
    assert.equal(prompt, "a fox");
    assert.deepEqual(echo, { $artifact: 0 });
    assert.deepEqual({ ...images[1], url: "" }, { url: "", content_type: "image/png", width: 4, height: 3 });
    assert.deepEqual(
      { ...mask, url: "" },
      { url: "", content_type: "image/png", file_name: "output.png", file_size: 9, width: 4, height: 3 },
    );
    assert.match(link, /^http:\/\/files\.test\/files\/b\//);
    const path = new URL(String(images[1]!["url"])).pathname.slice(1);
    const file = await harness.files.find(path);
    assert(file !== undefined);
    assert.equal(file.requestId, id);
    assert.equal(Buffer.from((await harness.files.read(file)) ?? []).toString(), "picture 1");

    const events = await harness.queue.listEvents(id);
    const kinds = events.map((event) => event.kind).filter((kind) => OWN_EVENTS.has(kind));
    assert.deepEqual(kinds, ["loaded", "encoded", "decoded", "stored"]);
    const stored = events.find((event) => event.kind === "stored")!;
    assert.equal(stored.data["files"], 4);
    assert.equal((stored.data["step_ms"] as number[]).length, 3);
    assert.deepEqual(
      harness.updates.flatMap((update) => (update.type === "progress" ? update.progress.phase : [])),
      ["encode", "denoise", "denoise", "denoise", "decode"],
    );
    assert.equal(
      harness.updates.some((update) => update.type === "preview"),
      false,
    );
    assert.deepEqual(
      harness.updates.flatMap((update) => (update.type === "changed" ? update.state : [])).at(-1),
      "succeeded",
    );
  });

  it("gives its files the lifetime and access rules that it asked for", async () => {
    await using harness = await start("pictures.mjs");
    const fileLifecycle = { expiration_duration_seconds: 60, initial_acl: { default: "hide", rules: [] } };
    const id = await harness.submit("test/pictures", {}, { fileLifecycle });
    await harness.waitFor(id);
    const { files } = await harness.files.list({ requestId: id, limit: 10 });
    assert.equal(files.length, 3);
    for (const file of files) {
      assert.equal(file.acl.default, "hide");
      assert(Math.abs(file.expiresAt! - file.createdAt - 60_000) < 1_000);
    }
  });

  it("gives its files what the account has set, where the request asked for nothing", async () => {
    await using harness = await start("pictures.mjs");
    const { accountId } = harness.createRequest("test/pictures");
    const acl = { default: "forbid", rules: [] } as const;
    await harness.files.setDefaults(accountId, { expiresAfterMs: 60_000, acl });
    const plain = await harness.submit("test/pictures");
    const own = await harness.submit(
      "test/pictures",
      {},
      { fileLifecycle: { expiration_duration_seconds: null } },
    );
    for (const [id, lifetime] of [
      [plain, 60_000],
      [own, null],
    ] as const) {
      await harness.waitFor(id);
      const { files } = await harness.files.list({ requestId: id, limit: 10 });
      assert.equal(files.length, 3);
      for (const file of files) {
        assert.equal(file.acl.default, "forbid");
        if (lifetime === null) assert.equal(file.expiresAt, null);
        else assert(Math.abs(file.expiresAt! - file.createdAt - lifetime) < 1_000);
      }
    }
  });

  it("comes back inline and stores nothing in sync mode", async () => {
    await using harness = await start("pictures.mjs");
    const id = await harness.submit("test/pictures", { sync_mode: true });
    await harness.waitFor(id);
    const { images } = (await harness.readResult(id)).body as { images: { url: string }[] };
    assert.equal(images[0]!.url, `data:image/png;base64,${Buffer.from("picture 0").toString("base64")}`);
    assert.deepEqual((await harness.files.list({ requestId: id, limit: 10 })).files, []);
  });

  it("shows previews only while somebody looks", async () => {
    await using harness = await start("pictures.mjs");
    const request = harness.createRequest("test/pictures");
    const controller = new AbortController();
    harness.live.subscribe(request.id, controller.signal, { wantsPreviews: true });
    await harness.queue.enqueue(request);
    harness.live.wake(request.endpointId);
    await harness.waitFor(request.id);
    controller.abort();
    const previews = harness.updates.flatMap((update) => (update.type === "preview" ? update.step : []));
    assert.deepEqual(previews, [1, 2, 3]);
    const emitted = harness.updates.find((update) => update.type === "emit");
    assert.match(JSON.stringify(emitted), /data:image\/png;base64,/);
  });

  it("keeps its log lines in order, live at once and in the history when it ends", async () => {
    await using harness = await start("logs.mjs");
    const id = await harness.submit("test/logs", { count: 1_000 });
    await harness.waitFor(id);
    const expected = ["loading", "from setup", "first", "second 2", "third", "third and a half", "fourth"];
    expected.push(...Array.from({ length: 1_000 }, (_, index) => `line ${index}`), "fifth without an end");
    const stored = await harness.queue.listLogs(id);
    assert.deepEqual(
      stored.map((line) => line.message),
      expected,
    );
    assert.equal(stored[0]!.level, "DEBUG");
    assert.deepEqual(
      harness.updates.flatMap((update) => (update.type === "log" ? update.message : [])),
      expected,
    );
  });

  it("is checked again before it runs", async () => {
    await using harness = await start("pictures.mjs");
    const id = await harness.submit("test/pictures", { num_images: "many" });
    const record = await harness.waitFor(id);
    assert.equal(record.state, "failed");
    const { status, headers, body } = await harness.readResult(id);
    assert.equal(status, 422);
    assert.equal(headers["x-fal-billable-units"], "0");
    assert.equal((body as { detail: { type: string }[] }).detail[0]!.type, "int_parsing");
  });

  it("reads its input files on the server's side", async () => {
    await using harness = await start("pictures.mjs", {
      readInputFile: async (value, { loc, maxBytes, accountId }) =>
        value === "https://a.test/fox.png"
          ? {
              ok: true,
              bytes: Buffer.from(`${maxBytes} ${accountId.length}`),
              contentType: "image/png",
              source: value,
            }
          : { ok: false, status: 422, detail: [createErrorDetail("file_download_error", loc)] },
    });
    const id = await harness.submit("test/read-file", { image_url: "https://a.test/fox.png" });
    await harness.waitFor(id);
    assert.deepEqual((await harness.readResult(id)).body, {
      text: "1000 36",
      content_type: "image/png",
      source: "https://a.test/fox.png",
    });
    const refused = await harness.submit("test/read-file", { image_url: "https://b.test/" });
    await harness.waitFor(refused);
    const { status, body } = await harness.readResult(refused);
    assert.equal(status, 422);
    assert.deepEqual((body as { detail: { loc: unknown }[] }).detail[0]!.loc, ["body", "image_url"]);
  });
});

describe("a model that misbehaves", { timeout: 120_000 }, () => {
  it("costs a request when it crashes, and the next request is served", async () => {
    await using harness = await start("misbehaving.mjs");
    for (const endpointId of ["test/abort", "test/exit", "test/memory"]) {
      const id = await harness.submit(endpointId);
      const record = await harness.waitFor(id);
      assert.equal(record.state, "failed", endpointId);
      assert.equal(record.errorType, "runner_server_error");
      assert.doesNotMatch(JSON.stringify((await harness.readResult(id)).body), /SIGABRT|misbehaving/);
    }
    const fine = await harness.submit("test/fine");
    assert.equal((await harness.waitFor(fine)).state, "succeeded");
  });

  it("is given another attempt when it crashes", async () => {
    await using harness = await start("misbehaving.mjs");
    const id = await harness.submit(
      "test/exit",
      {},
      { retry: { connectionError: 1, serverError: 2, timeout: 1 } },
    );
    assert.equal((await harness.waitFor(id)).attempts, 2);
  });

  it("is ended when it takes too long, even in an endless loop", async () => {
    await using harness = await start("misbehaving.mjs");
    for (const endpointId of ["test/loop", "test/deaf", "test/polite"]) {
      const id = await harness.submit(endpointId, {}, { timeoutMs: 300 });
      const record = await harness.waitFor(id);
      assert.equal(record.statusCode, 504, endpointId);
      assert.equal(record.errorType, "request_timeout");
    }
    const fine = await harness.submit("test/fine");
    assert.equal((await harness.waitFor(fine)).state, "succeeded");
  });

  it("answers what it threw without telling its insides", async () => {
    await using harness = await start("misbehaving.mjs");
    const thrown = await harness.submit("test/throws");
    await harness.waitFor(thrown);
    const { status, body } = await harness.readResult(thrown);
    assert.equal(status, 500);
    assert.deepEqual(body, {
      detail: [
        {
          loc: ["body"],
          msg: "Internal server error",
          type: "internal_server_error",
          url: "https://docs.fal.ai/errors/#internal_server_error",
        },
      ],
    });
    const logs = await harness.queue.listLogs(thrown);
    assert.match(
      (JSON.parse(logs.at(-1)!.message) as { traceback: string }).traceback,
      /a secret of the model/,
    );

    const refused = await harness.submit("test/model-error");
    const record = await harness.waitFor(refused);
    assert.equal(record.error, "Invalid status code: 422");
    const result = await harness.readResult(refused);
    assert.equal(result.headers["x-fal-retryable"], "false");
    assert.deepEqual((result.body as { detail: { ctx: unknown }[] }).detail[0]!.ctx, {
      min_width: 8,
      min_height: 8,
    });
  });

  it("answers an internal error when its output does not fit, and says why only in the server's log", async () => {
    await using harness = await start("misbehaving.mjs");
    for (const endpointId of ["test/wrong-output", "test/unwritable-output"]) {
      const id = await harness.submit(endpointId);
      await harness.waitFor(id);
      const { status, body } = await harness.readResult(id);
      assert.equal(status, 500);
      assert.doesNotMatch(JSON.stringify(body), /many|bytes/);
    }
    assert.match(JSON.stringify(harness.complaints[0]), /does not fit its output schema.*/);
    assert.match(JSON.stringify(harness.complaints[0]), /"count"/);
  });

  it("answers at once when it cannot be loaded, and works once it can", async () => {
    await using harness = await start("setup-fails.mjs");
    const refused = await runDirect(harness, "test/setup-fails");
    assert.equal(refused.statusCode, 503);
    assert.equal(refused.errorType, "runner_scheduling_failure");
    await writeFile(join(harness.dir, "cache", "repaired"), "");
    const id = await harness.submit("test/setup-fails");
    assert.equal((await harness.waitFor(id)).state, "succeeded");
  });
});

describe("draining the machine", { timeout: 60_000 }, () => {
  it("lets what runs end and begins nothing new until it is resumed", async () => {
    await using harness = await start("misbehaving.mjs");
    const { machine } = harness.runner;
    const running = await harness.submit("test/polite");
    await harness.waitForUpdate((update) => update.type === "progress" && update.requestId === running);
    machine.drain();
    const report = await machine.describe();
    assert.equal(report.isDrained, true);
    assert.ok(report.memory.totalBytes > 0 && report.cpu.cores >= 1);
    assert.deepEqual(
      report.workers.map(({ state, request }) => [state, request?.id]),
      [["busy", running]],
    );
    const waiting = await harness.submit("test/fine");
    const direct = harness.createRequest("test/fine");
    const refused = await harness.runner.directRun.run(direct, { signal: new AbortController().signal });
    assert.equal(refused.statusCode, 503);
    assert.match(String(refused.error ?? Buffer.from(refused.body)), /drained/);
    await harness.cancel(running);
    await harness.waitFor(running);
    await harness.waitUntil(() => harness.runner.workers()[0]?.state === "idle");
    assert.equal((await harness.queue.find(waiting))?.state, "queued");
    assert.equal((await machine.describe()).workers[0]?.request, null);
    machine.resume();
    assert.equal((await harness.waitFor(waiting)).state, "succeeded");
  });
});

describe("cancelling a running request", { timeout: 120_000 }, () => {
  it("ends it at its next step, and the same worker serves the next request", async () => {
    await using harness = await start("misbehaving.mjs");
    const id = await harness.submit("test/polite");
    await harness.waitForUpdate((update) => update.type === "progress" && update.requestId === id);
    const [worker] = harness.runner.workers();
    await harness.cancel(id);
    const record = await harness.waitFor(id);
    assert.equal(record.state, "cancelled");
    assert.equal(record.statusCode, 499);
    assert.deepEqual((await harness.readResult(id)).body, {
      detail: "Request cancelled by the client.",
      error_type: "client_cancelled",
    });
    await harness.waitFor(await harness.submit("test/fine"));
    assert.equal(harness.runner.workers()[0]!.pid, worker!.pid);
  });

  it("ends a model that is deaf to it with its worker", async () => {
    await using harness = await start("misbehaving.mjs");
    const id = await harness.submit("test/loop");
    await harness.waitForUpdate((update) => update.type === "changed" && update.state === "running");
    await harness.waitUntil(() => harness.runner.workers()[0]?.state === "busy");
    const [worker] = harness.runner.workers();
    await harness.cancel(id);
    assert.equal((await harness.waitFor(id)).statusCode, 499);
    await harness.waitFor(await harness.submit("test/fine"));
    assert.notEqual(harness.runner.workers()[0]!.pid, worker!.pid);
  });

  it("is learnt from the queue when the live message is lost", async () => {
    await using harness = await start("misbehaving.mjs", { settings: { leaseMs: 600 } });
    const id = await harness.submit("test/polite");
    await harness.waitForUpdate((update) => update.type === "progress");
    await harness.queue.cancel(id);
    assert.equal((await harness.waitFor(id)).state, "cancelled");
  });

  it("works while the model loads, and the loaded worker serves the next request", async () => {
    await using harness = await start("shared-setup.mjs", { settings: { model: { setup_ms: "800" } } });
    const id = await harness.submit("test/first");
    await harness.waitUntil(() => harness.runner.workers().length === 1);
    const [worker] = harness.runner.workers();
    await harness.cancel(id);
    assert.equal((await harness.waitFor(id)).state, "cancelled");
    const next = await harness.submit("test/second");
    await harness.waitFor(next);
    assert.equal(((await harness.readResult(next)).body as { pid: number }).pid, worker!.pid);
  });
});

describe("a runner", { timeout: 120_000 }, () => {
  it("removes the files of a request whose lease it lost before it could be ended", async () => {
    let completions = 0;
    await using harness = await start("pictures.mjs", {
      wrapQueue: (queue) =>
        override(queue, {
          complete: async () => {
            completions++;
            return "lost";
          },
        }),
    });
    const id = await harness.submit("test/pictures");
    await harness.waitUntil(() => completions === 1);
    await harness.waitUntil(
      async () => (await harness.files.list({ requestId: id, limit: 10 })).files.length === 0,
    );
  });

  it("aborts a run and writes nothing when its lease is lost", async () => {
    let isLost = false;
    let completions = 0;
    await using harness = await start("misbehaving.mjs", {
      settings: { leaseMs: 300 },
      wrapQueue: (queue) =>
        override(queue, {
          heartbeat: async (lease) => (isLost ? "lost" : queue.heartbeat(lease)),
          complete: async () => {
            completions++;
            return "lost";
          },
        }),
    });
    await harness.submit("test/polite");
    await harness.waitForUpdate((update) => update.type === "progress");
    isLost = true;
    await harness.waitUntil(() => harness.runner.workers()[0]?.state === "idle");
    assert.equal(completions, 0);
  });

  it("tries a failing write again while it holds the lease", async () => {
    let failures = 0;
    await using harness = await start("misbehaving.mjs", {
      wrapQueue: (queue) =>
        override(queue, {
          complete: async (lease, result, events) => {
            if (failures++ < 2) throw new Error("disk full");
            return queue.complete(lease, result, events);
          },
        }),
    });
    const id = await harness.submit("test/fine");
    assert.equal((await harness.waitFor(id)).state, "succeeded");
    assert.equal(failures, 3);
  });

  it("lets running requests finish when it drains, and begins no others", async () => {
    await using harness = await start("shared-setup.mjs");
    const first = await harness.submit("test/first", { wait_ms: 500 });
    await harness.waitFor(first, "running");
    const second = await harness.submit("test/second");
    await harness.runner.drain();
    assert.equal((await harness.waitFor(first)).state, "succeeded");
    assert.equal((await harness.queue.find(second))?.state, "queued");
  });

  it("gives back what does not finish in time, without counting the attempt", async () => {
    await using harness = await start("misbehaving.mjs", { settings: { drainMs: 200 } });
    const id = await harness.submit("test/polite");
    await harness.waitForUpdate((update) => update.type === "progress");
    await harness.runner.drain();
    const record = await harness.queue.find(id);
    assert.equal(record?.state, "queued");
    assert.equal(record?.attempts, 0);
  });

  it("runs as many requests at a time as the model file may have workers", async () => {
    await using harness = await start("two-workers.mjs");
    const ids = await Promise.all([1, 2, 3].map(() => harness.submit("test/two-workers", { wait_ms: 500 })));
    for (const id of ids) await harness.waitFor(id);
    const answers = await Promise.all(
      ids.map(async (id) => (await harness.readResult(id)).body as { pid: number }),
    );
    assert.equal(new Set(answers.map(({ pid }) => pid)).size, 2);
  });

  it("serves the same seed to every attempt, and another to another request", async () => {
    await using harness = await start("shared-setup.mjs");
    const first = await runDirect(harness, "test/first");
    const second = await runDirect(harness, "test/first");
    const [one, two] = [first, second].map(
      (result) => JSON.parse(Buffer.from(result.body).toString()).seed as number,
    );
    assert(Number.isInteger(one) && one! >= 0 && one! < 2 ** 32);
    assert.notEqual(one, two);
  });
});

describe("a direct run", { timeout: 120_000 }, () => {
  it("answers, and is in the history afterwards", async () => {
    await using harness = await start("pictures.mjs");
    const request = harness.createRequest("test/pictures", { sync_mode: true }, { surface: "run" });
    let started: RequestId | undefined;
    const result = await harness.runner.directRun.run(request, {
      signal: new AbortController().signal,
      onStart: (id) => {
        started = id;
      },
    });
    assert.equal(result.statusCode, 200);
    assert.equal(started, request.id);
    const inlined = Buffer.from("picture 0").toString("base64");
    assert.match(Buffer.from(result.body).toString(), new RegExp(inlined));
    await harness.waitFor(request.id, "succeeded");
    assert.doesNotMatch(JSON.stringify((await harness.readResult(request.id)).body), new RegExp(inlined));
  });

  it("is cancelled when its caller leaves, in line and running", async () => {
    await using harness = await start("misbehaving.mjs");
    const running = new AbortController();
    const waiting = new AbortController();
    const first = runDirect(harness, "test/polite", running.signal);
    await harness.waitForUpdate((update) => update.type === "progress");
    const second = runDirect(harness, "test/fine", waiting.signal);
    waiting.abort();
    assert.equal((await second).errorType, "client_disconnected");
    running.abort();
    assert.equal((await first).errorType, "client_disconnected");
    assert.equal((await runDirect(harness, "test/fine")).statusCode, 200);
  });

  it("ends with 504 when it does not start in time", async () => {
    await using harness = await start("shared-setup.mjs");
    const first = runDirect(harness, "test/first", undefined, { wait_ms: 1_000 });
    const late = harness.createRequest("test/first", {}, { startDeadlineAt: Date.now() + 200 });
    const result = await harness.runner.directRun.run(late, { signal: new AbortController().signal });
    assert.equal(result.statusCode, 504);
    assert.equal(result.headers["x-fal-request-timeout-type"], "user");
    assert.equal((await first).statusCode, 200);
  });

  it("shares a busy worker fairly with the queue", async () => {
    await using harness = await start("shared-setup.mjs");
    const ids = [await harness.submit("test/first"), await harness.submit("test/first")];
    let direct = 0;
    const isOver = new AbortController();
    const callers = Array.from({ length: 4 }, async () => {
      while (!isOver.signal.aborted) {
        assert.equal((await runDirect(harness, "test/first", undefined, { wait_ms: 10 })).statusCode, 200);
        direct++;
      }
    });
    for (const id of ids) await harness.waitFor(id);
    assert(direct < 20, `${direct} direct runs went first`);
    isOver.abort();
    await Promise.all(callers);
  });

  it("is refused with 503 while the runner drains", async () => {
    await using harness = await start("misbehaving.mjs");
    await harness.runner.drain();
    assert.equal((await runDirect(harness, "test/fine")).statusCode, 503);
  });
});

/** What the runner writes to the timeline; the queue has entries of its own. */
const OWN_EVENTS: ReadonlySet<string> = new Set(["loaded", "encoded", "decoded", "stored"]);

function start(name: string, options?: HarnessOptions): Promise<RunnerHarness> {
  return startRunnerHarness([join(import.meta.dirname, "fixtures", name)], options);
}

function runDirect(
  harness: RunnerHarness,
  endpointId: string,
  signal: AbortSignal = new AbortController().signal,
  input: unknown = {},
): ReturnType<RunnerHarness["runner"]["directRun"]["run"]> {
  return harness.runner.directRun.run(harness.createRequest(endpointId, input, { surface: "run" }), {
    signal,
  });
}

function override(queue: RequestQueue, methods: Partial<RequestQueue>): RequestQueue {
  return Object.assign(Object.create(queue) as RequestQueue, methods);
}
