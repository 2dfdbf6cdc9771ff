/**
 * Makes the pictures of the evaluation with the product's own pipeline.
 *
 *   node evaluate/generate.ts <work folder> [steps=28] [guidance=3.5] [limit: all] [model folder]
 *
 * Reads `<work>/evaluate/prompts.json`, writes `<work>/evaluate/pictures.bin` (RGB, 128x128 each, in order).
 */
import { open, readFile } from "node:fs/promises";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { openTinyEngine } from "../../runtime/src/engines/tiny-engine.ts";

const SIDE = 128;
const [work = "work", steps = "28", guidance = "3.5", limit = "Infinity", model] = process.argv.slice(2);
const folder = join(work, "evaluate");
const rows: { readonly prompt: string; readonly seed: number }[] = JSON.parse(
  await readFile(join(folder, "prompts.json"), "utf8"),
);
await using engine = await openTinyEngine({
  folder: model ?? fileURLToPath(new URL("../../models/tiny/", import.meta.url)),
  name: "sluice-tiny",
  threads: 2,
});
await using file = await open(join(folder, "pictures.bin"), "w");
const sink = { log() {}, progress() {}, preview() {} };
const started = performance.now();
let made = 0;
for (const { prompt, seed } of rows.slice(0, Number(limit))) {
  const { pictures } = await engine.generate(
    {
      prompt,
      width: SIDE,
      height: SIDE,
      steps: Number(steps),
      guidance: Number(guidance),
      seeds: [seed],
      wantsPreviews: false,
    },
    sink,
    new AbortController().signal,
  );
  for (const { rgb } of pictures) await file.write(rgb);
  made++;
  if (made % 50 === 0) {
    const each = (performance.now() - started) / made;
    process.stdout.write(`${made} pictures, ${each.toFixed(0)} ms each\n`);
  }
}
