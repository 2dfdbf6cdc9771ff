/**
 * What the programs of this folder share. Each is an ordinary program for fal with one unmodified client; it is run
 * twice: with the settings that the docs give for this client (`RECIPE_URL` is then the server's origin), and under `sluice
 * exec` with no settings at all. It prints one line of JSON per operation.
 */
import assert from "node:assert/strict";
import { randomBytes } from "node:crypto";
import { createServer } from "node:http";

/** Origin of the server when the client is to be pointed there by its settings; undefined under `sluice exec`. */
export const recipeUrl = process.env.RECIPE_URL;

const MOUNTS = {
  "queue.fal.run": "/queue",
  "fal.run": "/run",
  "rest.fal.ai": "/rest",
  "rest.alpha.fal.ai": "/rest",
  "v3.fal.media": "/cdn",
};

/** The one function that the recipes need: an official address as a path of this server. */
export function rewrite(address) {
  const url = new URL(address);
  const mount = MOUNTS[url.host];
  return mount === undefined ? String(address) : recipeUrl + mount + url.pathname + url.search;
}

/** The realtime recipe: sockets to the official host go to this server. */
export function redirectSockets() {
  const Native = globalThis.WebSocket;
  globalThis.WebSocket = class extends Native {
    constructor(url, protocols) {
      super(String(url).replace("wss://fal.run/", `${recipeUrl.replace(/^http/, "ws")}/run/`), protocols);
    }
  };
}

const TIMEOUT_MS = 60_000;

/** Runs the operations one after the other and ends the process: clients keep timers and sockets of their own. */
export async function runOperations(operations) {
  for (const [operation, run] of Object.entries(operations)) {
    let timer;
    const late = new Promise((_, reject) => {
      timer = setTimeout(() => reject(new Error(`not done within ${TIMEOUT_MS} ms`)), TIMEOUT_MS);
    });
    const line = await Promise.race([run(), late]).then(
      () => ({ operation, ok: true }),
      (error) => ({ operation, ok: false, error: describe(error) }),
    );
    clearTimeout(timer);
    process.stdout.write(`${JSON.stringify(line)}\n`);
  }
  process.exit(0);
}

function describe(error) {
  const more = { status: error?.status, body: error?.body, cause: error?.cause?.message ?? error?.cause };
  return `${error?.stack ?? error} ${JSON.stringify(more)}`;
}

/** A picture that takes moments. */
export const PICTURE = { prompt: "a red apple", image_size: "square", num_inference_steps: 2, seed: 7 };

/** A key of the right form that no server knows. */
export const WRONG_KEY = "11111111-2222-3333-4444-555555555555:0123456789abcdef0123456789abcdef";

export async function download(url) {
  const response = await fetch(url);
  assert.equal(response.status, 200, url);
  return { type: response.headers.get("content-type"), bytes: Buffer.from(await response.arrayBuffer()) };
}

/** The output of a text-to-image endpoint, and its file. */
export async function assertPicture(output) {
  const [image] = output.images;
  assert.deepEqual([image.width, image.height, output.seed], [512, 512, PICTURE.seed]);
  const { type, bytes } = await download(image.url);
  assert.equal(type, "image/jpeg");
  assert.equal(bytes.readUInt16BE(0), 0xffd8);
}

export const MIB = 1024 * 1024;

export async function assertUpload(upload, size) {
  const bytes = randomBytes(size);
  const url = await upload(new File([bytes], "cat.bin", { type: "application/x-cat" }));
  const stored = await download(url);
  assert.equal(stored.type, "application/x-cat");
  assert.ok(stored.bytes.equals(bytes), "the same bytes come back");
}

/** Where the server posts a finished request. `wait` gives the first post of a request. */
export async function startReceiver() {
  const posts = [];
  const server = createServer(async (request, response) => {
    const chunks = [];
    for await (const chunk of request) chunks.push(chunk);
    posts.push({ headers: request.headers, body: JSON.parse(Buffer.concat(chunks).toString("utf8")) });
    response.end();
  });
  await new Promise((resolve) => server.listen(0, "127.0.0.1", resolve));
  return {
    url: `http://127.0.0.1:${server.address().port}/hook`,
    close: () => server.close(),
    async wait(requestId) {
      for (;;) {
        const post = posts.find(({ body }) => body.request_id === requestId);
        if (post !== undefined) return post;
        await sleep(50);
      }
    },
  };
}

export const sleep = (ms) => new Promise((resolve) => setTimeout(resolve, ms));

/** The operations that both generations of the JavaScript client have. `outputOf` reads the output from a result. */
export function createClientOperations({ fal, outputOf, createWithKey, realtime = fal.realtime }) {
  const endpoint = "fal-ai/flux/schnell";
  const subscribe = async (mode) => {
    const statuses = [];
    const lines = [];
    const result = await fal.subscribe(endpoint, {
      input: PICTURE,
      logs: true,
      mode,
      onQueueUpdate: (update) => {
        statuses.push(update.status);
        lines.push(...(update.logs ?? []).map(({ message }) => message));
      },
    });
    await assertPicture(outputOf(result));
    assert.equal(statuses.at(-1), "COMPLETED");
    assert.ok(lines.length > 0, "log lines arrive");
  };
  return {
    run: async () => assertPicture(outputOf(await fal.run(endpoint, { input: PICTURE }))),
    "subscribe (polling)": () => subscribe("polling"),
    "subscribe (streaming)": () => subscribe("streaming"),
    "queue calls": async () => {
      const { request_id: requestId } = await fal.queue.submit(endpoint, { input: PICTURE });
      for (;;) {
        const { status } = await fal.queue.status(endpoint, { requestId, logs: true });
        if (status === "COMPLETED") break;
        await sleep(50);
      }
      await assertPicture(outputOf(await fal.queue.result(endpoint, { requestId })));
    },
    stream: async () => {
      const stream = await fal.stream(endpoint, { input: { ...PICTURE, num_inference_steps: 4 } });
      let parts = 0;
      stream.on("data", () => {
        parts += 1;
      });
      await assertPicture(await stream.done());
      assert.ok(parts > 0, "parts arrive");
    },
    realtime: async () => {
      const result = await new Promise((resolve, reject) => {
        const connection = realtime.connect(endpoint, {
          throttleInterval: 0,
          onError: reject,
          onResult: (value) => {
            connection.close();
            resolve(value);
          },
        });
        connection.send(PICTURE);
      });
      assert.equal(result.seed, PICTURE.seed);
      assert.ok(result.images.length === 1);
    },
    "upload, small": () => assertUpload((file) => fal.storage.upload(file), 300_000),
    "upload, 120 MB": () => assertUpload((file) => fal.storage.upload(file), 120 * MIB),
    "file in the input": async () => {
      const input = { image_url: new File([SMALL_PICTURE], "small.gif", { type: "image/gif" }), scale: 2 };
      const { image } = outputOf(await fal.subscribe("fal-ai/esrgan", { input }));
      assert.deepEqual([image.width, image.height], [32, 32]);
    },
    cancel: async () => {
      const input = { name: "long", ms: 10_000 };
      const { request_id: requestId } = await fal.queue.submit("test/slow-card", { input });
      await fal.queue.cancel("test/slow-card", { requestId });
      for (;;) {
        const { status } = await fal.queue.status("test/slow-card", { requestId });
        if (status === "COMPLETED") break;
        await sleep(50);
      }
      await assert.rejects(fal.queue.result("test/slow-card", { requestId }), { status: 499 });
    },
    webhook: async () => {
      const receiver = await startReceiver();
      const { request_id } = await fal.queue.submit(endpoint, { input: PICTURE, webhookUrl: receiver.url });
      const { headers, body } = await receiver.wait(request_id);
      receiver.close();
      assert.equal(body.status, "OK");
      assert.match(headers["x-fal-webhook-signature"], /^[0-9a-f]{128}$/);
      await assertPicture(body.payload);
    },
    "bad input (422)": () =>
      assert.rejects(fal.subscribe(endpoint, { input: { prompt: "x", num_images: 99 } }), (error) => {
        assert.equal(error.status, 422);
        assert.deepEqual(error.body.detail[0].loc, ["body", "num_images"]);
        assert.equal(error.constructor.name, "ValidationError");
        return true;
      }),
    "wrong key (401)": async () =>
      assert.rejects((await createWithKey(WRONG_KEY)).run(endpoint, { input: PICTURE }), { status: 401 }),
  };
}

/** 16×16 pixels in one colour as a GIF: header, two colours, and the picture in uncompressed codes. */
export const SMALL_PICTURE = createSmallPicture(16);

function createSmallPicture(side) {
  const header = [...Buffer.from("GIF89a"), side, 0, side, 0, 0x80, 0, 0, 200, 80, 40, 0, 0, 0];
  const frame = [0x2c, 0, 0, 0, 0, side, 0, side, 0, 0];
  // Codes of three bits: clear (4) before every two pixels (0), so that the code size never grows; end (5).
  const codes = Array.from({ length: (side * side) / 2 }, () => [4, 0, 0]).flat();
  codes.push(5);
  const bits = codes.flatMap((code) => [code & 1, (code >> 1) & 1, (code >> 2) & 1]);
  const bytes = Array.from({ length: Math.ceil(bits.length / 8) }, (_, at) =>
    bits.slice(at * 8, at * 8 + 8).reduce((sum, bit, index) => sum | (bit << index), 0),
  );
  return new Uint8Array([...header, ...frame, 2, bytes.length, ...bytes, 0, 0x3b]);
}
