import assert from "node:assert/strict";
import { cp, mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { describe, test } from "node:test";
import { fileURLToPath } from "node:url";
import type { Picture } from "../engines/engine.ts";
import { openNsfwClassifier } from "./nsfw-classifier.ts";
import { applyPrior, getExplicitProbability } from "./nsfw-scores.ts";
import { applySafetyPolicy, readSafetyPolicy } from "./safety-policy.ts";
import { isFlagged, needsClassifier, type SafetyTolerance } from "./safety-tolerance.ts";

const folder = fileURLToPath(new URL("../../../models/nsfw/", import.meta.url));

describe("the picture classifier", () => {
  // Scores of the original network, run by the program that it was made for.
  const cases = [
    {
      name: "a colour gradient",
      colour: (x: number, y: number) => [x >> 1, y >> 1, 128],
      scores: { drawing: 0.899, hentai: 0.019, neutral: 0.079, porn: 0.003, sexy: 0.001 },
    },
    {
      name: "a skin-like texture",
      colour: (x: number, y: number) => [224, 172, 135].map((value) => value + ((x * y) % 9)),
      scores: { drawing: 0.723, hentai: 0.023, neutral: 0.241, porn: 0.01, sexy: 0.002 },
    },
  ];
  for (const { name, colour, scores } of cases)
    test(`gives ${name} the scores of the original network`, async () => {
      await using classifier = await openNsfwClassifier({ folder, threads: 1 });
      const actual = await classifier.classify(draw(512, 512, colour));
      for (const [label, expected] of Object.entries(scores))
        assert.ok(
          Math.abs(actual[label as keyof typeof actual] - expected) < 0.001,
          `${label}: ${JSON.stringify(actual)}`,
        );
    });

  test("looks at pictures of any size", async () => {
    await using classifier = await openNsfwClassifier({ folder, threads: 1 });
    for (const [width, height] of [
      [1, 1],
      [1, 500],
      [4096, 16],
      [223, 225],
    ] as const) {
      const scores = await classifier.classify(draw(width, height, (x, y) => [x % 256, y % 256, 9]));
      const sum = Object.values(scores).reduce((total, value) => total + value, 0);
      assert.ok(Math.abs(sum - 1) < 1e-4, `${width}x${height}: ${JSON.stringify(scores)}`);
    }
  });

  test("a damaged file is refused by name", async () => {
    const copy = await mkdtemp(join(tmpdir(), "sluice-nsfw-"));
    try {
      await cp(folder, copy, { recursive: true });
      await writeFile(join(copy, "mobilenet-v2.onnx"), "x");
      await assert.rejects(openNsfwClassifier({ folder: copy, threads: 1 }), /mobilenet-v2\.onnx is damaged/);
      await rm(join(copy, "config.json"));
      await assert.rejects(openNsfwClassifier({ folder: copy, threads: 1 }), /config\.json/);
    } finally {
      await rm(copy, { recursive: true });
    }
  });
});

test("a prior moves doubtful scores and leaves certain ones", () => {
  const explicit = (hentai: number, prior: number) =>
    getExplicitProbability(applyPrior({ drawing: 1 - hentai, hentai, neutral: 0, porn: 0, sexy: 0 }, prior));
  assert.ok(Math.abs(explicit(0.8, 1) - 0.8) < 1e-9);
  assert.ok(Math.abs(explicit(0.8, 0.02) - 0.016 / 0.216) < 1e-9);
  assert.ok(explicit(0.9999, 0.02) > 0.99);
  assert.equal(explicit(1, 0.02), 1);
  assert.equal(explicit(1, 0), 1);
});

describe("the safety tolerance", () => {
  const levels: readonly SafetyTolerance[] = [1, 2, 3, 4, 5, 6];
  const scores = (part: { porn?: number; hentai?: number; sexy?: number }) => ({
    drawing: 0,
    neutral: 0,
    porn: 0,
    hentai: 0,
    sexy: 0,
    ...part,
  });
  const flagged = (part: Parameters<typeof scores>[0]) =>
    levels.filter((level) => isFlagged(scores(part), level));

  test("a higher tolerance lets more through, and 6 everything", () => {
    assert.deepEqual(flagged({ porn: 0.1, hentai: 0.04 }), []);
    assert.deepEqual(flagged({ porn: 0.1, hentai: 0.06 }), [1]);
    assert.deepEqual(flagged({ porn: 0.4 }), [1, 2]);
    assert.deepEqual(flagged({ porn: 0.9 }), [1, 2, 3, 4, 5]);
    assert.deepEqual(flagged({ sexy: 0.95 }), [1, 2]);
    assert.deepEqual(levels.filter(needsClassifier), [1, 2, 3, 4, 5]);
  });

  test("the operator's limit wins over what is asked for, and a wrong setting is named", () => {
    assert.deepEqual(readSafetyPolicy({}), { action: "blank", maxTolerance: 6 });
    const policy = readSafetyPolicy({ safety_action: "flag", max_safety_tolerance: "3" });
    assert.deepEqual(
      levels.map((level) => applySafetyPolicy(policy, level)),
      [1, 2, 3, 3, 3, 3],
    );
    assert.throws(
      () => readSafetyPolicy({ safety_action: "hide" }),
      /SAFETY_ACTION is "hide"; use blank, flag/,
    );
    assert.throws(() => readSafetyPolicy({ max_safety_tolerance: "7" }), /MAX_SAFETY_TOLERANCE is "7"/);
  });
});

function draw(width: number, height: number, colour: (x: number, y: number) => readonly number[]): Picture {
  const rgb = new Uint8Array(width * height * 3);
  for (let y = 0; y < height; y++) for (let x = 0; x < width; x++) rgb.set(colour(x, y), (y * width + x) * 3);
  return { rgb, width, height };
}
