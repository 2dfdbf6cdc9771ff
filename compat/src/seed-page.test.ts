/**
 * The programs of fal's API page for `fal-ai/flux-pro`, as printed there, with the unmodified packages. What comes
 * before each is the configuration that points the client at this server.
 */
import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { createFalClient, ValidationError } from "@fal-ai/client";
import * as fal from "@fal-ai/serverless-client";
import { createRewrite } from "./rewrite.ts";
import { startServer, type TestServer } from "./start-server.ts";

let server: TestServer;

before(async () => {
  server = await startServer();
  const rewrite = createRewrite(server.url);
  fal.config({
    credentials: server.key,
    requestMiddleware: async (request) => ({ ...request, url: rewrite(request.url) }),
  });
});
after(() => server[Symbol.asyncDispose]());

interface FluxOutput {
  images: { url: string; width: number; height: number; content_type: string }[];
  timings: { inference: number };
  seed: number;
  has_nsfw_concepts: boolean[];
  prompt: string;
}

const PROMPT =
  'Extreme close-up of a single tiger eye, direct frontal view. Detailed iris and pupil. Sharp focus on eye texture and color. Natural lighting to capture authentic eye shine and depth. The word "FLUX" is painted over it in big, white brush strokes with visible texture.';

test("the page's first program, with the page's client, gives a picture", async () => {
  const lines: string[] = [];
  const run = (input: { prompt: string } & Record<string, unknown>) =>
    fal.subscribe<{ prompt: string }, FluxOutput>("fal-ai/flux-pro", {
      input,
      logs: true,
      onQueueUpdate: (update) => {
        if (update.status === "IN_PROGRESS") {
          update.logs
            .map((log) => log.message)
            .forEach((line) => {
              lines.push(line);
            });
        }
      },
    });
  const result = await run({ prompt: PROMPT });
  const [image] = result.images;
  assert.equal(image!.width, 1024);
  assert.equal(image!.height, 768);
  // One picture may be done before the client asks again; these take seconds, and it asks twice in one.
  const size = { width: 1440, height: 1440 };
  await run({ prompt: PROMPT, num_images: 4, num_inference_steps: 50, image_size: size });
  assert.ok(lines.length > 0, "the log lines arrive while it runs");
  assert.equal(image!.content_type, "image/jpeg");
  assert.equal(result.prompt, PROMPT);
  assert.deepEqual(result.has_nsfw_concepts, [false]);
  const response = await fetch(image!.url);
  assert.equal(response.status, 200);
  assert.equal(response.headers.get("content-type"), "image/jpeg");
  const bytes = new Uint8Array(await response.arrayBuffer());
  assert.deepEqual([...bytes.subarray(0, 3)], [0xff, 0xd8, 0xff]);
});

test("the page's file program uploads, and its call without input ends in the 422 for a missing prompt", async () => {
  const file = new File(["Hello, World!"], "hello.txt", { type: "text/plain" });
  const url = await fal.storage.upload(file);
  assert.equal(await (await fetch(url)).text(), "Hello, World!");
  await assert.rejects(
    // As printed: image_url stands where the options belong, so no input is sent.
    fal.subscribe("fal-ai/flux-pro", { image_url: url } as never),
    (error: { status?: number; body?: { detail: { loc: unknown[]; type: string }[] } }) => {
      assert.equal(error.status, 422);
      assert.equal(error.body!.detail[0]!.type, "missing");
      return true;
    },
  );
});

test("the queue calls of the page's client: submit, status, result", async () => {
  const { request_id } = await fal.queue.submit("fal-ai/flux-pro", {
    input: { prompt: "a red apple", num_inference_steps: 2, image_size: "square" },
  });
  for (;;) {
    const status = await fal.queue.status("fal-ai/flux-pro", { requestId: request_id, logs: true });
    if (status.status === "COMPLETED") break;
    await new Promise((resolve) => setTimeout(resolve, 100));
  }
  const result = (await fal.queue.result("fal-ai/flux-pro", { requestId: request_id })) as FluxOutput;
  assert.equal(result.images[0]!.width, 512);
});

for (const mode of ["polling", "streaming"] as const) {
  test(`@fal-ai/client subscribes by ${mode} through the built-in proxy`, async () => {
    const client = createFalClient({
      credentials: server.key,
      proxyUrl: { url: `${server.url}/api/fal/proxy`, when: "always" },
    });
    const updates: string[] = [];
    const { data, requestId } = await client.subscribe("fal-ai/flux/schnell", {
      input: { prompt: "a blue house on green grass", seed: 7, image_size: "square" },
      logs: true,
      mode,
      onQueueUpdate: (update) => {
        updates.push(update.status);
      },
    });
    const output = data as unknown as FluxOutput;
    assert.match(requestId, /^[0-9a-f-]{36}$/);
    assert.equal(output.seed, 7);
    assert.equal(output.images.length, 1);
    assert.equal(updates.at(-1), "COMPLETED");
  });
}

test("@fal-ai/client sees field errors of a bad input", async () => {
  const client = createFalClient({
    credentials: server.key,
    proxyUrl: { url: `${server.url}/api/fal/proxy`, when: "always" },
  });
  await assert.rejects(
    client.subscribe("fal-ai/flux/dev", { input: { prompt: "x", num_images: 9 } as never }),
    (error: unknown) => {
      assert.ok(error instanceof ValidationError);
      assert.equal(error.getFieldErrors("num_images")[0]!.type, "less_than_equal");
      return true;
    },
  );
});

test("@fal-ai/client runs directly and is refused with a wrong key", async () => {
  const rewrite = createRewrite(server.url);
  const make = (credentials: string) =>
    createFalClient({
      credentials,
      fetch: ((url: string, init: RequestInit) => fetch(rewrite(String(url)), init)) as typeof fetch,
      retry: { maxRetries: 0 },
    });
  const { data } = await make(server.key).run("fal-ai/flux/schnell", {
    input: { prompt: "a yellow star", image_size: { width: 320, height: 200 } as never, sync_mode: true },
  });
  const image = (data as unknown as FluxOutput).images[0]!;
  assert.match(image.url, /^data:image\/jpeg;base64,/);
  assert.equal(image.width, 320);
  assert.equal(image.height, 200);
  const wrong = `${server.key.split(":")[0]}:0123456789abcdef0123456789abcdef`;
  await assert.rejects(make(wrong).run("fal-ai/flux/schnell", { input: { prompt: "x" } }), { status: 401 });
});
