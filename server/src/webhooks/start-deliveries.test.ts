import assert from "node:assert/strict";
import { createPublicKey, randomBytes, verify } from "node:crypto";
import { createServer } from "node:net";
import { type TestContext, test } from "node:test";
import { createRequestId } from "../ids.ts";
import { ACCOUNT, openDeliveries, type TestDeliveries } from "./testing/open-deliveries.ts";
import { type Posted, startReceiver } from "./testing/start-receiver.ts";

const options = { timeout: 60_000 };

async function open(t: TestContext): Promise<TestDeliveries> {
  const fixture = await openDeliveries();
  t.after(() => fixture[Symbol.asyncDispose]());
  return fixture;
}

async function isSigned({ signingKeys }: TestDeliveries, { headers, body }: Posted): Promise<boolean> {
  const hash = Buffer.from(await crypto.subtle.digest("SHA-256", new Uint8Array(body))).toString("hex");
  const part = (name: string) => String(headers[`x-fal-webhook-${name}`]);
  const message = [part("request-id"), part("user-id"), part("timestamp"), hash].join("\n");
  const signature = Buffer.from(part("signature"), "hex");
  const { keys } = await signingKeys.getJwks();
  return keys.some((key) =>
    verify(null, Buffer.from(message), createPublicKey({ key: { ...key }, format: "jwk" }), signature),
  );
}

test(
  "an inbox of this server is delivered to where private addresses are refused, and nothing else of it is",
  options,
  async (t) => {
    const fixture = await open(t);
    await using receiver = await startReceiver();
    await fixture.start({ settings: { webhookAllowPrivate: false, host: "0.0.0.0" } });
    const token = await fixture.inbox.getToken(ACCOUNT);
    const inboxUrl = (name: string): string => `http://127.0.0.1:9/v1/sluice/inbox/${name}`;
    const id = await fixture.end(inboxUrl(token));
    await fixture.waitForDelivery(id, ({ state }) => state === "delivered");
    const [received] = (await fixture.inbox.list(ACCOUNT, { limit: 10 })).deliveries;
    assert.ok(received !== undefined);
    const body = Buffer.from(received.body);
    assert.equal(JSON.parse(body.toString()).request_id, id);
    assert.ok(await isSigned(fixture, { headers: received.headers, body } as unknown as Posted));
    const others = [
      `${receiver.url}/v1/sluice/inbox/${"x".repeat(43)}`,
      `${receiver.url}/hook?to=${inboxUrl(token)}`,
      `${receiver.url}/v1/sluice/inbox/${token}/../../keys`,
    ];
    for (const url of others) {
      const refused = await fixture.end(url);
      const { attempts } = await fixture.waitForDelivery(refused, ({ state }) => state === "given_up");
      assert.equal(attempts.at(-1)?.status, null, url);
    }
    assert.equal(receiver.posted.length, 0);
    assert.equal((await fixture.inbox.list(ACCOUNT, { limit: 10 })).deliveries.length, 1);
  },
);

test("a request that ends is posted at once, signed, and written down", options, async (t) => {
  const fixture = await open(t);
  await using receiver = await startReceiver();
  await fixture.start();
  const id = await fixture.end(`${receiver.url}/hook?a=1`);
  const [posted] = await receiver.waitFor(1);
  assert.ok(posted !== undefined);
  assert.equal(posted.path, "/hook?a=1");
  assert.deepEqual(posted.json, {
    request_id: id,
    gateway_request_id: id,
    status: "OK",
    payload: { ok: true },
  });
  assert.equal(posted.headers["content-type"], "application/json");
  assert.equal(posted.headers["x-fal-webhook-request-id"], id);
  assert.equal(posted.headers["x-fal-webhook-user-id"], ACCOUNT);
  assert.ok(Math.abs(Number(posted.headers["x-fal-webhook-timestamp"]) - Date.now() / 1000) < 5);
  assert.match(String(posted.headers["x-fal-webhook-signature"]), /^[0-9a-f]{128}$/);
  assert.ok(await isSigned(fixture, posted));
  assert.ok(!(await isSigned(fixture, { ...posted, body: Buffer.from(`${posted.body} `) })));
  const delivery = await fixture.waitForDelivery(id, ({ state }) => state === "delivered");
  assert.equal(delivery.nextAttemptAt, null);
  assert.deepEqual(
    delivery.attempts.map(({ status, error }) => [status, error]),
    [[204, null]],
  );
  const history = await fixture.queue.listEvents(id);
  assert.deepEqual(
    history.slice(-2).map(({ kind, sequence }) => [kind, sequence]),
    [
      ["ended", 1],
      ["delivered", 2],
    ],
  );
});

test("a receiver that fails is tried again with a fresh signature until it accepts", options, async (t) => {
  const fixture = await open(t);
  const { clock } = fixture.storage;
  await using receiver = await startReceiver();
  receiver.answer = (_posted, response) =>
    response.writeHead(receiver.posted.length < 3 ? 500 : 200).end("x".repeat(100_000));
  await fixture.start();
  const id = await fixture.end(receiver.url);
  for (const pause of [5_000, 10_000]) {
    const failed = receiver.posted.length + 1;
    const { nextAttemptAt, attempts } = await fixture.waitForDelivery(
      id,
      (delivery) => delivery.attempts.length === failed,
    );
    assert.equal(attempts.at(-1)?.error, "the receiver answered 500");
    const wait = (nextAttemptAt ?? 0) - clock.now();
    assert.ok(wait > pause - 3_000 && wait <= pause, `the next attempt is in ${wait} ms`);
    clock.advance(pause);
  }
  const { attempts } = await fixture.waitForDelivery(id, ({ state }) => state === "delivered");
  assert.deepEqual(
    attempts.map(({ status }) => status),
    [500, 500, 200],
  );
  const timestamps = receiver.posted.map(({ headers }) => Number(headers["x-fal-webhook-timestamp"]));
  assert.ok(timestamps[1]! - timestamps[0]! >= 5 && timestamps[2]! - timestamps[1]! >= 10);
  assert.equal(new Set(receiver.posted.map(({ body }) => body.toString())).size, 1);
  for (const posted of receiver.posted) assert.ok(await isSigned(fixture, posted));
});

test("after eleven attempts a delivery is given up, and can be asked for again", options, async (t) => {
  const fixture = await open(t);
  const { clock } = fixture.storage;
  await using receiver = await startReceiver();
  receiver.answer = (_posted, response) => response.writeHead(503).end();
  await fixture.start();
  const id = await fixture.end(receiver.url);
  for (let made = 1; made <= 11; made++) {
    await fixture.waitForDelivery(id, ({ attempts }) => attempts.length === made);
    clock.advance(2_600_000);
  }
  const { state } = await fixture.waitForDelivery(id, (delivery) => delivery.state === "given_up");
  assert.equal(state, "given_up");
  assert.equal(receiver.posted.length, 11);
  receiver.answer = (_posted, response) => response.writeHead(200).end();
  assert.ok(await fixture.store.redeliver(id));
  const { attempts } = await fixture.waitForDelivery(id, (delivery) => delivery.state === "delivered");
  assert.equal(attempts.length, 12);
  assert.equal(await fixture.store.redeliver(createRequestId(Date.now())), false);
});

test("a redirect is not followed and ends the delivery", options, async (t) => {
  const fixture = await open(t);
  await using elsewhere = await startReceiver();
  await using receiver = await startReceiver();
  receiver.answer = (_posted, response) => response.writeHead(307, { location: elsewhere.url }).end();
  await fixture.start();
  const id = await fixture.end(receiver.url);
  const { attempts } = await fixture.waitForDelivery(id, ({ state }) => state === "given_up");
  assert.deepEqual(
    attempts.map(({ status, error }) => [status, error]),
    [[307, "the receiver redirected with 307, which is not followed"]],
  );
  assert.equal(elsewhere.posted.length, 0);
});

test("receivers that are down, silent or talk nonsense are tried again later", options, async (t) => {
  const fixture = await open(t);
  const answers: ((socket: import("node:net").Socket) => void)[] = [
    (socket) => socket.end("garbage, not HTTP\r\n\r\n"),
    (socket) => socket.end(Buffer.concat([Buffer.from("HTTP/1.1 200 OK\r\n"), randomBytes(50_000)])),
    (socket) => socket.destroy(),
    () => {}, // silent
  ];
  const servers = await Promise.all(
    answers.map(async (answer) => {
      const server = createServer((socket) => {
        socket.on("error", () => {});
        socket.once("data", () => answer(socket));
      });
      await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
      t.after(() => server.close());
      return `http://127.0.0.1:${(server.address() as { port: number }).port}`;
    }),
  );
  await fixture.start({ getTimeout: () => 500 });
  const urls = [...servers, "http://127.0.0.1:1", "http://no-such-host.invalid/"];
  const errors: unknown[] = [];
  for (const url of urls) {
    const id = await fixture.end(url);
    const delivery = await fixture.waitForDelivery(id, ({ attempts }) => attempts.length === 1);
    assert.equal(delivery.state, "owed");
    errors.push(delivery.attempts[0]?.error);
  }
  assert.deepEqual(errors, [
    "the receiver's answer is not HTTP",
    "the receiver's answer is not HTTP",
    "the connection failed",
    "the receiver did not answer within 0.5 s",
    "the connection was refused",
    "its host name was not found",
  ]);
});

test("a private target is refused unless the server is for this machine alone or its operator allows it", async (t) => {
  const fixture = await open(t);
  await using receiver = await startReceiver();
  const { port } = new URL(receiver.url);
  const resolve = async () => [
    { address: "127.0.0.1", family: 4 },
    { address: "1.1.1.1", family: 4 },
  ];
  const open0 = { webhookAllowPrivate: null, host: "0.0.0.0" };
  const first = await fixture.start({ settings: open0, resolve });
  for (const url of [receiver.url, `http://[::1]:${port}/`, `http://rebound.test:${port}/`]) {
    const id = await fixture.end(url);
    const { attempts } = await fixture.waitForDelivery(id, ({ state }) => state === "given_up");
    assert.match(String(attempts[0]?.error), /not a public address.*SLUICE_WEBHOOK_ALLOW_PRIVATE/);
  }
  assert.equal(receiver.posted.length, 0);
  await first[Symbol.asyncDispose]();
  await fixture.start({ settings: { webhookAllowPrivate: true, host: "0.0.0.0" } });
  await fixture.end(receiver.url);
  await receiver.waitFor(1);
});

test("the cloud's own address is never a receiver", async (t) => {
  const fixture = await open(t);
  await fixture.start({ settings: { webhookAllowPrivate: true, host: "127.0.0.1" } });
  const id = await fixture.end("http://169.254.169.254/latest/meta-data/");
  await fixture.waitForDelivery(id, ({ state }) => state === "given_up");
});

test("a slow receiver does not hold up another", options, async (t) => {
  const fixture = await open(t);
  await using slow = await startReceiver();
  await using quick = await startReceiver();
  slow.answer = () => {};
  await fixture.start();
  for (let count = 0; count < 60; count++) await fixture.end(slow.url);
  await slow.waitFor(8);
  const startedAt = performance.now();
  await fixture.end(quick.url);
  await quick.waitFor(1);
  assert.ok(performance.now() - startedAt < 3_000);
  assert.ok(slow.posted.length < 20, `${slow.posted.length} at once`);
});

test("several processes deliver each request once", options, async (t) => {
  const fixture = await open(t);
  await using receiver = await startReceiver();
  const ids: string[] = [];
  for (let count = 0; count < 60; count++) ids.push(await fixture.end(receiver.url));
  await Promise.all([1, 2, 3].map(() => fixture.start({ isAlone: false })));
  await receiver.waitFor(60);
  await new Promise((resolve) => setTimeout(resolve, 200));
  assert.deepEqual(receiver.posted.map(({ json }) => json.request_id).sort(), ids.sort());
});

test("what a process that died had taken is repeated when its lease ends", options, async (t) => {
  const fixture = await open(t);
  await using receiver = await startReceiver();
  const id = await fixture.end(receiver.url);
  const take = { limit: 5, busyReceivers: [], getLeaseMs: () => 45_000 };
  const [taken] = await fixture.store.takeDue(take);
  assert.equal(taken?.requestId, id);
  await fixture.start({ isAlone: false });
  await new Promise((resolve) => setTimeout(resolve, 300));
  assert.equal(receiver.posted.length, 0);
  fixture.storage.clock.advance(45_000);
  await receiver.waitFor(1);
  await fixture.waitForDelivery(id, ({ state }) => state === "delivered");
  // The dead one's word comes too late.
  const late = { at: 0, durationMs: 0, status: 500, error: "late" };
  assert.equal(await fixture.store.record(taken!, late, { kind: "given_up" }), false);
});

test("what is being sent when the server stops is due again at once", options, async (t) => {
  const fixture = await open(t);
  await using receiver = await startReceiver();
  receiver.answer = () => {};
  const deliveries = await fixture.start();
  const id = await fixture.end(receiver.url);
  await receiver.waitFor(1);
  await deliveries[Symbol.asyncDispose]();
  const delivery = await fixture.store.find(id);
  assert.deepEqual(delivery?.attempts, []);
  receiver.answer = (_posted, response) => response.writeHead(200).end();
  await fixture.start({ isAlone: false });
  await fixture.waitForDelivery(id, ({ state }) => state === "delivered");
});

test("a clock that is set back does not hold up what is owed", options, async (t) => {
  const fixture = await open(t);
  await using receiver = await startReceiver();
  receiver.answer = (_posted, response) => response.writeHead(receiver.posted.length === 1 ? 500 : 200).end();
  const id = await fixture.end(receiver.url);
  await fixture.start();
  await fixture.waitForDelivery(id, ({ attempts }) => attempts.length === 1);
  fixture.storage.clock.advance(-86_400_000);
  await fixture.waitForDelivery(id, ({ state }) => state === "delivered");
});

test("a result that its caller wanted forgotten is still told of", options, async (t) => {
  const fixture = await open(t);
  await using receiver = await startReceiver();
  const id = await fixture.end(receiver.url);
  await fixture.queue.removePayloads(id);
  await fixture.start();
  const [posted] = await receiver.waitFor(1);
  assert.equal(posted?.json.payload, null);
  assert.match(posted?.json.payload_error, /removed/);
});

test("credentials of a webhook URL are sent to it", options, async (t) => {
  const fixture = await open(t);
  await using receiver = await startReceiver();
  await fixture.start();
  await fixture.end(receiver.url.replace("//", "//me:s%40crets@"));
  const [posted] = await receiver.waitFor(1);
  assert.equal(posted?.headers.authorization, `Basic ${Buffer.from("me:s@crets").toString("base64")}`);
});
