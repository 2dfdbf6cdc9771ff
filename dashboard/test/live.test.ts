/** The one connection by which a tab is kept up to date. */
import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import type { Request } from "playwright-core";
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

test("all that a tab follows comes over one connection", { timeout, skip }, async () => {
  await using opened = await app.openPage();
  const { page } = opened;
  const open = new Set<Request>();
  let most = 0;
  page.on("request", (request) => {
    if (!/\/v1\/sluice\/events(\?|$)|\/stream/.test(request.url())) return;
    open.add(request);
    most = Math.max(most, open.size);
  });
  const onEnd = (request: Request): void => void open.delete(request);
  page.on("requestfinished", onEnd);
  page.on("requestfailed", onEnd);
  await page.goto(`${app.url}/app/compare/test/studio`);
  await page.getByLabel("Values, one on a line").fill("1\n2\n3\n4\n5\n6");
  await page.getByRole("button", { name: "Run all" }).click();
  for (const seed of [1, 6])
    await page
      .getByRole("listitem", { name: `seed ${seed}` })
      .getByRole("img", { name: "Result 1" })
      .waitFor();
  await page.getByRole("navigation", { name: "Main" }).getByRole("link", { name: "Requests" }).click();
  await page.getByRole("row").nth(6).waitFor();
  const made = await app.call("/queue/test/studio", { json: { prompt: "from elsewhere", steps: 1 } });
  await page
    .getByRole("row", { name: new RegExp(made.request_id) })
    .getByText("succeeded")
    .waitFor();
  assert.equal(most, 1);
  assert.deepEqual(opened.complaints, []);
});
