/** The server goes away under an open page and comes back. */
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { buildDashboard } from "../../scripts/build-dashboard.ts";
import { launchBrowser, openPage, whyNoBrowser } from "./testing/open-app.ts";
import { openTestServer } from "./testing/open-server.ts";

const skip: string | false = whyNoBrowser() ?? false;

test("a request outlives its server, and the open page follows it to its end", {
  timeout: 120_000,
  skip,
}, async (context) => {
  buildDashboard();
  const data = await mkdtemp(join(tmpdir(), "sluice-dashboard-"));
  context.after(() => rm(data, { recursive: true, force: true }));
  const browser = await launchBrowser();
  context.after(() => browser.close());
  let server = await openTestServer({ data });
  context.after(() => server[Symbol.asyncDispose]());
  const { port } = new URL(server.url);
  const { page } = await openPage(browser, { url: server.url, key: server.key, path: "/models/test/studio" });
  page.setDefaultTimeout(40_000);
  await page.getByRole("textbox", { name: "Steps" }).fill("50");
  await page.getByRole("button", { name: "Run", exact: true }).click();
  await page
    .getByText(/step \d+ of 50/)
    .first()
    .waitFor();
  await server[Symbol.asyncDispose]();
  await page.getByText("The connection was lost; trying again.").waitFor();
  server = await openTestServer({ data, port });
  await page.getByText("The connection was lost").waitFor({ state: "detached" });
  await page.locator(".run-done").waitFor();
  await page.getByRole("img", { name: "Result 1" }).waitFor();
  // The session holds too: its signing key is in the data folder.
  await page.getByRole("link", { name: "Request details" }).click();
  await page.locator(".timeline").getByText("ended").waitFor();
});
