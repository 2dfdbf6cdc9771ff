/**
 * `@ai-sdk/fal` with `ai`, the major that is asked for. Recipe: `baseURL`; with `fetch` besides, every kind of model is
 * covered. The third major downloads from private addresses only where `baseURL` names them.
 */
import assert from "node:assert/strict";
import { PICTURE, recipeUrl, rewrite, runOperations, WRONG_KEY } from "./operations.mjs";

const major = process.argv[2];
const { createFal, fal } = await import(`@ai-sdk/fal-${major}`);
const { generateImage } = await import({ 2: "ai-6", 3: "ai-7" }[major]);

const { prompt, seed } = PICTURE;
const providerOptions = { fal: { numInferenceSteps: 2 } };
const call = { prompt, seed, size: "512x512", providerOptions, maxRetries: 0 };
const byFetch = (url, init) => fetch(rewrite(String(url)), init);
const byBase = recipeUrl === undefined ? {} : { baseURL: `${recipeUrl}/run` };
const provider = recipeUrl === undefined ? fal : createFal(byBase);
const providerByFetch = recipeUrl === undefined ? createFal() : createFal({ ...byBase, fetch: byFetch });

function assertImages(images, count) {
  assert.equal(images.length, count);
  for (const image of images) {
    assert.equal(image.mediaType, "image/jpeg");
    assert.deepEqual([...image.uint8Array.subarray(0, 2)], [0xff, 0xd8]);
  }
}

async function failureOf(promise) {
  try {
    await promise;
  } catch (error) {
    return error.lastError ?? error;
  }
  throw new Error("it should have failed");
}

await runOperations({
  run: async () => {
    const { images, providerMetadata } = await generateImage({
      ...call,
      model: provider.image("fal-ai/flux/schnell"),
    });
    assertImages(images, 1);
    assert.deepEqual(
      [providerMetadata.fal.images[0].width, providerMetadata.fal.images[0].height],
      [512, 512],
    );
  },
  "run, three pictures": async () => {
    const model = providerByFetch.image("fal-ai/flux/schnell");
    assertImages((await generateImage({ ...call, model, n: 3 })).images, 3);
  },
  "bad input (422)": async () => {
    const model = provider.image("fal-ai/flux/schnell");
    const failure = await failureOf(
      generateImage({ ...call, model, providerOptions: { fal: { numInferenceSteps: 40 } } }),
    );
    assert.equal(failure.statusCode, 422);
    assert.match(failure.responseBody, /num_inference_steps/);
  },
  "wrong key (401)": async () => {
    const model = createFal({ ...byBase, apiKey: WRONG_KEY }).image("fal-ai/flux/schnell");
    assert.equal((await failureOf(generateImage({ ...call, model }))).statusCode, 401);
  },
});
