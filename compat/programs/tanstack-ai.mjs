/** `@tanstack/ai-fal` 0.10 with `@tanstack/ai`. Recipe: `fetch` that rewrites addresses. */
import assert from "node:assert/strict";
import { generateImage } from "@tanstack/ai";
import { falImage } from "@tanstack/ai-fal";
import { assertPicture, PICTURE, recipeUrl, rewrite, runOperations, WRONG_KEY } from "./operations.mjs";

const settings = recipeUrl === undefined ? {} : { fetch: (url, init) => fetch(rewrite(String(url)), init) };
const { prompt, ...modelOptions } = PICTURE;

await runOperations({
  "subscribe (polling)": async () => {
    const adapter = falImage("fal-ai/flux/schnell", { ...settings });
    const result = await generateImage({ adapter, prompt, modelOptions });
    await assertPicture({
      seed: PICTURE.seed,
      images: result.images.map(({ url }) => ({ url, width: 512, height: 512 })),
    });
    assert.equal(result.usage?.unitsBilled, 1, "the units of the result's header");
  },
  "bad input (422)": async () => {
    const adapter = falImage("fal-ai/flux/schnell", { ...settings });
    const failure = generateImage({
      adapter,
      prompt,
      modelOptions: { ...modelOptions, num_inference_steps: 999 },
    });
    await assert.rejects(failure, (error) => (error.cause ?? error).status === 422);
  },
  "wrong key (401)": async () => {
    const adapter = falImage("fal-ai/flux/schnell", { ...settings, apiKey: WRONG_KEY });
    await assert.rejects(
      generateImage({ adapter, prompt, modelOptions }),
      (error) => (error.cause ?? error).status === 401,
    );
  },
});
