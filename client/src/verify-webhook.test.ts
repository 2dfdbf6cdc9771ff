import assert from "node:assert/strict";
import { createHash, generateKeyPairSync, type KeyObject, sign } from "node:crypto";
import test, { type TestContext } from "node:test";
import { createFalClient, type FalClient } from "./client.ts";
import { FAST } from "./testing/set-up-queue.ts";
import { sendJson, startTestServer, type TestServer } from "./testing/test-server.ts";
import { WebhookVerificationError } from "./webhooks.ts";

interface Setup {
  readonly server: TestServer;
  readonly client: FalClient;
  readonly keys: { publicKey: KeyObject; privateKey: KeyObject }[];
}

async function setUp(t: TestContext): Promise<Setup> {
  const keys = [generateKeyPairSync("ed25519")];
  const server = await startTestServer((_call, response) => {
    const published = keys.map(({ publicKey }) => ({
      ...publicKey.export({ format: "jwk" }),
      kid: "k",
      use: "sig",
    }));
    sendJson(response, 200, { keys: published });
  });
  t.after(() => server.stop());
  return {
    server,
    keys,
    client: createFalClient({ url: server.url, credentials: "id:secret", retry: FAST }),
  };
}

const BODY = '{"request_id":"r","gateway_request_id":"r","status":"OK","payload":{"images":[{"url":"é"}]}}';

function deliver(
  key: KeyObject,
  change: { body?: string; timestamp?: number; requestId?: string } = {},
): Request {
  const timestamp = String(change.timestamp ?? Math.floor(Date.now() / 1000));
  const hash = createHash("sha256").update(BODY).digest("hex");
  const signature = sign(null, Buffer.from(["r", "user", timestamp, hash].join("\n")), key).toString("hex");
  return new Request("http://receiver.test/hook", {
    method: "POST",
    body: change.body ?? BODY,
    headers: {
      "X-Fal-Webhook-Request-Id": change.requestId ?? "r",
      "X-Fal-Webhook-User-Id": "user",
      "X-Fal-Webhook-Timestamp": timestamp,
      "X-Fal-Webhook-Signature": signature,
    },
  });
}

test("a genuine delivery is returned parsed; the keys are fetched once, without the caller's key", async (t) => {
  const { server, client, keys } = await setUp(t);
  for (let n = 0; n < 3; n++) {
    const delivery = await client.webhooks.verify<{ images: { url: string }[] }>(
      deliver(keys[0]!.privateKey),
    );
    assert.equal(delivery.status, "OK");
    assert.equal(delivery.payload.images[0]!.url, "é");
  }
  assert.deepEqual(
    server.calls.map((call) => [call.path, call.headers.authorization]),
    [["/rest/.well-known/jwks.json", undefined]],
  );
});

test("headers and body of any framework will do, as long as the body is the bytes that came", async (t) => {
  const { client, keys } = await setUp(t);
  const headers = Object.fromEntries(deliver(keys[0]!.privateKey).headers);
  for (const body of [BODY, Buffer.from(BODY), new TextEncoder().encode(BODY).buffer]) {
    assert.equal((await client.webhooks.verify({ headers, body })).request_id, "r");
  }
  await assert.rejects(client.webhooks.verify({ headers, body: JSON.parse(BODY) }), /bytes as they came/);
});

test("a changed body, id or timestamp, an old delivery, a foreign key and a missing header are refused", async (t) => {
  const { client, keys } = await setUp(t);
  const { privateKey } = keys[0]!;
  const now = Math.floor(Date.now() / 1000);
  const moved = deliver(privateKey);
  moved.headers.set("x-fal-webhook-timestamp", String(now + 1));
  const bare = deliver(privateKey);
  bare.headers.delete("x-fal-webhook-signature");
  const short = deliver(privateKey);
  short.headers.set("x-fal-webhook-signature", "00");
  const garbage = deliver(privateKey);
  garbage.headers.set("x-fal-webhook-timestamp", "now");
  const cases: [Request, RegExp][] = [
    [deliver(privateKey, { body: BODY.replace("OK", "KO") }), /No key/],
    [deliver(privateKey, { requestId: "other" }), /No key/],
    [moved, /No key/],
    [deliver(privateKey, { timestamp: now - 302 }), /not of now/],
    [deliver(privateKey, { timestamp: now + 302 }), /not of now/],
    [garbage, /not of now/],
    [deliver(generateKeyPairSync("ed25519").privateKey), /No key/],
    [bare, /x-fal-webhook-signature is missing/],
    [short, /64 bytes/],
  ];
  for (const [request, message] of cases) {
    await assert.rejects(client.webhooks.verify(request), (error) => {
      assert.ok(error instanceof WebhookVerificationError);
      assert.match(error.message, message);
      return true;
    });
  }
  await client.webhooks.verify(deliver(privateKey, { timestamp: now - 298 }));
});

test("any published key will do; a key that is new is fetched, but not for every forgery", async (t) => {
  const { server, client, keys } = await setUp(t);
  const old = keys[0]!;
  await client.webhooks.verify(deliver(old.privateKey));
  const young = generateKeyPairSync("ed25519");
  keys.push(young);
  const realNow = Date.now;
  t.after(() => {
    Date.now = realNow;
  });
  await assert.rejects(client.webhooks.verify(deliver(young.privateKey)), /No key/);
  assert.equal(server.calls.length, 1);
  Date.now = () => realNow() + 61_000;
  await client.webhooks.verify(deliver(young.privateKey));
  await client.webhooks.verify(deliver(old.privateKey));
  assert.equal(server.calls.length, 2);
  const forgery = generateKeyPairSync("ed25519").privateKey;
  for (let n = 0; n < 5; n++) await assert.rejects(client.webhooks.verify(deliver(forgery)), /No key/);
  assert.equal(server.calls.length, 2);
});
