import assert from "node:assert/strict";
import test, { type TestContext } from "node:test";
import * as fal from "./index.ts";
import { setUpQueue } from "./testing/set-up-queue.ts";

async function setUp(t: TestContext): Promise<Awaited<ReturnType<typeof setUpQueue>>> {
  const setup = await setUpQueue(t);
  fal.config({ url: setup.server.url, credentials: "id:secret" });
  t.after(() => fal.config({}));
  return setup;
}

test("the bare functions answer with the output itself", async (t) => {
  const { app, server } = await setUp(t);
  app.onSubmit = (request) => app.complete(request.id, { images: [] });
  const output = await fal.subscribe("acme/model", { input: { prompt: "x" }, path: "extra" });
  assert.deepEqual(output, { images: [] });
  assert.equal(server.calls[0]!.path, "/queue/acme/model/extra");

  const { request_id: requestId } = await fal.queue.submit("acme/model", { input: {} });
  const status = await fal.queue.status("acme/model", { requestId });
  assert.ok(status.status === "COMPLETED");
  assert.equal(status.metrics.inference_time, null);
  assert.equal((await fal.queue.subscribeToStatus("acme/model", { requestId })).status, "COMPLETED");
  assert.deepEqual(await fal.queue.result("acme/model", { requestId }), { images: [] });
  await assert.rejects(fal.queue.cancel("acme/model", { requestId }), { status: 400 });

  app.intercept = (_call, response) => {
    response.writeHead(200, { "content-type": "application/json" }).end('{"ran":true}');
    return true;
  };
  assert.deepEqual(await fal.run("acme/model"), { ran: true });
});

test("fal has the same configuration, and answers with data and request id", async (t) => {
  const { app } = await setUp(t);
  app.onSubmit = (request) => app.complete(request.id, { ok: true });
  const result = await fal.fal.subscribe("acme/model", { input: {} });
  assert.deepEqual(result, { data: { ok: true }, requestId: [...app.requests.keys()][0] });
  fal.fal.config({ url: "http://other.test", credentials: "c:d" });
  assert.equal(fal.getConfig().credentials, "c:d");
  assert.equal(fal.getConfig().url, "http://other.test");
});

test("everything that the official packages export is here", () => {
  const old =
    "config getConfig queue run subscribe withMiddleware withProxy realtime ApiError ValidationError storage stream parseAppId";
  const current =
    "createFalClient withMiddleware withProxy ApiError ValidationError isRetryableError parseEndpointId isQueueStatus isCompletedQueueStatus fal";
  for (const name of `${old} ${current}`.split(" ")) assert.ok(name in fal, name);
  for (const name of "config run subscribe stream queue storage streaming realtime".split(" ")) {
    assert.ok(name in fal.fal, name);
  }
});

test("ids are taken apart, and what is none throws", () => {
  assert.deepEqual(fal.parseEndpointId("fal-ai/flux/dev/image-to-image"), {
    owner: "fal-ai",
    alias: "flux",
    path: "dev/image-to-image",
  });
  assert.deepEqual(fal.parseAppId("workflows/fal-ai/x"), {
    namespace: "workflows",
    owner: "fal-ai",
    alias: "x",
  });
  assert.throws(() => fal.parseAppId("x"), /Must be in the format <appOwner>\/<appId>/);
});

test("statuses are told from other values", () => {
  const status = { status: "COMPLETED", request_id: "r", response_url: "u" };
  assert.ok(fal.isQueueStatus(status));
  assert.ok(fal.isCompletedQueueStatus(status));
  assert.ok(!fal.isCompletedQueueStatus({ ...status, status: "IN_QUEUE" }));
  for (const value of [null, 1, {}, { status: "DONE", response_url: "u" }])
    assert.ok(!fal.isQueueStatus(value));
});
