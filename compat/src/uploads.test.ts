/** Files of the unmodified clients: uploaded whole and in parts, kept as long as asked, and given to a model. */
import assert from "node:assert/strict";
import { randomBytes } from "node:crypto";
import { after, before, test } from "node:test";
import { createFalClient, type FalClient, type ValidationError } from "@fal-ai/client";
import * as fal from "@fal-ai/serverless-client";
import { createRewrite } from "./rewrite.ts";
import { startServer, type TestServer } from "./start-server.ts";

const MIB = 1024 * 1024;

let server: TestServer;
let client: FalClient;

before(async () => {
  server = await startServer();
  const rewrite = createRewrite(server.url);
  fal.config({
    credentials: server.key,
    requestMiddleware: async (request) => ({ ...request, url: rewrite(request.url) }),
  });
  client = createFalClient({
    credentials: server.key,
    proxyUrl: { url: `${server.url}/api/fal/proxy`, when: "always" },
  });
});
after(() => server[Symbol.asyncDispose]());

async function download(url: string): Promise<{ type: string | null; bytes: Buffer }> {
  const response = await fetch(url);
  assert.equal(response.status, 200, url);
  return { type: response.headers.get("content-type"), bytes: Buffer.from(await response.arrayBuffer()) };
}

test("the page's client uploads a file", async () => {
  const bytes = randomBytes(300_000);
  const url = await fal.storage.upload(new File([bytes], "cat.png", { type: "image/png" }));
  assert.match(url, /_cat\.png$/);
  assert.deepEqual(await download(url), { type: "image/png", bytes });
});

test("the newer client uploads with a lifecycle", async () => {
  const url = await client.storage.upload(new Blob(["hello"], { type: "text/plain" }), {
    lifecycle: { expiresIn: "1h" },
  });
  const response = await fetch(url);
  assert.equal(await response.text(), "hello");
  const [, seconds] = /max-age=(\d+)/.exec(response.headers.get("cache-control") ?? "") ?? [];
  assert.ok(Number(seconds) > 3_500 && Number(seconds) <= 3_600, `${seconds} s`);
});

test("the newer client uploads more than 90 MiB in parts", { timeout: 120_000 }, async () => {
  const bytes = randomBytes(91 * MIB);
  const url = await client.storage.upload(new File([bytes], "film.mp4", { type: "video/mp4" }));
  const stored = await download(url);
  assert.equal(stored.type, "video/mp4");
  assert.ok(stored.bytes.equals(bytes));
});

test("a file in the input is uploaded by the client and read from storage by the model", {
  timeout: 120_000,
}, async () => {
  const picture = new File([SMALL_PICTURE], "small.gif", { type: "image/gif" });
  const { data } = await client.subscribe("fal-ai/esrgan", { input: { image_url: picture, scale: 2 } });
  const { image } = data as { image: { url: string; width: number; height: number } };
  assert.deepEqual([image.width, image.height], [32, 32]);
  assert.ok((await download(image.url)).bytes.length > 0);
});

test("a picture that only the server's own network could give is an error on its field", async () => {
  const input = { image_url: `${server.url}/health` };
  await assert.rejects(client.subscribe("fal-ai/esrgan", { input }), (error: ValidationError) => {
    const [detail] = error.getFieldErrors("image_url");
    assert.equal(detail?.type, "file_download_error");
    return true;
  });
});

/** 16×16 pixels in one colour as a GIF: header, two colours, and the picture in uncompressed codes. */
const SMALL_PICTURE: Uint8Array<ArrayBuffer> = createSmallPicture(16);

function createSmallPicture(side: number): Uint8Array<ArrayBuffer> {
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
