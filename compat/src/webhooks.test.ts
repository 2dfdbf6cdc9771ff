/** Webhooks that the unmodified clients ask for, received and verified as a stranger would. */
import assert from "node:assert/strict";
import { createHash, createPublicKey, verify } from "node:crypto";
import { once } from "node:events";
import { createServer, type IncomingHttpHeaders } from "node:http";
import type { AddressInfo } from "node:net";
import { after, before, test } from "node:test";
import { fileURLToPath } from "node:url";
import { createFalClient } from "@fal-ai/client";
import * as fal from "@fal-ai/serverless-client";
import { createFalClient as createSluiceClient } from "@sluice/client";
import { createRewrite } from "./rewrite.ts";
import { startServer, type TestServer } from "./start-server.ts";

interface Posted {
  readonly headers: IncomingHttpHeaders;
  readonly body: Buffer;
  readonly json: { request_id: string; status: string; error?: string; payload: Record<string, unknown> };
}

interface Receiver extends AsyncDisposable {
  readonly url: string;
  /** False: it takes what is posted and never answers. */
  isAnswering: boolean;
  readonly posted: Posted[];
  /** The first delivery of a request, when it has come. */
  waitFor(requestId: string, count?: number): Promise<Posted>;
}

const CARD = fileURLToPath(new URL("../../cli/src/fixtures/card.ts", import.meta.url));
const timeout = 120_000;

async function startReceiver(): Promise<Receiver> {
  const server = createServer(async (request, response) => {
    const chunks: Buffer[] = [];
    for await (const chunk of request) chunks.push(chunk as Buffer);
    const body = Buffer.concat(chunks);
    receiver.posted.push({ headers: request.headers, body, json: JSON.parse(body.toString("utf8")) });
    if (receiver.isAnswering) response.writeHead(200).end("ok");
  });
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  const receiver: Receiver = {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}/hook`,
    isAnswering: true,
    posted: [],
    async waitFor(requestId, count = 1) {
      const until = Date.now() + 60_000;
      for (;;) {
        const found = receiver.posted.filter(({ json }) => json.request_id === requestId);
        if (found.length >= count) return found[0]!;
        if (Date.now() > until) throw new Error(`${found.length} deliveries of ${requestId}`);
        await new Promise((resolve) => setTimeout(resolve, 50));
      }
    },
    async [Symbol.asyncDispose]() {
      server.closeAllConnections();
      server.close();
    },
  };
  return receiver;
}

let server: TestServer;
let receiver: Receiver;
before(async () => {
  server = await startServer({ arguments: [CARD] });
  receiver = await startReceiver();
  const rewrite = createRewrite(server.url);
  fal.config({
    credentials: server.key,
    requestMiddleware: async (request) => ({ ...request, url: rewrite(request.url) }),
  });
});
after(async () => {
  await receiver[Symbol.asyncDispose]();
  await server[Symbol.asyncDispose]();
});

const createClient = (origin: TestServer) =>
  createFalClient({
    credentials: origin.key,
    proxyUrl: { url: `${origin.url}/api/fal/proxy`, when: "always" },
  });

/** As the hosted service tells receivers to do it. */
async function isGenuine({ headers, body }: Posted): Promise<boolean> {
  const read = (name: string) => String(headers[`x-fal-webhook-${name}`]);
  if (Math.abs(Date.now() / 1000 - Number(read("timestamp"))) > 300) return false;
  const hash = createHash("sha256").update(body).digest("hex");
  const message = [read("request-id"), read("user-id"), read("timestamp"), hash].join("\n");
  const signature = Buffer.from(read("signature"), "hex");
  const jwks = (await (await fetch(`${server.url}/.well-known/jwks.json`)).json()) as {
    keys: { kty: string; crv: string; x: string }[];
  };
  return jwks.keys.some((key) =>
    verify(null, Buffer.from(message), createPublicKey({ key, format: "jwk" }), signature),
  );
}

test("@fal-ai/client: a picture is told to the webhook, with a link that works and a signature that holds", {
  timeout,
}, async () => {
  const { request_id } = await createClient(server).queue.submit("fal-ai/flux/schnell", {
    input: { prompt: "a red kite", image_size: "square" },
    webhookUrl: receiver.url,
  });
  const posted = await receiver.waitFor(request_id);
  assert.equal(posted.json.status, "OK");
  const [image] = posted.json.payload["images"] as { url: string }[];
  const response = await fetch(image!.url);
  assert.equal(response.headers.get("content-type"), "image/jpeg");
  assert.ok((await response.arrayBuffer()).byteLength > 1_000);
  assert.ok(await isGenuine(posted));
  assert.ok(!(await isGenuine({ ...posted, body: Buffer.concat([posted.body, Buffer.from(" ")]) })));
  const later = String(Number(posted.headers["x-fal-webhook-timestamp"]) + 1);
  assert.ok(
    !(await isGenuine({ ...posted, headers: { ...posted.headers, "x-fal-webhook-timestamp": later } })),
  );
});

test("@sluice/client verifies what was posted, and nothing that was changed or is old", {
  timeout,
}, async () => {
  const { webhooks } = createSluiceClient({ url: server.url });
  const { request_id } = await fal.queue.submit("test/card", {
    input: { text: "hello" },
    webhookUrl: receiver.url,
  });
  const { headers, body } = await receiver.waitFor(request_id);
  const told = await webhooks.verify({ headers, body });
  assert.equal(told.status, "OK");
  assert.equal(told.payload.text, "hello");
  const request = new Request(receiver.url, {
    method: "POST",
    headers: pickHeaders(headers),
    body: new Uint8Array(body),
  });
  assert.equal((await webhooks.verify(request)).request_id, request_id);
  await assert.rejects(webhooks.verify({ headers, body: `${body} ` }));
  const sentAt = Number(headers["x-fal-webhook-timestamp"]) * 1_000;
  await webhooks.verify({ headers, body }, { now: sentAt + 300_000 });
  await assert.rejects(webhooks.verify({ headers, body }, { now: sentAt + 301_000 }), /timestamp/);
});

function pickHeaders(headers: IncomingHttpHeaders): Record<string, string> {
  const own = Object.entries(headers).filter(([name]) => name.startsWith("x-fal-webhook-"));
  return Object.fromEntries(own.map(([name, value]) => [name, String(value)]));
}

test("an input that does not fit and a request that was cancelled are told as errors", {
  timeout,
}, async () => {
  const client = createClient(server);
  const bad = await client.queue.submit("test/card", { input: {}, webhookUrl: receiver.url });
  const refused = (await receiver.waitFor(bad.request_id)).json;
  assert.equal(refused.status, "ERROR");
  assert.equal(refused.error, "Invalid status code: 422");
  const [detail] = refused.payload["detail"] as { loc: unknown; type: string }[];
  assert.deepEqual([detail?.loc, detail?.type], [["body", "text"], "missing"]);

  const slow = await client.queue.submit("test/card", {
    input: { text: "slow", steps: 100 },
    webhookUrl: receiver.url,
  });
  await client.queue.cancel("test/card", { requestId: slow.request_id });
  const { json } = await receiver.waitFor(slow.request_id);
  assert.equal(json.status, "ERROR");
  assert.equal(json.error, "Invalid status code: 499");
  assert.equal(json.payload["error_type"], "client_cancelled");
});

test("a webhook that is no http(s) URL is refused at the submit", { timeout }, async () => {
  for (const webhookUrl of ["ftp://example.org/hook", "not a URL", "javascript:alert(1)"]) {
    const submitting = createClient(server).queue.submit("test/card", { input: { text: "x" }, webhookUrl });
    await assert.rejects(submitting, (error: { status?: number; body?: { detail: { loc: unknown }[] } }) => {
      assert.equal(error.status, 422);
      assert.deepEqual(error.body?.detail[0]?.loc, ["query", "fal_webhook"]);
      return true;
    });
  }
});

test("a server that is killed while it delivers delivers again when it is back", { timeout }, async () => {
  await using held = await startReceiver();
  held.isAnswering = false;
  await using first = await startServer({ arguments: ["--no-shipped", CARD] });
  const { request_id } = await createClient(first).queue.submit("test/card", {
    input: { text: "hello" },
    webhookUrl: held.url,
  });
  await held.waitFor(request_id);
  first.process.kill("SIGKILL");
  await once(first.process, "exit");
  held.isAnswering = true;
  await using second = await startServer({
    arguments: ["--no-shipped", CARD],
    dataDir: first.dataDir,
  });
  await held.waitFor(request_id, 2);
  const deliveries = async () => {
    const response = await fetch(`${second.url}/v1/sluice/requests/${request_id}/deliveries`, {
      headers: { authorization: `Key ${second.key}` },
    });
    const { deliveries: rows } = (await response.json()) as {
      deliveries: { state: string; attempts: unknown[] }[];
    };
    return rows[0]!;
  };
  const until = Date.now() + 10_000;
  while ((await deliveries()).state !== "delivered" && Date.now() < until)
    await new Promise((resolve) => setTimeout(resolve, 50));
  const { state, attempts } = await deliveries();
  assert.equal(state, "delivered");
  assert.equal(attempts.length, 1, "the attempt that was broken off does not count");
  assert.equal(held.posted.length, 2);
});
