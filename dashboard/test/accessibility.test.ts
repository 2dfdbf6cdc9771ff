/** What axe-core finds on every screen, in both themes and at the width of a phone. */
import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { createRequire } from "node:module";
import { test } from "node:test";
import type { Page } from "playwright-core";
import { openApp, whyNoBrowser } from "./testing/open-app.ts";

const skip: string | false = whyNoBrowser() ?? false;
const axe = readFileSync(createRequire(import.meta.url).resolve("axe-core/axe.min.js"), "utf8");

test("nothing serious is in the way of keyboards and screen readers", {
  timeout: 240_000,
  skip,
}, async () => {
  await using app = await openApp();
  const { request_id: id } = await app.call("/queue/test/studio", { json: { prompt: "a fox" } });
  const paths = [
    "/",
    "/models/test/studio",
    "/models/test/studio/api",
    "/app/requests",
    `/app/requests/${id}`,
  ];
  for (const [theme, width] of [
    ["light", 1280],
    ["dark", 390],
  ] as const) {
    await using opened = await app.openPage({ theme, width });
    const { page } = opened;
    for (const path of [
      ...paths,
      "/app/compare/test/studio",
      "/app/files",
      "/app/usage",
      "/app/queues",
      "/app/webhooks",
      "/app/keys",
    ]) {
      await page.goto(app.url + path);
      await page.getByRole("heading", { level: 1 }).waitFor();
      await page.getByText("Loading …").waitFor({ state: "detached" });
      assert.deepEqual(await findProblems(page), [], `${path} in ${theme}`);
      const overflow = await page.evaluate("document.documentElement.scrollWidth - innerWidth");
      assert.ok(Number(overflow) <= 0, `${path} is ${overflow} px wider than ${width}`);
    }
    await page.goto(`${app.url}/models/test/studio`);
    await page.getByRole("textbox", { name: "Steps" }).fill("500");
    await page.getByRole("button", { name: "Run", exact: true }).click();
    await page.locator(".run-failed").waitFor();
    assert.deepEqual(await findProblems(page), [], `a refusal in ${theme}`);
    await page.getByRole("button", { name: "Sign out" }).click();
    await page.getByRole("banner").getByRole("button", { name: "Sign in" }).click();
    assert.deepEqual(await findProblems(page), [], `the sign-in dialog in ${theme}`);
  }
});

test("a run needs no mouse", { timeout: 60_000, skip }, async () => {
  await using app = await openApp();
  await using opened = await app.openPage({ path: "/models/test/studio" });
  const { page } = opened;
  await page.getByLabel("Prompt").focus();
  await page.keyboard.press("Control+Enter");
  await page.locator(".run-done").waitFor();
});

async function findProblems(page: Page): Promise<readonly string[]> {
  await page.evaluate(axe);
  const found = (await page.evaluate(
    "axe.run(document, { runOnly: ['wcag2a', 'wcag2aa', 'wcag21a', 'wcag21aa', 'best-practice'] })",
  )) as {
    violations: { id: string; impact: string; nodes: { html: string; failureSummary: string }[] }[];
  };
  return found.violations
    .filter(({ impact }) => impact === "serious" || impact === "critical")
    .map(({ id, nodes }) => `${id}: ${nodes[0]?.html} ${nodes[0]?.failureSummary}`);
}
