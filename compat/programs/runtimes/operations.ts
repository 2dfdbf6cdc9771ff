/**
 * What `@sluice/client` must do in every runtime, with nothing but the web platform: no file, no process, no module of Node's.
 * Each function throws when its operation is not done.
 */
import { ApiError, createFalClient, type FalClient, ValidationError } from "@sluice/client";

export interface Target {
  readonly url: string;
  readonly key: string;
}

export interface Line {
  readonly operation: string;
  readonly ok: boolean;
  readonly error?: string;
}

const ENDPOINT = "fal-ai/flux-pro";
const PICTURE = {
  prompt: "a red apple",
  image_size: { width: 64, height: 64 },
  num_inference_steps: 2,
  seed: 7,
};
const MIB = 1024 * 1024;
const TIMEOUT_MS = 45_000;

const OPERATIONS: Readonly<Record<string, (client: FalClient, target: Target) => Promise<void>>> = {
  async run(client) {
    await checkPicture((await client.run(ENDPOINT, { input: PICTURE })).data);
  },
  async "subscribe (streaming)"(client) {
    const statuses: string[] = [];
    const { data } = await client.subscribe(ENDPOINT, {
      input: PICTURE,
      logs: true,
      onQueueUpdate: ({ status }) => statuses.push(status),
    });
    await checkPicture(data);
    check(statuses.at(-1) === "COMPLETED", `the last update is ${statuses.at(-1)}`);
  },
  async "subscribe (polling)"(client) {
    const options = { mode: "polling", pollInterval: 50 } as const;
    await checkPicture((await client.subscribe(ENDPOINT, { input: PICTURE, ...options })).data);
  },
  async "queue calls"(client) {
    const { request_id: requestId } = await client.queue.submit(ENDPOINT, { input: PICTURE });
    await client.queue.subscribeToStatus(ENDPOINT, { requestId });
    const status = await client.queue.status(ENDPOINT, { requestId, logs: true });
    check(status.status === "COMPLETED", `the status is ${status.status}`);
    await checkPicture((await client.queue.result(ENDPOINT, { requestId })).data);
  },
  async stream(client) {
    const stream = await client.stream(ENDPOINT, { input: { ...PICTURE, num_inference_steps: 8 } });
    let parts = 0;
    for await (const _ of stream) parts++;
    check(parts > 0, "the stream had no part");
    await checkPicture(await stream.done());
  },
  async realtime(client) {
    const seed = await new Promise<number>((resolve, reject) => {
      const connection = client.realtime.connect(ENDPOINT, {
        onError: reject,
        onResult: (result) => {
          connection.close();
          resolve(result.seed);
        },
      });
      connection.send(PICTURE);
    });
    check(seed === PICTURE.seed, `the seed is ${seed}`);
  },
  async "upload, small"(client) {
    await checkUpload(client, createBytes(1000));
  },
  async "upload in parts"(client) {
    await checkUpload(client, createBytes(21 * MIB));
  },
  async "upload of a stream"(client) {
    const bytes = createBytes(100_000);
    const content = new Blob([bytes]).stream();
    await checkDownload(await client.storage.upload(content), bytes);
  },
  async "file in the input"(client) {
    const { data } = await client.subscribe(ENDPOINT, { input: PICTURE });
    const picture = await (await fetch(data.images[0]?.url ?? "")).blob();
    const input = { image_url: new File([picture], "apple.jpg", { type: "image/jpeg" }), scale: 2 };
    const { data: larger } = await client.subscribe("fal-ai/esrgan", { input });
    check(larger.image.width === 128, `the picture is ${larger.image.width} wide`);
  },
  async abort(client) {
    const controller = new AbortController();
    const input = { ...PICTURE, num_inference_steps: 50, num_images: 4, image_size: "square_hd" } as const;
    const call = client.subscribe(ENDPOINT, {
      input,
      abortSignal: controller.signal,
      onEnqueue: () => controller.abort(new Error("enough")),
    });
    const error = await expectError(call);
    check(error === controller.signal.reason, `the reason is ${String(error)}`);
  },
  async "bad input (422)"(client) {
    const error = await expectError(client.subscribe(ENDPOINT, { input: { prompt: "x", num_images: 9 } }));
    check(error instanceof ValidationError, String(error));
    const fields = error.fieldErrors.map(({ loc }) => loc.join("."));
    check(fields.join() === "body.num_images", fields.join());
  },
  async "wrong key (401)"(_client, { url }) {
    const stranger = createFalClient({ url, credentials: "a:b", suppressLocalCredentialsWarning: true });
    const error = await expectError(stranger.run(ENDPOINT, { input: PICTURE }));
    check(error instanceof ApiError && error.status === 401, String(error));
  },
};

export const OPERATION_NAMES: readonly string[] = Object.keys(OPERATIONS);

/** Runs every operation, one after the other. */
export async function runOperations(target: Target): Promise<Line[]> {
  const client = createFalClient({
    url: target.url,
    credentials: target.key,
    suppressLocalCredentialsWarning: true,
  });
  const lines: Line[] = [];
  for (const [operation, run] of Object.entries(OPERATIONS)) {
    let timer: ReturnType<typeof setTimeout> | undefined;
    const late = new Promise<never>((_, reject) => {
      timer = setTimeout(() => reject(new Error(`not done within ${TIMEOUT_MS} ms`)), TIMEOUT_MS);
    });
    const line = await Promise.race([run(client, target), late]).then(
      () => ({ operation, ok: true }),
      (error: Error) => ({
        operation,
        ok: false,
        error: `${error.stack ?? error} ${String(error.cause ?? "")}`,
      }),
    );
    clearTimeout(timer);
    lines.push(line);
  }
  return lines;
}

async function checkPicture(output: {
  readonly images: readonly { readonly url: string }[];
  readonly seed: number;
}) {
  check(output.seed === PICTURE.seed, `the seed is ${output.seed}`);
  const response = await fetch(output.images[0]?.url ?? "");
  check(response.headers.get("content-type") === "image/jpeg", `the picture is answered ${response.status}`);
  await response.arrayBuffer();
}

async function checkUpload(client: FalClient, bytes: Uint8Array<ArrayBuffer>): Promise<void> {
  await checkDownload(await client.storage.upload(new Blob([bytes])), bytes);
}

async function checkDownload(url: string, bytes: Uint8Array): Promise<void> {
  const stored = new Uint8Array(await (await fetch(url)).arrayBuffer());
  check(stored.length === bytes.length, `${stored.length} bytes of ${bytes.length} came back`);
  check(
    stored.every((byte, at) => byte === bytes[at]),
    "other bytes came back",
  );
}

function createBytes(size: number): Uint8Array<ArrayBuffer> {
  const bytes = new Uint8Array(size);
  for (let at = 0; at < size; at += 1) bytes[at] = (at * 31 + (at >> 12)) & 0xff;
  return bytes;
}

function check(isTrue: boolean, what: string): asserts isTrue {
  if (!isTrue) throw new Error(what);
}

async function expectError(call: Promise<unknown>): Promise<unknown> {
  return await call.then(
    () => new Error("it was answered"),
    (error: unknown) => error,
  );
}
