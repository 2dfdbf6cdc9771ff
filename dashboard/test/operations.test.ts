/** What the operator does: the machine, prices, the inbox of webhooks. */
import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { openApp, type TestApp, whyNoBrowser } from "./testing/open-app.ts";

const timeout = 60_000;
const skip: string | false = whyNoBrowser() ?? false;

let app: TestApp;
before(async () => {
  if (skip === false) app = await openApp();
});
after(async () => {
  if (skip === false) await app[Symbol.asyncDispose]();
});

test("the machine shows its workers, is drained and resumed", { timeout, skip }, async () => {
  await using opened = await app.openPage({ path: "/app/queues" });
  const { page } = opened;
  const first = await app.call("/queue/test/studio", { json: { prompt: "a fox", steps: 50 } });
  const workers = page.getByRole("table", { name: "Workers" });
  await workers.getByText("busy").waitFor();
  await workers.getByRole("link", { name: first.request_id.slice(0, 13) }).waitFor();
  await page.getByRole("meter", { name: "CPU" }).waitFor();
  await page.getByRole("button", { name: "Drain" }).click();
  await page.getByText("draining", { exact: true }).waitFor();
  const second = await app.call("/queue/test/studio", { json: { prompt: "a den", steps: 1 } });
  await page.getByText("drained", { exact: true }).waitFor();
  const waiting = await app.call(`/v1/sluice/requests/${second.request_id}`);
  assert.equal(waiting.state, "queued");
  await page.getByRole("button", { name: "Resume", exact: true }).click();
  await page.getByRole("button", { name: "Drain" }).waitFor();
  await using requests = await app.openPage({ path: `/app/requests/${second.request_id}` });
  await requests.page.getByText("succeeded").first().waitFor();
  assert.deepEqual(opened.complaints, []);
});

test("usage is shown by key, and costs what the operator's price says", { timeout, skip }, async () => {
  const { request_id } = await app.call("/queue/test/studio", { json: { prompt: "a fox", steps: 1 } });
  await using opened = await app.openPage({ path: `/app/requests/${request_id}` });
  const { page } = opened;
  await page.getByText("succeeded").first().waitFor();
  await page.goto(`${app.url}/app/usage`);
  await page.getByRole("img", { name: "requests by key over 24 hours" }).waitFor();
  const row = page.getByRole("row", { name: /first key test\/studio/ });
  assert.match((await row.textContent()) ?? "", /\$0$/);
  await page.getByRole("button", { name: "Set the price of test/studio" }).click();
  await page.getByLabel("US dollars").fill("a lot");
  await page.getByRole("button", { name: "Save" }).click();
  await page.getByText(/"amount" must be US dollars/).waitFor();
  await page.getByLabel("US dollars").fill("2.5");
  await page.getByLabel("Unit").selectOption("request");
  await page.getByRole("button", { name: "Save" }).click();
  await page.getByText("$2.5 per request").waitFor();
  const good = Number(await row.getByRole("cell").nth(3).textContent());
  await row.getByText(`$${(good * 2.5).toFixed(2)}`).waitFor();
  await page.getByLabel("Show").selectOption("cost");
  await page.getByRole("combobox", { name: /^By/ }).selectOption("endpoint");
  await page.getByRole("img", { name: "cost by endpoint over 24 hours" }).waitFor();
  await page.getByRole("button", { name: "Forget the price of test/studio" }).click();
  await page.getByText("(the model's own)").waitFor();
  assert.deepEqual(opened.complaints, []);
});

test("a webhook comes into the inbox, is verified, and delivered again", { timeout, skip }, async () => {
  await using opened = await app.openPage({ path: "/app/webhooks" });
  const { page } = opened;
  await page.getByText("Nothing came in yet.").waitFor();
  const address = page.getByRole("region", { name: "address of the inbox" });
  const url = (await address.textContent()) ?? "";
  const evil = `<img src=x onerror="window.hacked=7">`;
  const made = await app.call(`/queue/test/studio?fal_webhook=${encodeURIComponent(url)}`, {
    json: { prompt: evil, steps: 1 },
  });
  const received = page.locator(".deliveries > li");
  await received.getByText("verified", { exact: true }).waitFor();
  await received.getByRole("link", { name: made.request_id }).waitFor();
  assert.match((await received.getByRole("region", { name: "body" }).textContent()) ?? "", /onerror/);
  await fetch(url, { method: "POST", body: evil, headers: { "x-fal-webhook-request-id": evil } });
  await received.getByText("not verified").waitFor();
  await received.nth(1).getByRole("button", { name: "Deliver again" }).click();
  await received.nth(2).waitFor();
  await page.getByRole("button", { name: "Clear" }).click();
  await page.getByText("Nothing came in yet.").waitFor();
  assert.equal(await page.evaluate("window.hacked"), undefined);
  assert.deepEqual(opened.complaints, []);
});
