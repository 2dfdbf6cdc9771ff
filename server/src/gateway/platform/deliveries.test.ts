import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { createDeliveryStore } from "../../webhooks/delivery-store.ts";
import { openPlatform, type TestPlatform } from "./testing/open-platform.ts";

const timeout = 30_000;
const URL_OF_HOOK = "http://127.0.0.1:9/hook";
let platform: TestPlatform;
before(async () => {
  platform = await openPlatform();
});
after(() => platform[Symbol.asyncDispose]());

test("the deliveries of a request are shown with every attempt, to its account and the operator", {
  timeout,
}, async () => {
  const { gateway } = platform;
  const id = await platform.record({ webhookUrl: URL_OF_HOOK });
  const path = `/v1/sluice/requests/${id}/deliveries`;
  const owed = await platform.call(path);
  assert.equal(owed.status, 200);
  assert.equal(owed.json.deliveries[0].state, "owed");
  const store = createDeliveryStore(gateway.context);
  const [taken] = await store.takeDue({ limit: 1, busyReceivers: [], getLeaseMs: () => 1_000 });
  const attempt = { at: Date.now(), durationMs: 12.4, status: 307, error: "the receiver redirected" };
  await store.record(taken!, attempt, { kind: "given_up" });
  const { json } = await platform.call(path);
  assert.deepEqual(json.deliveries, [
    {
      request_id: id,
      url: URL_OF_HOOK,
      state: "given_up",
      created_at: owed.json.deliveries[0].created_at,
      next_attempt_at: null,
      attempts: [
        {
          at: new Date(attempt.at).toISOString(),
          duration_ms: 12,
          status_code: 307,
          error: "the receiver redirected",
        },
      ],
    },
  ]);
  assert.equal((await platform.call(path, { authorization: platform.admin })).status, 200);
  assert.equal((await platform.call(path, { authorization: platform.other })).status, 404);
  assert.equal((await platform.call(path, { authorization: null })).status, 401);
  const other = { method: "POST", authorization: platform.other };
  assert.equal((await platform.call(path, other)).status, 404);
  const told: string[] = [];
  const stop = gateway.context.live.subscribeAll(({ requestId }) => told.push(requestId));
  const again = await platform.call(path, { method: "POST" });
  stop();
  assert.equal(again.status, 202);
  assert.equal(again.json.deliveries[0].state, "owed");
  assert.ok(again.json.deliveries[0].next_attempt_at !== null);
  assert.deepEqual(told, [id], "who delivers is told at once");
});

test("a request without a webhook, or that has not ended, has nothing to deliver again", {
  timeout,
}, async () => {
  const without = await platform.record();
  const waiting = await platform.enqueue({ webhookUrl: URL_OF_HOOK });
  const ask = (id: string) => platform.call(`/v1/sluice/requests/${id}/deliveries`, { method: "POST" });
  const refused = await ask(without);
  assert.equal(refused.status, 400);
  assert.match(refused.json.error.message, /without a webhook/);
  assert.match((await ask(waiting)).json.error.message, /not ended yet/);
  const none = await platform.call(`/v1/sluice/requests/${without}/deliveries`);
  assert.deepEqual(none.json, { deliveries: [] });
  assert.equal((await ask("11111111-1111-4111-8111-111111111111")).status, 404);
});
