/**
 * Writes `models/tiny/references.json`: small pictures of given prompts and seeds, to which the test of the shipped weights
 * compares. Run it after the weights or the pipeline changed on purpose.
 *
 *   node evaluate/write-references.ts
 */
import { writeFile } from "node:fs/promises";
import { fileURLToPath } from "node:url";
import sharp from "sharp";
import { openTinyEngine } from "../../runtime/src/engines/tiny-engine.ts";

const SIDE = 16;
const STEPS = 12;
const CASES = [
  { prompt: "a red apple on a white background", width: 128, height: 128, seed: 1 },
  { prompt: "a penguin in the snow", width: 160, height: 120, seed: 2 },
  { prompt: "3d render of a rocket in space", width: 120, height: 160, seed: 3 },
  { prompt: 'close-up of a tiger eye, the word "FLUX" is painted over it', width: 160, height: 90, seed: 4 },
] as const;

const folder = fileURLToPath(new URL("../../models/tiny/", import.meta.url));
await using engine = await openTinyEngine({ folder, name: "sluice-tiny", threads: 2 });
const sink = { log() {}, progress() {}, preview() {} };
const references = [];
for (const { prompt, width, height, seed } of CASES) {
  const { pictures } = await engine.generate(
    { prompt, width, height, steps: STEPS, guidance: 3.5, seeds: [seed], wantsPreviews: false },
    sink,
    new AbortController().signal,
  );
  const [picture] = pictures;
  if (!picture) throw new Error(`no picture for "${prompt}"`);
  const small = await sharp(Buffer.from(picture.rgb), { raw: { width, height, channels: 3 } })
    .resize(SIDE, SIDE, { fit: "fill", kernel: "linear" })
    .raw()
    .toBuffer();
  references.push({ prompt, width, height, seed, steps: STEPS, small: small.toString("base64") });
}
await writeFile(`${folder}references.json`, `${JSON.stringify({ side: SIDE, references }, null, 2)}\n`);
