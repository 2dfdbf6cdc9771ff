/** Requests: the list with its filters, and all that is known of one. */
import assert from "node:assert/strict";
import { once } from "node:events";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { after, before, test } from "node:test";
import { assertQuiet, openApp, type TestApp, whyNoBrowser } from "./testing/open-app.ts";

const timeout = 60_000;
const skip: string | false = whyNoBrowser() ?? false;

let app: TestApp;
before(async () => {
  if (skip === false) app = await openApp();
});
after(async () => {
  if (skip === false) await app[Symbol.asyncDispose]();
});

test("requests are listed as they come, filtered, and shown with all that happened", {
  timeout,
  skip,
}, async () => {
  const evil = `"><svg onload="window.hacked=5">`;
  await using opened = await app.openPage({ path: "/app/requests" });
  const { page } = opened;
  const made = await app.call("/queue/test/studio", { json: { prompt: evil, steps: 2 } });
  const refused = await app.call("/queue/test/studio", { json: { prompt: "" } });
  const row = page.getByRole("row", { name: new RegExp(made.request_id) });
  const other = page.getByRole("row", { name: new RegExp(refused.request_id) });
  await row.getByText("succeeded").waitFor();
  await row.getByText(evil).waitFor();
  const filters = page.getByRole("search", { name: "Filters" });
  await filters.getByLabel("State").selectOption("failed");
  await row.waitFor({ state: "detached" });
  await other.getByText("failed 422").waitFor();
  await filters.getByLabel("State").selectOption("");
  await filters.getByLabel("Endpoint").selectOption("test/studio");
  await filters.getByLabel("Key").selectOption("first key");
  await filters.getByLabel("Time").selectOption("last hour");
  await filters.getByLabel("Text").fill('"><SVG');
  await other.waitFor({ state: "detached" });
  await row.waitFor();
  await page.reload();
  await row.waitFor();
  assert.equal(await filters.getByLabel("Text").inputValue(), '"><SVG');
  await filters.getByLabel("Time").selectOption("custom");
  await filters.getByLabel("To", { exact: true }).fill("2020-01-01T00:00");
  await page.getByText("No request is like that.").waitFor();
  await filters.getByLabel("Time").selectOption("");
  await filters.getByLabel("Text").fill(made.request_id);
  await row.getByRole("link", { name: made.request_id }).click();
  const timeline = page.locator(".timeline");
  for (const name of ["accepted", "queued", "leased", "loaded", "steps", "stored", "ended"])
    await timeline.getByText(name, { exact: true }).waitFor();
  await timeline.getByText("2 steps").waitFor();
  await page.getByRole("region", { name: "Attempts" }).getByText("succeeded").waitFor();
  await page.getByRole("log").getByText("step 2 of").waitFor();
  await page.getByRole("img", { name: "Result 1" }).waitFor();
  await page.getByText("As cURL").click();
  assert.match((await page.getByRole("region", { name: "cURL code" }).textContent()) ?? "", /svg onload/);
  await page.getByRole("button", { name: "Run again", exact: true }).click();
  await page.waitForURL((url) => !url.pathname.endsWith(made.request_id));
  await page.getByRole("img", { name: "Result 1" }).waitFor();
  await page.getByRole("link", { name: "Run again with edits" }).click();
  await page.waitForURL(/\/models\/test\/studio/);
  assert.equal(await page.getByLabel("Prompt").inputValue(), evil);
  await assertQuiet(opened);
});

test("a request that waits says why", { timeout, skip }, async () => {
  await app.call("/v1/sluice/queues/test%2Fstudio/pause", { method: "POST" });
  const made = await app.call("/queue/test/studio", { json: { prompt: "later", steps: 1 } });
  await using opened = await app.openPage({ path: `/app/requests/${made.request_id}` });
  const { page } = opened;
  await page.getByText("The queue of its endpoint is paused").waitFor();
  await app.call("/v1/sluice/queues/test%2Fstudio/resume", { method: "POST" });
  await page.locator(".state-succeeded").waitFor();
  await assertQuiet(opened);
});

test("ten thousand log lines are drawn as far as they are seen, found and reached at both ends", {
  timeout,
  skip,
}, async () => {
  const made = await app.call("/queue/test/studio", { json: { prompt: "log 9990 lines", steps: 2 } });
  await using opened = await app.openPage({ path: `/app/requests/${made.request_id}` });
  const { page } = opened;
  await page.locator(".state-succeeded").waitFor();
  await page.getByText("9,992 lines").waitFor();
  const log = page.getByRole("log");
  await log.getByText("step 2 of").waitFor();
  assert.ok((await page.locator(".log").count()) < 100);
  await log.evaluate((element) => element.scrollTo(0, 0));
  await log.getByText(/^line 1 </).waitFor();
  assert.ok((await page.locator(".log").count()) < 100);
  await page.getByLabel("Find in the log").fill("line 4321");
  await page.getByText("1 of 9,992 lines").waitFor();
  await log.getByText("line 4321").waitFor();
  await assertQuiet(opened);
});

test("a webhook's deliveries are told, and it is delivered again", { timeout, skip }, async () => {
  let count = 0;
  const hook = createServer((request, response) => {
    request.resume();
    count++;
    response.writeHead(count === 1 ? 400 : 200).end();
  });
  hook.listen(0, "127.0.0.1");
  await once(hook, "listening");
  const { port } = hook.address() as AddressInfo;
  const path = `/queue/test/studio?fal_webhook=http://127.0.0.1:${port}/hook`;
  const made = await app.call(path, { json: { prompt: "a fox", steps: 1 } });
  await using opened = await app.openPage({ path: `/app/requests/${made.request_id}` });
  const panel = opened.page.getByRole("region", { name: "Webhook" });
  await panel.getByText("400").waitFor();
  await panel.getByRole("button", { name: "Deliver again" }).click();
  await panel.getByText("delivered").waitFor();
  assert.ok(count >= 2);
  hook.close();
  hook.closeAllConnections();
});
