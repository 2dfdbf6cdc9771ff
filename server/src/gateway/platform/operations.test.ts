import assert from "node:assert/strict";
import { test } from "node:test";
import { createManifest } from "../../catalog/testing/create-manifest.ts";
import { stringifyWithFileLinks } from "../../files/file-links.ts";
import { openGateway } from "../testing/open-gateway.ts";
import { openPlatform } from "./testing/open-platform.ts";

const timeout = 30_000;
const flux = { endpointId: "fal-ai/flux-pro", app: "fal-ai/flux-pro" };

test("the machine is shown, drained and resumed, and whoever listens is told", { timeout }, async () => {
  await using platform = await openPlatform();
  const { admin: authorization } = platform;
  const { machine } = platform.gateway.context;
  let changes = 0;
  machine.onChange(() => changes++);
  const shown = await platform.call("/v1/sluice/workers", { authorization });
  assert.deepEqual([shown.status, shown.json.machines[0].is_drained], [200, false]);
  const act = (action: string) =>
    platform.call(`/v1/sluice/workers/${action}`, { method: "POST", authorization });
  assert.equal((await act("drain")).json.machines[0].is_drained, true);
  assert.equal((await machine.describe()).isDrained, true);
  assert.equal((await act("resume")).json.machines[0].is_drained, false);
  assert.equal(changes, 2);
});

test("leases and throughput are told to the operator", { timeout }, async () => {
  await using platform = await openPlatform();
  const { admin: authorization } = platform;
  const id = await platform.enqueue();
  await platform.gateway.lease();
  await platform.record(
    {},
    {},
    { createdAt: Date.now() - 3000, startedAt: Date.now() - 2000, endedAt: Date.now() },
  );
  const { json } = await platform.call("/v1/sluice/leases", { authorization });
  assert.deepEqual(
    json.leases.map((lease: { request_id: string; attempt: number }) => [lease.request_id, lease.attempt]),
    [[id, 1]],
  );
  const { queues } = (await platform.call("/v1/sluice/queues", { authorization })).json;
  const row = queues.find((each: { endpoint_id: string }) => each.endpoint_id === "test/echo");
  assert.deepEqual([row.running, row.ended_per_minute], [1, 0.2]);
});

test("a price that the operator sets counts everywhere, and for what was used before", {
  timeout,
}, async () => {
  await using platform = await openPlatform();
  const { admin: authorization } = platform;
  await platform.record(flux, { billableUnits: 2, inferenceSeconds: 3, outputPixels: 2_000_000 });
  await platform.record(flux, { billableUnits: 2, state: "failed", statusCode: 500 });
  const path = "/v1/sluice/prices/fal-ai/flux-pro";
  const cost = async (): Promise<readonly unknown[]> => {
    const { usage } = (await platform.call("/v1/sluice/usage")).json;
    const { summary } = (await platform.call("/v1/models/usage?expand=summary", { authorization })).json;
    const { prices } = (await platform.call("/v1/models/pricing?endpoint_id=fal-ai/flux-pro")).json;
    assert.equal(summary[0].cost, usage[0].cost);
    return [usage[0].unit, usage[0].quantity, usage[0].cost, prices[0].unit_price];
  };
  assert.deepEqual(await cost(), ["image", 2, 0.1, 0.05]);
  for (const [unit, amount, quantity, total] of [
    ["request", 0.5, 1, 0.5],
    ["second", 0.01, 3, 0.03],
    ["megapixel", 0.04, 2, 0.08],
    ["image", 0.2, 2, 0.4],
  ] as const) {
    const set = await platform.call(path, { method: "PUT", json: { unit, amount }, authorization });
    assert.deepEqual([set.status, set.json.is_set], [200, true]);
    assert.deepEqual(await cost(), [unit, quantity, total, amount]);
  }
  const listed = (await platform.call("/v1/sluice/prices", { authorization })).json.prices;
  assert.deepEqual(
    listed.map((each: { endpoint_id: string; is_set: boolean }) => [each.endpoint_id, each.is_set]),
    [
      ["fal-ai/flux-pro", true],
      ["test/echo", false],
      ["test/echo/loud", false],
    ],
  );
  for (let round = 0; round < 2; round++)
    assert.equal((await platform.call(path, { method: "DELETE", authorization })).status, 204);
  assert.deepEqual(await cost(), ["image", 2, 0.1, 0.05]);
});

test("a price is checked, and is the operator's to set", { timeout }, async () => {
  await using platform = await openPlatform();
  const { admin: authorization } = platform;
  const put = (json: unknown, path = "test/echo") =>
    platform.call(`/v1/sluice/prices/${path}`, { method: "PUT", json, authorization });
  for (const json of [
    {},
    { unit: "hour", amount: 1 },
    { unit: "image", amount: -1 },
    { unit: "image", amount: "1" },
    { unit: "image", amount: 1e7 },
  ]) {
    const answer = await put(json);
    assert.equal(answer.status, 400, JSON.stringify(json));
    assert.match(answer.json.error.message, /"(unit|amount)"/);
  }
  assert.equal((await put({ unit: "image", amount: 1 }, "acme/none")).status, 404);
});

test("a key sees the usage of its own account, by key; the operator everybody's", { timeout }, async () => {
  await using platform = await openPlatform();
  await platform.record();
  await platform.record({ accountId: platform.otherAccountId, keyId: null });
  const own = (await platform.call("/v1/sluice/usage?timeframe=day")).json.usage;
  assert.deepEqual(
    own.map((row: { key_id: string; key_alias: string; request_count: number }) => [
      row.key_id,
      row.key_alias,
      row.request_count,
    ]),
    [[platform.keyId, "mine", 1]],
  );
  const all = await platform.call("/v1/sluice/usage", { authorization: platform.admin });
  assert.equal(all.json.usage.length, 2);
  assert.equal((await platform.call("/v1/sluice/usage?start=2020-01-01&timeframe=hour")).status, 400);
});

test("what is posted to an account's inbox is shown to that account alone, and forgotten when asked", {
  timeout,
}, async () => {
  await using platform = await openPlatform();
  const look = (authorization = platform.mine) =>
    platform.call("/v1/sluice/inbox?limit=2", { authorization });
  const { url } = (await look()).json;
  assert.match(url, /\/v1\/sluice\/inbox\/[\w-]{43}$/);
  const post = (body: string | Uint8Array, to = url) =>
    platform.call(to, {
      method: "POST",
      body,
      authorization: null,
      headers: { "x-fal-webhook-request-id": "r" },
    });
  assert.equal((await post('{"a":"ü"}')).status, 200);
  assert.equal((await post(Uint8Array.of(0xff, 0xfe))).status, 200);
  assert.equal((await post("last")).status, 200);
  const page = (await look()).json;
  assert.deepEqual(
    page.deliveries.map((each: { body: string | null; body_base64: string | null }) => [
      each.body,
      each.body_base64,
    ]),
    [
      ["last", null],
      [null, "//4="],
    ],
  );
  assert.deepEqual(
    [page.has_more, page.deliveries[0].request_id, page.deliveries[0].size_bytes],
    [true, "r", 4],
  );
  const rest = await platform.call(`/v1/sluice/inbox?cursor=${page.next_cursor}`);
  assert.equal(rest.json.deliveries[0].body, '{"a":"ü"}');
  assert.deepEqual((await look(platform.other)).json.deliveries, []);
  assert.equal((await post("x", url.replace(/.{4}$/, "AAAA"))).status, 404);
  assert.equal((await platform.call("/v1/sluice/inbox", { method: "DELETE" })).status, 204);
  assert.deepEqual((await look()).json.deliveries, []);
});

test("a sample is made once per model version, one at a time, when the operator looks", {
  timeout,
}, async () => {
  await using platform = await openPlatform();
  const look = async (authorization: string | null = null) =>
    (await platform.call("/v1/sluice/samples", { authorization })).json.samples;
  const states = (samples: { state: string }[]) => samples.map(({ state }) => state);
  for (const nobody of [null, platform.mine])
    assert.deepEqual(states(await look(nobody)), ["none", "none", "none"]);
  await Promise.all([1, 2, 3].map(() => look(platform.admin)));
  const waiting = (await platform.queue.getStats()).reduce((sum, { queued }) => sum + queued, 0);
  assert.equal(waiting, 1, "operators who look at the same time make one");
  for (const [index, endpointId] of ["fal-ai/flux-pro", "test/echo", "test/echo/loud"].entries()) {
    const [making] = (await look(platform.admin)).filter(
      ({ state }: { state: string }) => state === "making",
    );
    assert.equal(making.endpoint_id, endpointId);
    assert.deepEqual(
      states(await look(platform.admin)).filter((state) => state === "making"),
      ["making"],
    );
    const lease = await platform.gateway.lease(endpointId);
    assert.deepEqual([lease.requestId, lease.request.priority], [making.request_id, "low"]);
    await platform.gateway.complete(lease, { body: Buffer.from(JSON.stringify({ index })) });
  }
  const samples = await look();
  assert.deepEqual(
    samples.map(({ state, output }: { state: string; output: unknown }) => [state, output]),
    [
      ["ready", { index: 0 }],
      ["ready", { index: 1 }],
      ["ready", { index: 2 }],
    ],
  );
  assert.equal(samples[0].inference_time, 0.25);
  await look(platform.admin);
  assert.equal((await platform.queue.listLeases(10)).length, 0);
  assert.deepEqual(await platform.queue.getStats(), []);
});

test("an endpoint that takes a picture is given one that a model here made, and none from elsewhere", {
  timeout,
}, async () => {
  const takesPicture = (id: string, example: string, ui: object = { field: "image" }) =>
    createManifest(id, {
      category: "image-to-image",
      input: {
        type: "object",
        required: ["image_url"],
        properties: { image_url: { type: "string", examples: [example], ui } },
      },
    });
  const address = "https://example.org/a.png";
  await using gateway = await openGateway({
    models: [
      takesPicture("test/upscale", address),
      takesPicture("test/video", address, { field: "video" }),
      createManifest("test/draw", { category: "text-to-image" }),
    ],
  });
  const admin = await gateway.context.keys.create({ alias: "admin", scope: "ADMIN" });
  const look = async (): Promise<readonly { state: string; input: unknown }[]> =>
    (await gateway.call("/v1/sluice/samples", { authorization: `Key ${admin.credential}` })).json.samples;
  const states = async () => (await look()).map(({ state }) => state);
  assert.deepEqual(await states(), ["none", "none", "making"]);
  const body = stringifyWithFileLinks((link) => ({
    images: [{ url: link("files/p/a.png"), content_type: "image/png" }],
  }));
  await gateway.complete(await gateway.lease("test/draw"), { body: Buffer.from(body) });
  assert.deepEqual(await states(), ["making", "none", "ready"]);
  const lease = await gateway.lease("test/upscale");
  const given = JSON.parse(
    Buffer.from((await gateway.context.queue.readInput(lease.requestId))?.body ?? []).toString(),
  );
  assert.match(given.image_url, /^http:\/\/[^/]+\/cdn\/files\/p\/a\.png$/);
  await gateway.complete(lease, { body: Buffer.from("{}") });
  assert.deepEqual(await states(), ["ready", "none", "ready"]);
  assert.deepEqual((await look())[0]?.input, given);
});
