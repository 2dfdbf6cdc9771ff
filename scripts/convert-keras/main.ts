import { execFileSync } from "node:child_process";
import { createHash } from "node:crypto";
import { copyFileSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { createRequire } from "node:module";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { type ConvertOptions, convertKerasModel } from "./convert-keras-model.ts";
import type { KerasModel } from "./keras-model.ts";

/**
 * Makes `models/nsfw` and `models/esrgan` from the weights that npm packages carry. Run it again only to move to
 * newer packages: `node scripts/convert-keras/main.ts`. The packages are installed into a temporary folder and are
 * not dependencies, because their peers bring all of TensorFlow.js with them.
 */
const NSFW = "nsfwjs@4.4.0";
const ESRGAN = "@upscalerjs/esrgan-medium@1.0.0";
/** The package also has x8, but enlarging by 4 and then by 2 looks better than its blocky x8. */
const ESRGAN_FACTORS = [2, 4];
const models = fileURLToPath(new URL("../../models/", import.meta.url));

const folder = mkdtempSync(join(tmpdir(), "sluice-convert-"));
try {
  const flags = ["--ignore-scripts", "--legacy-peer-deps", "--no-save", "--no-package-lock"];
  execFileSync("npm", ["install", "--prefix", folder, ...flags, NSFW, ESRGAN], { stdio: "inherit" });
  convertClassifier(join(folder, "node_modules", "nsfwjs"));
  convertUpscaler(join(folder, "node_modules", "@upscalerjs", "esrgan-medium"));
} finally {
  rmSync(folder, { recursive: true });
}

function convertClassifier(source: string): void {
  const require = createRequire(import.meta.url);
  const weights = join(source, "dist", "models", "mobilenet_v2");
  const model: KerasModel = require(join(weights, "model.min.js"));
  const block = Buffer.from(require(join(weights, "group1-shard1of1.min.js")), "base64");
  const file = write("nsfw", "mobilenet-v2.onnx", model, block, {
    name: "nsfw-mobilenet-v2",
    inputName: "pixels",
    inputShape: ["B", 3, 224, 224],
    outputName: "scores",
    outputShape: ["B", 5],
    metadata: { source: NSFW, license: "MIT" },
  });
  writeDescription("nsfw", source, {
    family: "nsfw-classifier",
    version: 1,
    source: NSFW,
    side: 224,
    labels: ["Drawing", "Hentai", "Neutral", "Porn", "Sexy"],
    ...file,
  });
}

function convertUpscaler(source: string): void {
  const files = ESRGAN_FACTORS.map((factor) => {
    const weights = join(source, "models", `x${factor}`);
    const model: KerasModel = JSON.parse(readFileSync(join(weights, "model.json"), "utf8"));
    const block = readFileSync(join(weights, "group1-shard1of1.bin"));
    const file = write("esrgan", `x${factor}.onnx`, model, block, {
      name: `esrgan-x${factor}`,
      inputName: "pixels",
      inputShape: ["B", 3, "H", "W"],
      outputName: "upscaled",
      outputShape: ["B", 3, "H_large", "W_large"],
      halfWeights: true,
      metadata: { source: ESRGAN, license: "MIT" },
    });
    return { factor, ...file };
  });
  writeDescription("esrgan", source, { family: "esrgan", version: 1, source: ESRGAN, graphs: files });
}

function write(
  target: string,
  file: string,
  model: KerasModel,
  block: Uint8Array,
  options: ConvertOptions,
): { file: string; bytes: number; sha256: string } {
  const bytes = convertKerasModel(model, block, options);
  mkdirSync(join(models, target), { recursive: true });
  writeFileSync(join(models, target, file), bytes);
  process.stdout.write(`models/${target}/${file}: ${bytes.length} bytes\n`);
  return { file, bytes: bytes.length, sha256: createHash("sha256").update(bytes).digest("hex") };
}

function writeDescription(target: string, source: string, description: unknown): void {
  copyFileSync(join(source, "LICENSE"), join(models, target, "LICENSE"));
  writeFileSync(join(models, target, "config.json"), `${JSON.stringify(description, null, 2)}\n`);
}
