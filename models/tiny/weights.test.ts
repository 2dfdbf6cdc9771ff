import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import { readFile, stat } from "node:fs/promises";
import { after, before, describe, test } from "node:test";
import { fileURLToPath } from "node:url";
import sharp from "sharp";
import type { Engine } from "../../runtime/src/engines/engine.ts";
import { openTinyEngine } from "../../runtime/src/engines/tiny-engine.ts";

const folder = fileURLToPath(new URL("./", import.meta.url));
/** Mean difference per colour value, of 255, that other processors and runtime versions may bring. */
const LARGEST_DIFFERENCE = 6;

interface Reference {
  readonly prompt: string;
  readonly width: number;
  readonly height: number;
  readonly seed: number;
  readonly steps: number;
  /** Base64 of side x side RGB bytes. */
  readonly small: string;
}

describe("the shipped weights", () => {
  let engine: Engine;
  let references: readonly Reference[];
  let side: number;
  before(async () => {
    engine = await openTinyEngine({ folder, name: "sluice-tiny", threads: 2 });
    ({ references, side } = JSON.parse(await readFile(`${folder}references.json`, "utf8")));
  });
  after(() => engine[Symbol.asyncDispose]());

  const draw = async ({ prompt, width, height, seed, steps }: Omit<Reference, "small">): Promise<Buffer> => {
    const { pictures } = await engine.generate(
      { prompt, width, height, steps, guidance: 3.5, seeds: [seed], wantsPreviews: false },
      { log() {}, progress() {}, preview() {} },
      new AbortController().signal,
    );
    assert.ok(pictures[0]);
    return Buffer.from(pictures[0].rgb);
  };
  const shrink = (rgb: Buffer, { width, height }: Pick<Reference, "width" | "height">): Promise<Buffer> =>
    sharp(rgb, { raw: { width, height, channels: 3 } })
      .resize(side, side, { fit: "fill", kernel: "linear" })
      .raw()
      .toBuffer();

  test("every file has the size and checksum that config.json states, and all together stay below 32 MB", async () => {
    const { files } = JSON.parse(await readFile(`${folder}config.json`, "utf8"));
    let total = 0;
    for (const [name, { bytes, sha256 }] of Object.entries<{ bytes: number; sha256: string }>(files)) {
      const { size } = await stat(folder + name);
      assert.equal(size, bytes, name);
      const hash = createHash("sha256").update(await readFile(folder + name));
      assert.equal(hash.digest("hex"), sha256, name);
      total += size;
    }
    assert.ok(total < 32_000_000, `${total} bytes`);
  });

  test("each reference seed draws its reference picture", async () => {
    for (const reference of references) {
      const small = await shrink(await draw(reference), reference);
      const expected = Buffer.from(reference.small, "base64");
      const difference = getDifference(small, expected);
      assert.ok(difference <= LARGEST_DIFFERENCE, `${reference.prompt}: ${difference.toFixed(1)}`);
    }
  });

  test("four steps are enough for the right colour in the right half", async () => {
    for (const [prompt, left, right] of [
      ["a red heart to the left of a frog", "red", "green"],
      ["a frog to the left of a red heart", "green", "red"],
    ] as const) {
      const rgb = await draw({ prompt, width: 128, height: 128, seed: 5, steps: 4 });
      assert.deepEqual([getLeadingColour(rgb, 0), getLeadingColour(rgb, 64)], [left, right], prompt);
    }
  });

  test("another seed or prompt draws a picture that is clearly not the reference", async () => {
    const [first, second] = references;
    assert.ok(first && second);
    const other = await shrink(await draw({ ...first, prompt: second.prompt }), first);
    assert.ok(getDifference(other, Buffer.from(first.small, "base64")) > 2 * LARGEST_DIFFERENCE);
    const reseeded = await draw({ ...first, seed: first.seed + 1 });
    assert.notDeepEqual(reseeded, await draw(first));
  });
});

/** Whether red or green is stronger in the 64 columns from `from` of a picture of 128x128. */
function getLeadingColour(rgb: Buffer, from: number): "red" | "green" {
  let lead = 0;
  for (let y = 0; y < 128; y++)
    for (let x = from; x < from + 64; x++) {
      const at = (y * 128 + x) * 3;
      lead += (rgb[at] as number) - (rgb[at + 1] as number);
    }
  return lead > 0 ? "red" : "green";
}

function getDifference(a: Buffer, b: Buffer): number {
  assert.equal(a.length, b.length);
  let sum = 0;
  for (let i = 0; i < a.length; i++) sum += Math.abs((a[i] as number) - (b[i] as number));
  return sum / a.length;
}
