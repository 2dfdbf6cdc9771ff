/**
 * Writes pictures of given prompts as one sheet, made by the product's own pipeline, to look at.
 *
 *   node evaluate/look.ts <sheet.png> <width> <height> <steps> <columns> <file with one prompt a line> [model folder] [guidance]
 */
import { readFile } from "node:fs/promises";
import { fileURLToPath } from "node:url";
import sharp from "sharp";
import { openTinyEngine } from "../../runtime/src/engines/tiny-engine.ts";

const [
  out = "sheet.png",
  w = "512",
  h = "384",
  steps = "28",
  columnsText = "5",
  list = "prompts.txt",
  model,
  guidance = "3.5",
] = process.argv.slice(2);
const width = Number(w);
const height = Number(h);
const columns = Number(columnsText);
const prompts = (await readFile(list, "utf8")).split("\n").filter((line) => line.trim() !== "");
await using engine = await openTinyEngine({
  folder: model ?? fileURLToPath(new URL("../../models/tiny/", import.meta.url)),
  name: "sluice-tiny",
  threads: 2,
});
const sink = { log() {}, progress() {}, preview() {} };
const composites = [];
for (const [i, prompt] of prompts.entries()) {
  const started = performance.now();
  const { pictures } = await engine.generate(
    {
      prompt,
      width,
      height,
      steps: Number(steps),
      guidance: Number(guidance),
      seeds: [i + 1],
      wantsPreviews: false,
    },
    sink,
    new AbortController().signal,
  );
  const [picture] = pictures;
  if (!picture) throw new Error(`no picture for "${prompt}"`);
  process.stdout.write(`${(performance.now() - started).toFixed(0)} ms  ${prompt}\n`);
  composites.push({
    input: Buffer.from(picture.rgb),
    raw: { width, height, channels: 3 as const },
    left: (i % columns) * width,
    top: Math.floor(i / columns) * height,
  });
}
const rows = Math.ceil(prompts.length / columns);
await sharp({ create: { width: width * columns, height: height * rows, channels: 3, background: "#888" } })
  .composite(composites)
  .png()
  .toFile(out);
