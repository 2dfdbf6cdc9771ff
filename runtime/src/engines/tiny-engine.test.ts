import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import { cp, mkdtemp, readFile, rm, truncate, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, describe, test } from "node:test";
import { fileURLToPath } from "node:url";
import type { Progress } from "../model/define-model.ts";
import { type Engine, EngineError, type EngineJob, type EngineSink, type Picture } from "./engine.ts";
import { openTinyEngine } from "./tiny-engine.ts";

const folder = fileURLToPath(new URL("../../../models/tiny/", import.meta.url));
const apple: EngineJob = {
  prompt: "a red apple on a white background",
  width: 256,
  height: 256,
  steps: 4,
  guidance: 3.5,
  seeds: [7],
  wantsPreviews: false,
};

describe("the embedded engine", () => {
  let engine: Engine;
  before(async () => {
    engine = await openTinyEngine({ folder, name: "sluice-tiny", threads: 2 });
  });
  after(() => engine[Symbol.asyncDispose]());

  const generate = async (
    job: Partial<EngineJob>,
    sink: EngineSink = createSink(),
  ): Promise<readonly Picture[]> =>
    (await engine.generate({ ...apple, ...job }, sink, new AbortController().signal)).pictures;

  test("the same seed and prompt give the same bytes, another seed or prompt other ones", async () => {
    const [first] = await generate({});
    assert.equal(hash((await generate({}))[0]), hash(first));
    assert.notEqual(hash((await generate({ seeds: [8] }))[0]), hash(first));
    assert.notEqual(hash((await generate({ prompt: "a blue car at night" }))[0]), hash(first));
  });

  test("the number of threads does not change the bytes", async () => {
    await using single = await openTinyEngine({ folder, name: "sluice-tiny", threads: 1 });
    const { pictures } = await single.generate(apple, createSink(), new AbortController().signal);
    assert.equal(hash(pictures[0]), hash((await generate({}))[0]));
  });

  test("each picture depends on its own seed alone, however many are made", async () => {
    const together = await generate({ seeds: [7, 8, 9, 10] });
    for (const [i, seed] of [7, 8, 9, 10].entries())
      assert.equal(hash((await generate({ seeds: [seed] }))[0]), hash(together[i]));
  });

  test("a prompt decides what is drawn: a red apple on white is red in the middle and white at the corners", async () => {
    const [picture] = await generate({ steps: 12 });
    assert.ok(picture);
    const [red = 0, green = 0, blue = 0] = meanColour(picture, 112, 112, 32);
    assert.ok(red > green + 60 && red > blue + 60, `middle is ${[red, green, blue]}`);
    for (const [x, y] of [
      [2, 2],
      [238, 2],
    ] as const)
      assert.ok(
        Math.min(...meanColour(picture, x, y, 16)) > 200,
        `corner is ${meanColour(picture, x, y, 16)}`,
      );
  });

  for (const [width, height] of [
    [1024, 1024],
    [512, 512],
    [768, 1024],
    [576, 1024],
    [1024, 768],
    [1024, 576],
    [833, 417],
    [64, 64],
    [1, 1],
    [1, 300],
    [65, 64],
    [4096, 1024],
    [320, 4096],
  ] as const)
    test(`a picture of ${width}x${height} has exactly these pixels and is not flat`, async () => {
      const [picture] = await generate({ width, height, steps: 2 });
      assert.equal(picture?.width, width);
      assert.equal(picture?.height, height);
      assert.equal(picture?.rgb.length, width * height * 3);
      if (width * height > 4000) assert.ok(new Set(picture.rgb).size > 20, "it is flat");
    });

  test("more steps and another guidance change the picture", async () => {
    const hashes = new Set<string>();
    for (const job of [{}, { steps: 5 }, { guidance: 1 }, { guidance: 8 }])
      hashes.add(hash((await generate(job))[0]));
    assert.equal(hashes.size, 4);
  });

  test("one step and fifty steps work; sizes, steps and seeds beyond the limits are refused", async () => {
    for (const steps of [1, 50]) await generate({ steps });
    for (const job of [
      { steps: 0 },
      { steps: 51 },
      { width: 4097 },
      { width: 4096, height: 4096 },
      { seeds: [-1] },
    ])
      await assert.rejects(generate(job), (error: EngineError) => error.kind === "invalid_input");
  });

  test("prompts of any length and script give a picture, and the log says what was not understood", async () => {
    const prompts = [
      "",
      "x",
      "apple ".repeat(1_700),
      "木の上の猫",
      "😀".repeat(500),
      "\u0000\u001b[31m\n",
      "\ud83d",
    ];
    for (const prompt of prompts) assert.equal((await generate({ prompt, steps: 1 })).length, 1);
    const sink = createSink();
    await generate({ prompt: "a zzqx apple", steps: 1 }, sink);
    assert.match(sink.lines.join("\n"), /does not know were left out: zzqx\n/);
  });

  test("a prompt that is mostly not understood says what the model understands, and where others are", async () => {
    const sink = createSink();
    await generate({ prompt: "ein roter Apfel", steps: 1 }, sink);
    await generate({ prompt: "红色的 apple 在 桌子", steps: 1 }, sink);
    const lines = sink.lines.filter((line) => line.includes("demonstration model"));
    assert.match(
      lines[0] ?? "",
      /knows no word of the prompt.*: ein, roter, apfel\. .*English.*`sluice models list`/,
    );
    assert.match(lines[1] ?? "", /does not know most words of the prompt.*: 红色的, 在, 桌子\. /);
  });

  test("every step is reported in order, for each picture", async () => {
    const sink = createSink();
    await generate({ seeds: [1, 2], steps: 3 }, sink);
    const steps = sink.reports.filter((report) => report.phase === "denoise");
    assert.deepEqual(
      steps.map((report) => [report.image, report.step, report.steps]),
      [0, 1].flatMap((image) => [1, 2, 3].map((step) => [image, step, 3])),
    );
    assert.equal(sink.reports[0]?.phase, "encode");
    assert.equal(sink.reports.at(-1)?.phase, "decode");
  });

  test("previews come from the model's own predictions and do not change the picture", async () => {
    let time = 0;
    await using watched = await openTinyEngine({
      folder,
      name: "sluice-tiny",
      threads: 2,
      now: () => (time += 300),
    });
    const sink = createSink();
    const { pictures } = await watched.generate(
      { ...apple, wantsPreviews: true },
      sink,
      new AbortController().signal,
    );
    assert.ok(sink.previews.length >= 1);
    assert.ok(sink.previews.every((picture) => picture.rgb.length === picture.width * picture.height * 3));
    assert.ok(new Set(sink.previews[0]?.rgb).size > 20);
    assert.equal(hash(pictures[0]), hash((await generate({}))[0]));
  });

  test("a cancel is heard at the next step, and the engine goes on with the next job", async () => {
    const controller = new AbortController();
    const reason = new Error("cancelled");
    const sink = createSink();
    const running = engine.generate(
      { ...apple, steps: 50, seeds: [1, 2, 3, 4] },
      {
        ...sink,
        progress: (report) => {
          sink.progress(report);
          // As a message from another process would: from the event loop, not from inside the step.
          if (report.phase === "denoise" && report.step === 2) setImmediate(() => controller.abort(reason));
        },
      },
      controller.signal,
    );
    await assert.rejects(running, reason);
    const steps = sink.reports.filter((report) => report.phase === "denoise").length;
    assert.ok(steps <= 3, `${steps} steps were run`);
    assert.equal((await generate({})).length, 1);
  });

  test("a job that is cancelled before it starts does nothing", async () => {
    const sink = createSink();
    await assert.rejects(engine.generate(apple, sink, AbortSignal.abort(new Error("early"))), /early/);
    assert.deepEqual(sink.reports, []);
  });
});

describe("a damaged model folder", () => {
  const open = (path: string) => openTinyEngine({ folder: path, name: "sluice-tiny", threads: 1 });
  const withCopy = async (change: (copy: string) => Promise<void>, expected: RegExp): Promise<void> => {
    const copy = await mkdtemp(join(tmpdir(), "sluice-tiny-"));
    try {
      await cp(folder, copy, { recursive: true });
      await change(copy);
      await assert.rejects(
        open(copy),
        (error) => error instanceof EngineError && expected.test(error.message),
      );
    } finally {
      await rm(copy, { recursive: true });
    }
  };

  test("a truncated graph is refused by name", () =>
    withCopy(
      (copy) => truncate(join(copy, "transformer.onnx"), 1000),
      /transformer\.onnx is damaged: it has 1000 bytes instead of \d+\. .*restore/i,
    ));

  test("a changed byte is refused by name", () =>
    withCopy(async (copy) => {
      const path = join(copy, "text.onnx");
      const bytes = await readFile(path);
      bytes[5000] = (bytes[5000] ?? 0) ^ 1;
      await writeFile(path, bytes);
    }, /text\.onnx is damaged: its SHA-256 is wrong/));

  test("a missing file is refused by name", () =>
    withCopy((copy) => rm(join(copy, "vocab.json")), /vocab\.json is missing/));

  test("a file that matches its hash but is no graph is refused by name", () =>
    withCopy(async (copy) => {
      const bytes = Buffer.from("not a graph");
      await writeFile(join(copy, "upscaler.onnx"), bytes);
      await editConfig(copy, (config) => {
        config.files["upscaler.onnx"] = {
          bytes: bytes.length,
          sha256: createHash("sha256").update(bytes).digest("hex"),
        };
      });
    }, /upscaler\.onnx is damaged or not an ONNX graph/));

  test("a description that is missing, broken or of another family is refused", async () => {
    await withCopy((copy) => rm(join(copy, "config.json")), /config\.json/);
    await withCopy((copy) => writeFile(join(copy, "config.json"), "{"), /config\.json/);
    await withCopy(
      (copy) =>
        editConfig(copy, (config) => {
          config.family = "huge";
        }),
      /"family" is "huge"/,
    );
    await withCopy(
      (copy) =>
        editConfig(copy, (config) => {
          delete config.scheduler.shift;
        }),
      /"scheduler.shift" is missing/,
    );
    await withCopy(
      (copy) =>
        editConfig(copy, (config) => {
          config.text.file = "../x";
        }),
      /"text.file"/,
    );
  });
});

// biome-ignore lint/suspicious/noExplicitAny: the test breaks the document on purpose
async function editConfig(copy: string, edit: (config: any) => void): Promise<void> {
  const path = join(copy, "config.json");
  const config = JSON.parse(await readFile(path, "utf8"));
  edit(config);
  await writeFile(path, JSON.stringify(config));
}

interface RecordingSink extends EngineSink {
  readonly lines: string[];
  readonly reports: Progress[];
  readonly previews: Picture[];
}

function createSink(): RecordingSink {
  const lines: string[] = [];
  const reports: Progress[] = [];
  const previews: Picture[] = [];
  return {
    lines,
    reports,
    previews,
    log: (line) => void lines.push(line),
    progress: (report) => void reports.push(report),
    preview: ({ picture }) => void previews.push(picture),
  };
}

function hash(picture: Picture | undefined): string {
  assert.ok(picture);
  return createHash("sha256").update(`${picture.width}x${picture.height}`).update(picture.rgb).digest("hex");
}

function meanColour(picture: Picture, left: number, top: number, size: number): number[] {
  return [0, 1, 2].map((channel) => {
    let sum = 0;
    for (let y = top; y < top + size; y++)
      for (let x = left; x < left + size; x++) sum += picture.rgb[(y * picture.width + x) * 3 + channel] ?? 0;
    return Math.round(sum / size ** 2);
  });
}
