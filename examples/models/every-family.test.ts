/** `fal-ai/flux-pro`, from the caller's submit to the picture's file, on a made-up model of every kind. */
import assert from "node:assert/strict";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { describe, it } from "node:test";
import { createDiffusionFolder } from "@sluice/runtime/testing/diffusion-folder";
import { createReplaySdServer } from "@sluice/runtime/testing/replay-sd-server";
import sharp from "sharp";
import { serveModel } from "./testing/serve-model.ts";

const FAMILIES = ["flux", "flux2-klein", "stable-diffusion", "sdxl", "sd3", "z-image"] as const;
const INPUT = { prompt: "a cat", image_size: { width: 200, height: 128 }, num_images: 2, seed: 3 };

describe("fal-ai/flux-pro through the queue", { timeout: 180_000 }, () => {
  for (const family of FAMILIES)
    it(`is answered by ${family} in the built-in engine`, async () => {
      await using weights = await createDiffusionFolder(family);
      await check({ folder: weights.path, name: family, provider: "cpu" }, family);
    });

  it("is answered by a model in sd-server", async () => {
    await using replay = await createReplaySdServer();
    const { folder, model, binary } = replay;
    await check({ engine: "sd-server", folder, model, binary, name: "replayed" }, "replayed");
  });
});

async function check(options: object, name: string): Promise<void> {
  const dir = await mkdtemp(join(tmpdir(), "sluice-family-"));
  const file = join(dir, "model.ts");
  await writeFile(
    file,
    `import { defineTextToImage } from "@sluice/models/open-weights";
     export default defineTextToImage(${JSON.stringify(options)});`,
  );
  try {
    await using server = await serveModel(file, join(dir, "data"));
    const { headers, body } = await server.submit("fal-ai/flux-pro", INPUT);
    assert.match(headers.get("x-model") ?? "", new RegExp(`^${name}@[0-9a-f]{12}$`));
    assert.equal(body["seed"], 3);
    const images = body["images"] as readonly { readonly url: string; readonly width: number }[];
    assert.equal(images.length, 2);
    for (const { url, width } of images) {
      const bytes = Buffer.from(await (await fetch(url)).arrayBuffer());
      const metadata = await sharp(bytes).metadata();
      assert.deepEqual([metadata.format, metadata.width, metadata.height], ["jpeg", width, 128]);
    }
  } finally {
    await rm(dir, { recursive: true, force: true });
  }
}
