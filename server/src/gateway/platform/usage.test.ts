import assert from "node:assert/strict";
import { test } from "node:test";
import { openPlatform } from "./testing/open-platform.ts";
import { readTimeBuckets } from "./time-buckets.ts";

const timeout = 60_000;
const flux = { endpointId: "fal-ai/flux-pro", app: "fal-ai/flux-pro" };
const at = (text: string): number => Date.parse(text);
const period = "start=2026-03-01&end=2026-03-03";

test("usage sums units and cost of successful requests by endpoint and day", { timeout }, async () => {
  await using platform = await openPlatform();
  await platform.record(flux, { billableUnits: 2 }, { createdAt: at("2026-03-01T10:00:00Z") });
  await platform.record(flux, { billableUnits: 3 }, { createdAt: at("2026-03-02T10:00:00Z") });
  await platform.record(
    flux,
    { billableUnits: 9, state: "failed", statusCode: 500 },
    { createdAt: at("2026-03-02T11:00:00Z") },
  );
  const { status, json } = await platform.call(
    `/v1/models/usage?${period}&timeframe=day&expand=time_series,summary,auth_method_structured`,
    { authorization: platform.admin },
  );
  assert.equal(status, 200);
  assert.deepEqual(
    json.time_series.map((row: { bucket: string; results: { quantity: number }[] }) => [
      row.bucket,
      row.results[0]?.quantity,
    ]),
    [
      ["2026-03-01T00:00:00Z", 2],
      ["2026-03-02T00:00:00Z", 3],
    ],
  );
  assert.deepEqual(json.summary, [
    {
      endpoint_id: "fal-ai/flux-pro",
      unit: "image",
      quantity: 5,
      unit_price: 0.05,
      percent_discount: 0,
      cost_subtotal: 0.25,
      cost_discount: 0,
      cost_total: 0.25,
      cost: 0.25,
      currency: "USD",
      auth_method: "Key: mine",
      auth_method_structured: { detail: "Key: mine", api_key_id: platform.keyId },
    },
  ]);
  const none = await platform.call(`/v1/models/usage?${period}&expand=summary&api_key_id=nobody`, {
    authorization: platform.admin,
  });
  assert.deepEqual(none.json.summary, []);
  assert.equal((await platform.call(`/v1/models/usage?${period}`)).status, 403);
});

test("analytics count outcomes and rank durations", { timeout }, async () => {
  await using platform = await openPlatform();
  const createdAt = at("2026-03-01T10:00:00Z");
  for (let seconds = 1; seconds <= 4; seconds++)
    await platform.record(
      {},
      {},
      { createdAt, startedAt: createdAt + 500, endedAt: createdAt + 500 + seconds * 1000 },
    );
  await platform.record({}, { state: "failed", statusCode: 422 }, { createdAt });
  await platform.record(
    {},
    { state: "failed", statusCode: 504, errorType: "request_timeout" },
    { createdAt },
  );
  await platform.record({}, { state: "failed", statusCode: 500 }, { createdAt });
  const { status, json } = await platform.call(
    `/v1/models/analytics?${period}&endpoint_id=test/echo&expand=summary,time_series,request_count,success_count,user_error_count,error_count,timeout_error_count,runtime_error_count,p50_duration,p99_duration,p50_prepare_duration,cold_boot_count`,
  );
  assert.equal(status, 200);
  assert.deepEqual(json.summary, [
    {
      endpoint_id: "test/echo",
      request_count: 7,
      success_count: 4,
      user_error_count: 1,
      error_count: 2,
      timeout_error_count: 1,
      runtime_error_count: 1,
      p50_prepare_duration: 0.5,
      p50_duration: 2,
      p99_duration: 4,
      cold_boot_count: null,
    },
  ]);
  assert.equal(json.time_series.length, 1);
  assert.equal(json.time_series[0].bucket, "2026-03-01T00:00:00Z");
});

test("analytics want a form and a metric", { timeout }, async () => {
  await using platform = await openPlatform();
  for (const [query, message] of [
    ["endpoint_id=test/echo&expand=request_count", /"time_series" or "summary"/],
    ["endpoint_id=test/echo&expand=summary", /must name a metric/],
    ["expand=summary,request_count", /"endpoint_id" is required/],
    ["endpoint_id=test/echo&expand=summary,request_count&timezone=Moon/Base", /"timezone"/],
    ["endpoint_id=test/echo&expand=summary,request_count&timeframe=year", /"timeframe"/],
  ] as const) {
    const { status, json } = await platform.call(`/v1/models/analytics?${query}`);
    assert.equal(status, 400, query);
    assert.match(json.error.message, message);
  }
});

test("billing events tell what each successful request cost", { timeout }, async () => {
  await using platform = await openPlatform();
  const id = await platform.record(flux, { billableUnits: 2 });
  await platform.record(flux, { state: "failed", statusCode: 500 });
  const { json } = await platform.call("/v1/models/billing-events", { authorization: platform.admin });
  assert.equal(json.billing_events.length, 1);
  const [event] = json.billing_events;
  assert.deepEqual([event.request_id, event.output_units, event.cost_total], [id, 2, 0.1]);
  assert.equal(event.cost_estimate_nano_usd, 100_000_000);
  const wide = await platform.call("/v1/models/billing-events?start=2020-01-01", {
    authorization: platform.admin,
  });
  assert.equal(wide.status, 400);
});

test("pieces of time follow the zone's days, also when clocks change", () => {
  const read = (query: string, startAt: string, endAt: string) =>
    readTimeBuckets(new URLSearchParams(query), { startAt: at(startAt), endAt: at(endAt) });
  // Clocks in Berlin go forward on 2026-03-29 and back on 2026-10-25.
  const spring = read("timezone=Europe/Berlin&timeframe=day", "2026-03-29T10:00:00Z", "2026-03-29T11:00:00Z");
  assert.equal(spring.period.startAt, at("2026-03-28T23:00:00Z"));
  assert.equal(spring.period.endAt, at("2026-03-29T22:00:00Z"));
  assert.equal(spring.format(at("2026-03-29T20:00:00Z")), "2026-03-29T00:00:00+01:00");
  assert.equal(spring.format(at("2026-03-29T22:00:00Z")), "2026-03-30T00:00:00+02:00");
  const autumn = read(
    "timezone=Europe/Berlin&timeframe=hour",
    "2026-10-25T00:00:00Z",
    "2026-10-25T03:00:00Z",
  );
  assert.equal(autumn.format(at("2026-10-25T00:30:00Z")), "2026-10-25T02:00:00+02:00");
  assert.equal(autumn.format(at("2026-10-25T01:30:00Z")), "2026-10-25T02:00:00+01:00");
  const india = read("timezone=Asia/Kolkata&timeframe=day", "2026-01-01T00:00:00Z", "2026-01-02T00:00:00Z");
  assert.equal(india.format(at("2026-01-01T00:00:00Z")), "2026-01-01T00:00:00+05:30");
});

test("without a timeframe the length decides, and bound periods are whole", () => {
  const read = (query: string, startAt: string, endAt: string) =>
    readTimeBuckets(new URLSearchParams(query), { startAt: at(startAt), endAt: at(endAt) });
  assert.equal(read("", "2026-01-01", "2026-01-01T01:59:00Z").timeframe, "minute");
  assert.equal(read("", "2026-01-01", "2026-01-02").timeframe, "hour");
  assert.equal(read("", "2026-01-01", "2026-01-31").timeframe, "day");
  assert.equal(read("", "2026-01-01", "2026-04-30").timeframe, "week");
  assert.equal(read("", "2026-01-01", "2026-12-31").timeframe, "month");
  const week = read("timeframe=week", "2026-01-01T12:00:00Z", "2026-01-06T00:00:00Z").period;
  assert.deepEqual(week, { startAt: at("2025-12-29"), endAt: at("2026-01-12") });
  const month = read("timeframe=month", "2026-01-31", "2026-02-01").period;
  assert.deepEqual(month, { startAt: at("2026-01-01"), endAt: at("2026-02-01") });
  const loose = read("timeframe=month&bound_to_timeframe=false", "2026-01-31", "2026-02-01").period;
  assert.deepEqual(loose, { startAt: at("2026-01-31"), endAt: at("2026-02-01") });
});
