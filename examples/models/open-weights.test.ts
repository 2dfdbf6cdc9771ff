import assert from "node:assert/strict";
import { copyFile, cp, mkdtemp, readFile, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, describe, it } from "node:test";
import { createDiffusionFolder } from "@sluice/runtime/testing/diffusion-folder";
import sharp from "sharp";
import { type ServedModel, serveModel } from "./testing/serve-model.ts";

let dir = "";
let server: ServedModel;

before(async () => {
  dir = await mkdtemp(join(tmpdir(), "sluice-open-weights-"));
  await using weights = await createDiffusionFolder("flux", { variant: "schnell", idleProducts: 400 });
  await cp(weights.path, join(dir, "FLUX.1-schnell-onnx"), { recursive: true });
  const file = join(dir, "my-flux.ts");
  await copyFile(new URL("open-weights.ts", import.meta.url), file);
  server = await serveModel(file, join(dir, "data"));
});

after(async () => {
  await server[Symbol.asyncDispose]();
  await rm(dir, { recursive: true, force: true });
});

describe("open weights given to serve", { timeout: 60_000 }, () => {
  it("take over fal-ai/flux-pro from the embedded model, and draw", async () => {
    const size = { width: 200, height: 128 };
    const { headers, body } = await server.run("fal-ai/flux-pro", {
      prompt: "a cat",
      image_size: size,
      seed: 3,
    });
    assert.match(headers.get("x-model") ?? "", /^FLUX\.1-schnell-onnx@[0-9a-f]{12}$/);
    const [image] = body["images"] as { url: string; width: number }[];
    assert.ok(image);
    assert.deepEqual([image.width, body["seed"]], [192, 3]);
    const file = await fetch(image.url);
    const metadata = await sharp(Buffer.from(await file.arrayBuffer())).metadata();
    assert.deepEqual([metadata.format, metadata.width, metadata.height], ["jpeg", 192, 128]);
  });

  it("are cancelled in the middle of a long step, and draw the next picture as before", async () => {
    const draw = async () => {
      const small = { prompt: "a cat", image_size: { width: 64, height: 64 }, seed: 5 };
      const { body } = await server.run("fal-ai/flux-pro", { ...small, num_inference_steps: 1 });
      const [image] = body["images"] as { url: string }[];
      return Buffer.from(await (await fetch(image?.url ?? "")).arrayBuffer());
    };
    const before = await draw();
    // 256 times as many tokens: a step of many seconds inside one native call.
    const large = { prompt: "a cat", image_size: { width: 1024, height: 1024 }, num_inference_steps: 4 };
    const tookMs = await server.cancelRunning("fal-ai/flux-pro", large);
    assert.ok(tookMs < 6_000, `${tookMs} ms`);
    assert.deepEqual(await draw(), before);
  });

  it("leave the other endpoints as they were", async () => {
    const input = { prompt: "a cat", image_size: { width: 64, height: 64 }, num_inference_steps: 1 };
    const { headers } = await server.run("fal-ai/flux/dev", input);
    assert.match(headers.get("x-model") ?? "", /^sluice-tiny@/);
  });

  it("are bound by what the docs chapter shows", async () => {
    const chapter = await readFile(new URL("../../docs/05-open-weights.md", import.meta.url), "utf8");
    const source = await readFile(new URL("open-weights.ts", import.meta.url), "utf8");
    assert(chapter.includes(source), "copy examples/models/open-weights.ts into docs/05-open-weights.md");
    assert(source.split("\n").length <= 10);
  });
});
