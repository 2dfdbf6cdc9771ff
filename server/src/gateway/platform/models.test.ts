import assert from "node:assert/strict";
import { test } from "node:test";
import { openPlatform } from "./testing/open-platform.ts";

const timeout = 60_000;

test("models are listed for everyone, page by page", { timeout }, async () => {
  await using platform = await openPlatform();
  const first = await platform.call("/v1/models?limit=2", { authorization: null });
  assert.equal(first.status, 200);
  assert.deepEqual(
    first.json.models.map((model: { endpoint_id: string }) => model.endpoint_id),
    ["fal-ai/flux-pro", "test/echo"],
  );
  assert.equal(first.json.has_more, true);
  assert.equal(first.json.next_cursor, "Mg==");
  const second = await platform.call("/v1/models?limit=2&cursor=Mg==");
  assert.deepEqual(
    [second.json.models.length, second.json.has_more, second.json.next_cursor],
    [1, false, null],
  );
  const [model] = first.json.models;
  assert.deepEqual(Object.keys(model), ["endpoint_id", "metadata"]);
  assert.equal(model.metadata.display_name, "FLUX Pro");
  assert.equal(model.metadata.status, "active");
  assert.equal(model.metadata.license_type, "commercial");
  assert.equal(model.metadata.model_url, `${platform.gateway.origin}/run/fal-ai/flux-pro`);
  assert.deepEqual(model.metadata.model, { name: "tiny-flux", version: "1" });
});

test("models are found by ids, words, category and status", { timeout }, async () => {
  await using platform = await openPlatform();
  const find = async (query: string): Promise<string[]> => {
    const { json } = await platform.call(`/v1/models?${query}`);
    return json.models.map((model: { endpoint_id: string }) => model.endpoint_id);
  };
  assert.deepEqual(await find("endpoint_id=test/echo,fal-ai/flux-pro"), ["test/echo", "fal-ai/flux-pro"]);
  assert.deepEqual(await find("endpoint_id=test/echo&endpoint_id=test/echo/loud"), [
    "test/echo",
    "test/echo/loud",
  ]);
  assert.deepEqual(await find("q=LOUD"), ["test/echo", "test/echo/loud"]);
  assert.deepEqual(await find("q=says+again"), ["test/echo"]);
  assert.deepEqual(await find("category=text-to-image"), ["fal-ai/flux-pro"]);
  assert.deepEqual(await find("status=deprecated"), []);
  const unknown = await platform.call("/v1/models?endpoint_id=test/echo,acme/none");
  assert.equal(unknown.status, 404);
  assert.equal(unknown.json.error.type, "not_found");
  assert.match(unknown.json.error.message, /"acme\/none"/);
});

test("a model carries its document when asked for", { timeout }, async () => {
  await using platform = await openPlatform();
  const { json } = await platform.call(
    "/v1/models?endpoint_id=fal-ai/flux-pro&expand=openapi-3.0&expand=enterprise_status",
  );
  assert.equal(json.models[0].openapi.openapi, "3.0.4");
  assert.equal(json.models[0].openapi.servers[0].url, `${platform.gateway.origin}/queue`);
  assert.equal(json.models[0].enterprise_status, "ready");
});

test("wrong parameters are refused by name", { timeout }, async () => {
  await using platform = await openPlatform();
  for (const [query, name] of [
    ["limit=0", "limit"],
    ["limit=x", "limit"],
    ["limit=1.5", "limit"],
    ["limit=99999", "limit"],
    ["cursor=%21%21", "cursor"],
    ["expand=everything", "expand"],
    ["status=gone", "status"],
    [`endpoint_id=${Array.from({ length: 51 }, (_, index) => `a/${index}`)}`, "endpoint_id"],
  ]) {
    const { status, json } = await platform.call(`/v1/models?${query}`);
    assert.equal(status, 400, query);
    assert.equal(json.error.type, "validation_error");
    assert.match(json.error.message, new RegExp(`^"${name}"`));
  }
});

test("prices are those of the models", { timeout }, async () => {
  await using platform = await openPlatform();
  const { status, json } = await platform.call("/v1/models/pricing?endpoint_id=fal-ai/flux-pro,test/echo");
  assert.equal(status, 200);
  assert.deepEqual(json.prices, [
    { endpoint_id: "fal-ai/flux-pro", unit_price: 0.05, unit: "image", currency: "USD" },
    { endpoint_id: "test/echo", unit_price: 0, unit: "request", currency: "USD" },
  ]);
  assert.equal((await platform.call("/v1/models/pricing")).status, 400);
  assert.equal(
    (await platform.call("/v1/models/pricing?endpoint_id=test/echo", { authorization: null })).status,
    401,
  );
});

test("an estimate by units is a product, one by calls looks at the account's history", {
  timeout,
}, async () => {
  await using platform = await openPlatform();
  const estimate = (json: unknown) => platform.call("/v1/models/pricing/estimate", { json });
  const endpoints = { "fal-ai/flux-pro": { unit_quantity: 3, call_quantity: 10 } };
  const byUnit = await estimate({ estimate_type: "unit_price", endpoints });
  assert.deepEqual(byUnit.json, { estimate_type: "unit_price", total_cost: 0.15, currency: "USD" });
  const fresh = await estimate({ estimate_type: "historical_api_price", endpoints });
  assert.equal(fresh.json.total_cost, 0.5);
  const flux = { endpointId: "fal-ai/flux-pro", app: "fal-ai/flux-pro" };
  await platform.record(flux, { billableUnits: 4 });
  await platform.record(flux, { billableUnits: 2 });
  const { otherAccountId: accountId } = platform;
  await platform.record({ ...flux, accountId, keyId: null }, { billableUnits: 1000 });
  const known = await estimate({ estimate_type: "historical_api_price", endpoints });
  assert.equal(known.json.total_cost, 1.5);
});

test("an estimate that makes no sense is refused with the field's name", { timeout }, async () => {
  await using platform = await openPlatform();
  const endpoints = { "test/echo": { call_quantity: 1 } };
  for (const [json, message] of [
    [{ estimate_type: "guess", endpoints }, /^"estimate_type"/],
    [{ estimate_type: "unit_price", endpoints }, /unit_quantity/],
    [{ estimate_type: "unit_price", endpoints: [] }, /^"endpoints"/],
    [{ estimate_type: "unit_price", endpoints: {} }, /^"endpoints"/],
    [
      { estimate_type: "historical_api_price", endpoints: { "test/echo": { call_quantity: 1.5 } } },
      /call_quantity/,
    ],
    [{ estimate_type: "historical_api_price", endpoints: { "test/echo": null } }, /call_quantity/],
    [[], /JSON object/],
  ] as const) {
    const { status, json: answer } = await platform.call("/v1/models/pricing/estimate", { json });
    assert.equal(status, 400);
    assert.match(answer.error.message, message);
  }
  const broken = await platform.call("/v1/models/pricing/estimate", { body: "{" });
  assert.equal(broken.status, 400);
});
