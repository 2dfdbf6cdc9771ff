import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import { after, before, describe, test } from "node:test";
import {
  type Engine,
  EngineError,
  type EngineJob,
  type EngineResult,
  type EngineSink,
  type Picture,
} from "../engines/engine.ts";
import type { Progress } from "../model/define-model.ts";

export interface ConformanceCase {
  readonly name: string;
  /** Opens the engine; called twice. Disposing takes with it whatever was made for it. */
  readonly open: () => Promise<OpenedEngine>;
  /** A job that takes a moment, of at least four steps, whose picture is not flat. */
  readonly job: Omit<EngineJob, "seeds" | "wantsPreviews">;
  /** What it does not do, with the reason. */
  readonly unsupported?: { readonly [Feature in "init" | "guidance"]?: string };
}

export interface OpenedEngine extends AsyncDisposable {
  readonly engine: Engine;
}

/** What every engine promises, whatever it runs on. For people who write their own, too. */
export function testEngine({ name, open, job: base, unsupported = {} }: ConformanceCase): void {
  describe(`${name} keeps the contract of engines`, { timeout: 120_000 }, () => {
    let opened: OpenedEngine;
    let engine: Engine;
    before(async () => {
      opened = await open();
      engine = opened.engine;
    });
    after(() => opened[Symbol.asyncDispose]());

    const generate = (
      job: Partial<EngineJob> = {},
      sink: EngineSink = createSink(),
      signal = new AbortController().signal,
    ): Promise<EngineResult> =>
      engine.generate({ ...base, seeds: [42], wantsPreviews: false, ...job }, sink, signal);
    const drawHash = async (job: Partial<EngineJob> = {}): Promise<string> =>
      hash((await generate(job)).pictures[0]);

    test("it says what answers and what may be asked for", () => {
      const { kind, name: model, version, limits } = engine.info;
      for (const word of [kind, model, version]) assert.match(word, /^[\x21-\x7e]+$/);
      for (const { min, max, default: normal } of [limits.steps, limits.guidance ?? limits.steps])
        assert.ok(min <= normal && normal <= max, `${min} ${normal} ${max}`);
      for (const size of [limits.maxSide, limits.maxArea, limits.multipleOf])
        assert.ok(Number.isSafeInteger(size) && size >= 1, String(size));
    });

    test("a picture has three bytes for each of its pixels, about as many as were asked for", async () => {
      const { pictures, timings } = await generate();
      const [picture] = pictures;
      assert.ok(picture);
      const { width, height, rgb } = picture;
      assert.equal(rgb.length, width * height * 3);
      const { multipleOf } = engine.info.limits;
      assert.ok(width <= base.width && width > base.width - multipleOf, `${width} wide`);
      assert.ok(height <= base.height && height > base.height - multipleOf, `${height} high`);
      assert.ok(new Set(rgb).size > 3, "it is flat");
      assert.ok((timings["inference"] ?? -1) >= 0, JSON.stringify(timings));
    });

    test("picture i depends on its seed alone, and everything asked for counts", async () => {
      const { pictures } = await generate({ seeds: [7, 8, 7] });
      assert.equal(pictures.length, 3);
      const [first, second, third] = pictures.map(hash);
      assert.equal(first, third);
      assert.notEqual(first, second);
      assert.equal(await drawHash({ seeds: [8] }), second);
      assert.notEqual(await drawHash({ seeds: [8], prompt: `${base.prompt}, at night` }), second);
      assert.notEqual(await drawHash({ seeds: [8], steps: base.steps - 1 }), second);
      if (unsupported.guidance === undefined)
        assert.notEqual(await drawHash({ seeds: [8], guidance: base.guidance + 1 }), second);
    });

    test("the largest seed is a seed like others", async () => {
      assert.notEqual(await drawHash({ seeds: [2 ** 32 - 1] }), await drawHash({ seeds: [0] }));
    });

    test("every step of every picture is reported once, in order", async () => {
      const sink = createSink();
      await generate({ seeds: [1, 2] }, sink);
      const { steps } = base;
      const denoise = sink.reports.filter(({ phase }) => phase === "denoise");
      assert.deepEqual(
        denoise.map(({ image, step, steps: of }) => [image, step, of]),
        [0, 1].flatMap((image) => Array.from({ length: steps }, (_, i) => [image, i + 1, steps])),
      );
      assert.equal(sink.reports.at(-1)?.phase, "decode");
      assert.ok(sink.lines.includes(`INFO image 2/2, step ${steps}/${steps}`), sink.lines.join("\n"));
    });

    test("a cancel stops it with the reason, one step later at most, and the next job is drawn", async () => {
      const controller = new AbortController();
      const reason = new Error("cancelled by the caller");
      const sink = createSink((report) => {
        // As a message from another process would: from the event loop, not from inside the step.
        if (report.phase === "denoise" && report.step === 2) setImmediate(() => controller.abort(reason));
      });
      await assert.rejects(generate({ seeds: [1, 2, 3] }, sink, controller.signal), reason);
      const steps = sink.reports.filter(({ phase }) => phase === "denoise").length;
      assert.ok(steps >= 2 && steps <= 3, `${steps} steps`);
      await assert.rejects(generate({}, createSink(), controller.signal), reason);
      assert.equal((await generate()).pictures.length, 1);
    });

    test("a cancelled job does not change the next picture", async () => {
      const expected = await drawHash();
      const controller = new AbortController();
      const sink = createSink(({ phase }) => {
        if (phase === "denoise") controller.abort(new Error("cancelled"));
      });
      await assert.rejects(generate({ seeds: [9] }, sink, controller.signal), /cancelled/);
      assert.equal(await drawHash(), expected);
    });

    test("values that no engine can take are refused by name, and nothing is drawn", async () => {
      const { steps } = engine.info.limits;
      const refused: readonly (readonly [Partial<EngineJob>, RegExp])[] = [
        [{ steps: steps.max + 1 }, /steps/],
        [{ steps: steps.min - 1 }, /steps/],
        [{ steps: 1.5 }, /steps/],
        [{ width: 0 }, /0x/],
        [{ height: 64.5 }, /64\.5/],
        [{ seeds: [-1] }, /seeds/],
        [{ seeds: [0.5] }, /seeds/],
      ];
      for (const [job, message] of refused) {
        const sink = createSink();
        await assert.rejects(generate(job, sink), (error) => {
          assert.ok(error instanceof EngineError, String(error));
          assert.equal(error.kind, "invalid_input");
          assert.match(error.message, message);
          return true;
        });
        assert.deepEqual(sink.reports, []);
      }
    });

    test("prompts of any length and script are drawn, and said when they are cut", async () => {
      for (const prompt of [
        "",
        "\u0000",
        "木の上の猫 😀",
        "\ud83d",
        "(((a:.)))",
        "<|im_end|>",
        "cat ".repeat(25_000),
      ]) {
        const sink = createSink();
        const { pictures } = await generate({ prompt, steps: engine.info.limits.steps.min }, sink);
        assert.equal(pictures.length, 1);
        if (prompt.length > 1_000) assert.match(sink.lines.join("\n"), /WARN the prompt is longer than/);
      }
    });

    test("a picture to start from shows in the answer, or is refused", {
      skip: unsupported.init ?? false,
    }, async () => {
      const rgb = Uint8Array.from({ length: 48 * 48 * 3 }, (_, i) => (i % 3 === 0 ? 250 : 20));
      const init = { rgb, width: 48, height: 48, strength: 0.5 };
      const started = await drawHash({ init });
      assert.notEqual(started, await drawHash());
      assert.equal(await drawHash({ init }), started);
      for (const strength of [0, 1.1, Number.NaN])
        await assert.rejects(generate({ init: { ...init, strength } }), {
          kind: "invalid_input",
          message: /strength/,
        });
    });

    test("closing it twice is as good as once, and nothing is drawn afterwards", async () => {
      const other = await open();
      await other.engine[Symbol.asyncDispose]();
      await other.engine[Symbol.asyncDispose]();
      const job = { ...base, seeds: [1], wantsPreviews: false };
      await assert.rejects(
        other.engine.generate(job, createSink(), new AbortController().signal),
        EngineError,
      );
      await other[Symbol.asyncDispose]();
    });
  });
}

interface RecordingSink extends EngineSink {
  readonly lines: string[];
  readonly reports: Progress[];
}

function createSink(onProgress: (report: Progress) => void = () => {}): RecordingSink {
  const lines: string[] = [];
  const reports: Progress[] = [];
  return {
    lines,
    reports,
    log: (line, level = "INFO") => void lines.push(`${level} ${line}`),
    progress(report) {
      reports.push(report);
      onProgress(report);
    },
    preview: () => {},
  };
}

function hash(picture: Picture | undefined): string {
  assert.ok(picture);
  return createHash("sha256").update(`${picture.width}x${picture.height}`).update(picture.rgb).digest("hex");
}
