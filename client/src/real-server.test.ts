import assert from "node:assert/strict";
import { randomBytes } from "node:crypto";
import test from "node:test";
import { ApiError, ValidationError } from "./api-error.ts";
import { createFalClient } from "./client.ts";
import type { QueueStatus } from "./queue-status.ts";
import { type SluiceProcess, startSluice } from "./testing/sluice-process.ts";
import { type SeenCall, startTestServer } from "./testing/test-server.ts";
import type { UploadSession } from "./upload.ts";

const SMALL = {
  prompt: "a red apple",
  image_size: { width: 64, height: 64 },
  num_inference_steps: 2,
  seed: 7,
};
const LONG = {
  prompt: "a red apple",
  image_size: "square_hd",
  num_inference_steps: 50,
  num_images: 4,
} as const;
const ENDPOINT = "fal-ai/flux-pro";
const withKey = ({ url, key }: SluiceProcess) => ({ url, credentials: key });

test("against a real server", async (t) => {
  const sluice = await startSluice(t);
  const client = createFalClient({ url: sluice.url, credentials: sluice.key });

  await t.test("subscribe makes a picture, with updates and logs", async () => {
    const updates: QueueStatus[] = [];
    const { data, requestId } = await client.subscribe(ENDPOINT, {
      input: SMALL,
      logs: true,
      onQueueUpdate: (update) => updates.push(update),
    });
    assert.equal(data.seed, 7);
    const picture = await fetch(data.images[0]!.url);
    assert.equal(picture.headers.get("content-type"), "image/jpeg");
    assert.match(requestId, /^[0-9a-f-]{36}$/);
    const last = updates.at(-1)!;
    assert.ok(last.status === "COMPLETED" && last.logs.length > 0);
    assert.ok(updates.every((update) => update.request_id === requestId));
  });

  await t.test("run, polling and a stream answer the same picture", async () => {
    const read = async (url: string) => Buffer.from(await (await fetch(url)).arrayBuffer());
    const first = await client.run(ENDPOINT, { input: SMALL });
    const second = await client.subscribe(ENDPOINT, { input: SMALL, mode: "polling", pollInterval: 20 });
    const stream = await client.stream(ENDPOINT, { input: SMALL });
    const third = await stream.done();
    const [a, b, c] = await Promise.all(
      [first.data, second.data, third].map((output) => read(output.images[0]!.url)),
    );
    assert.ok(a!.length > 100 && a!.equals(b!) && a!.equals(c!));
  });

  await t.test("wrong input, wrong endpoint and wrong key say so", async () => {
    const invalid = await client
      .subscribe(ENDPOINT, { input: { ...SMALL, prompt: "", num_images: 9 } })
      .catch((error: unknown) => error);
    assert.ok(invalid instanceof ValidationError);
    assert.deepEqual(
      invalid.fieldErrors.map((error) => error.loc.join(".")),
      ["body.prompt", "body.num_images"],
    );
    const unknown = await client.subscribe("acme/none", { input: {} }).catch((error: unknown) => error);
    assert.ok(unknown instanceof ApiError && unknown.status === 404);
    const stranger = createFalClient({ url: sluice.url, credentials: "a:b" });
    await assert.rejects(stranger.subscribe(ENDPOINT, { input: SMALL }), { status: 401 });
  });

  await t.test("the same idempotency key is the same request", async () => {
    const options = { input: SMALL, idempotencyKey: "one" };
    const first = await client.queue.submit(ENDPOINT, options);
    const second = await client.queue.submit(ENDPOINT, options);
    assert.equal(first.request_id, second.request_id);
    await assert.rejects(client.queue.submit(ENDPOINT, { ...options, input: { prompt: "other" } }), {
      status: 409,
      message: /Idempotency-Key/,
    });
  });

  await t.test("an abort cancels the work on the server", async () => {
    const controller = new AbortController();
    let requestId = "";
    const promise = client.subscribe(ENDPOINT, {
      input: LONG,
      abortSignal: controller.signal,
      onEnqueue: (id) => {
        requestId = id;
      },
      onQueueUpdate: (update) => update.status === "IN_PROGRESS" && controller.abort(),
    });
    await assert.rejects(promise, { name: "AbortError" });
    const status = await client.queue.subscribeToStatus(ENDPOINT, { requestId, timeout: 20_000 });
    assert.equal(status.error_type, "client_cancelled");
  });

  await t.test(
    "files go up whole, in one piece and in parts, and are the same when they come down",
    async () => {
      for (const size of [5, 21 * 1024 * 1024]) {
        const bytes = randomBytes(size);
        const url = await client.storage.upload(bytes);
        assert.ok(Buffer.from(await (await fetch(url)).arrayBuffer()).equals(bytes));
      }
    },
  );

  await t.test("a stream yields parts and ends with the whole output", async () => {
    const stream = await client.stream(ENDPOINT, { input: { ...SMALL, num_inference_steps: 8 } });
    const parts: unknown[] = [];
    for await (const part of stream) parts.push(part);
    assert.equal((await stream.done()).seed, 7);
    assert.deepEqual(parts.at(-1), await stream.done());
    assert.match(stream.requestId, /^[0-9a-f-]{36}$/);
  });

  await t.test("realtime answers inputs over one socket", async () => {
    const seeds = await new Promise<number[]>((resolve, reject) => {
      const seen: number[] = [];
      const connection = client.realtime.connect(ENDPOINT, {
        throttleInterval: 0,
        onError: reject,
        onResult: (result) => {
          seen.push(result.seed);
          if (seen.length < 3) connection.send({ ...SMALL, seed: seen.length });
          else {
            connection.close();
            resolve(seen);
          }
        },
      });
      connection.send({ ...SMALL, seed: 0 });
    });
    assert.deepEqual(seeds, [0, 1, 2]);
  });

  await t.test("a delivery to a webhook is verified by its signature", async () => {
    const receiver = await startTestServer(() => undefined);
    try {
      const arrived = new Promise<SeenCall>((resolve) => {
        receiver.handler = (call, response) => {
          response.writeHead(200).end();
          resolve(call);
        };
      });
      const { request_id: requestId } = await client.queue.submit(ENDPOINT, {
        input: SMALL,
        webhookUrl: `${receiver.url}/hook`,
      });
      const { headers, body } = await arrived;
      const delivery = await client.webhooks.verify({ headers, body });
      assert.equal(delivery.status, "OK");
      assert.equal(delivery.request_id, requestId);
      const forged = Buffer.from(body.toString().replace("OK", "KO"));
      await assert.rejects(client.webhooks.verify({ headers, body: forged }), {
        name: "WebhookVerificationError",
      });
    } finally {
      await receiver.stop();
    }
  });

  await t.test("a subscribe survives a killed server: the same request ends once it is back", async () => {
    let requestId = "";
    let submits = 0;
    const promise = client.subscribe(ENDPOINT, {
      input: { ...SMALL, num_inference_steps: 20, image_size: "square" },
      onEnqueue: (id) => {
        requestId = id;
        submits++;
      },
    });
    while (requestId === "") await new Promise((resolve) => setTimeout(resolve, 5));
    await sluice.kill();
    await sluice.start();
    const result = await promise;
    assert.equal(result.requestId, requestId);
    assert.equal(result.data.images.length, 1);
    assert.equal(submits, 1);
  });

  await t.test("a stream survives a killed server: whoever waits for its end gets one output", async () => {
    const patient = createFalClient({ ...withKey(sluice), retry: { maxRetries: 60, maxDelay: 500 } });
    // Long enough to be under way when the server is killed.
    const stream = await patient.stream(ENDPOINT, { input: { ...LONG, seed: 3 } });
    const ends: unknown[] = [];
    stream.on("done", (output) => ends.push(output));
    while (stream.requestId === "") await new Promise((resolve) => setTimeout(resolve, 5));
    await sluice.kill();
    await sluice.start();
    const output = await stream.done();
    assert.deepEqual([output.seed, output.images.length], [3, 4]);
    assert.deepEqual(ends, [output]);
  });

  await t.test("an upload survives a killed server: only what is missing goes up again", async () => {
    const patient = createFalClient({ ...withKey(sluice), retry: { maxRetries: 60, maxDelay: 500 } });
    const bytes = randomBytes(65 * 1024 * 1024);
    const sent = Promise.withResolvers<void>();
    const sessions: UploadSession[] = [];
    const upload = patient.storage.upload(new Blob([bytes]), {
      onSession: (session) => {
        sessions.push(session);
        if (session.parts.length === 1) sent.resolve();
      },
    });
    await sent.promise;
    await sluice.kill();
    await sluice.start();
    const url = await upload;
    assert.equal(sessions.length, 8, "each part is acknowledged once");
    assert.equal(new Set(sessions.map(({ uploadUrl }) => uploadUrl)).size, 1);
    assert.ok(Buffer.from(await (await fetch(url)).arrayBuffer()).equals(bytes));
  });
});
