/** Every page at three widths in both themes, written to `dashboard/screenshots/` to be looked at. */
import assert from "node:assert/strict";
import { mkdir } from "node:fs/promises";
import { test } from "node:test";
import { fileURLToPath } from "node:url";
import { openApp, whyNoBrowser } from "./testing/open-app.ts";

const skip: string | false = whyNoBrowser() ?? false;
const folder = fileURLToPath(new URL("../screenshots", import.meta.url));
const WIDTHS = [390, 820, 1440];

test("no page is wider than its window, at three widths and in both themes", {
  timeout: 240_000,
  skip,
}, async () => {
  await using app = await openApp();
  await mkdir(folder, { recursive: true });
  const input = { prompt: "a fox in the snow, seen from far away", steps: 12 };
  const done = await fetch(`${app.url}/run/test/studio`, {
    method: "POST",
    headers: { authorization: `Key ${app.key}` },
    body: JSON.stringify(input),
  });
  assert.equal(done.status, 200);
  await app.call("/queue/test/studio", { json: { prompt: "" } });
  const queued = await app.call("/queue/test/studio", { json: { ...input, prompt: "log 60 lines" } });
  const limits = { concurrency: 2, requests_per_day: 1000 };
  await app.call("/v1/sluice/keys", { json: { alias: "my app", limits } });
  const pages: readonly (readonly [name: string, path: string])[] = [
    ["gallery", "/"],
    ["playground", "/models/test/studio"],
    ["api", "/models/test/studio/api"],
    ["compare", "/app/compare/test/studio"],
    ["requests", "/app/requests"],
    ["request", `/app/requests/${queued.request_id}`],
    ["files", "/app/files"],
    ["keys", "/app/keys"],
    ["usage", "/app/usage"],
    ["queues", "/app/queues"],
    ["webhooks", "/app/webhooks"],
  ];
  await using opened = await app.openPage();
  const { page } = opened;
  for (const [name, path] of pages) {
    await page.goto(app.url + path);
    await page.getByRole("heading", { level: 1 }).waitFor();
    if (name === "playground") {
      await page.getByRole("button", { name: "Run", exact: true }).click();
      await page.locator(".run-done").waitFor();
    }
    if (name === "request") await page.locator(".state-succeeded").waitFor();
    if (name === "files") await page.locator(".tile").first().waitFor();
    for (const width of WIDTHS) {
      await page.setViewportSize({ width, height: 900 });
      for (const colorScheme of ["light", "dark"] as const) {
        await page.emulateMedia({ colorScheme, reducedMotion: "reduce" });
        await page.screenshot({ path: `${folder}/${name}-${width}-${colorScheme}.png`, fullPage: true });
      }
      const over = Number(await page.evaluate("document.documentElement.scrollWidth - innerWidth"));
      assert.ok(over <= 0, `${path} is ${over} px wider than ${width}`);
    }
  }
  assert.deepEqual(opened.complaints, []);
});
