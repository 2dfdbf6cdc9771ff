/**
 * How fast is the web app? The first load of a playground in headless Chromium (nothing cached), and scrolling through
 * 10,000 log lines.
 *
 *     node bench/web-app.ts [--rounds 5]
 */
import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { parseArgs } from "node:util";
import { type Browser, chromium, type Page } from "playwright-core";
import { openServer } from "../server/src/index.ts";
import { silentLogger } from "../server/src/logger.ts";
import { parseSettings } from "../server/src/settings.ts";
import { describeLoad, type Figure, print, printFigures, printHeader } from "./measuring/report.ts";
import { getPercentile, getSpread } from "./measuring/statistics.ts";
import { makeTemporaryFolder } from "./measuring/temporary-folder.ts";

const { values } = parseArgs({ options: { rounds: { type: "string", default: "5" } } });
const rounds = Number(values.rounds);
const LINES = 10_000;
const MODEL = "/models/bench/chatty";

printHeader("The web app in headless Chromium");
await using folder = await makeTemporaryFolder();
await using server = await openServer({
  settings: parseSettings({ SLUICE_PORT: "0", SLUICE_DATA: folder.path, SLUICE_MIN_FREE: "0" }),
  modelFiles: [fileURLToPath(new URL("models/chatty.ts", import.meta.url))],
  logger: silentLogger,
  version: "0.0.0-bench",
  appFolder: fileURLToPath(new URL("../dashboard/dist", import.meta.url)),
});
const key = (await readFile(join(folder.path, "first-key"), "utf8")).trim();
const browser = await chromium.launch({
  executablePath: process.env["SLUICE_CHROMIUM"] ?? "/usr/bin/chromium",
  args: ["--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage"],
});
try {
  printFigures([...(await measureFirstLoad(browser)), ...(await measureScrolling(browser))]);
  print(`${describeLoad()} at the end`);
} finally {
  await browser.close();
}

async function measureFirstLoad(browser: Browser): Promise<readonly Figure[]> {
  const painted: number[] = [];
  const interactive: number[] = [];
  let script = 0;
  for (let round = 0; round < rounds; round++) {
    const context = await browser.newContext();
    const page = await context.newPage();
    const startedAt = performance.now();
    await page.goto(server.url + MODEL);
    const prompt = page.getByLabel("Prompt");
    await prompt.fill("typed");
    interactive.push(performance.now() - startedAt);
    painted.push(
      Number(await page.evaluate("performance.getEntriesByName('first-contentful-paint')[0].startTime")),
    );
    script = Number(
      await page.evaluate(
        "performance.getEntriesByType('resource').filter((e) => e.name.endsWith('.js')).reduce((n, e) => n + e.transferSize, 0)",
      ),
    );
    await context.close();
  }
  return [
    { name: "playground: first contentful paint", unit: "ms", ...getSpread(painted) },
    { name: "playground: until its prompt takes text", unit: "ms", ...getSpread(interactive) },
    { name: "playground: script over the wire", unit: "kB", ...getSpread([script / 1000]) },
  ];
}

async function measureScrolling(browser: Browser): Promise<readonly Figure[]> {
  const made = (await (
    await fetch(`${server.url}/queue/bench/chatty`, {
      method: "POST",
      headers: { authorization: `Key ${key}` },
      body: JSON.stringify({ prompt: "x", lines: LINES }),
    })
  ).json()) as { readonly request_id: string };
  const page = await browser.newPage({ viewport: { width: 1280, height: 900 } });
  await signIn(page);
  await page.goto(`${server.url}/app/requests/${made.request_id}`);
  await page.locator(".state-succeeded").waitFor();
  await page.getByText(`${LINES.toLocaleString("en")} lines`).waitFor();
  const still = await measureFrames(page, 0);
  const moving = await measureFrames(page, 400);
  const drawn = await page.locator(".log").count();
  return [
    { name: "a frame while nothing moves", unit: "ms", ...getSpread(still) },
    { name: "a frame while the log scrolls", unit: "ms", ...getSpread(moving) },
    { name: "the same, 95th percentile", unit: "ms", ...getSpread([getPercentile(moving, 0.95)]) },
    { name: "lines drawn of 10,000", unit: "", ...getSpread([drawn]) },
  ];
}

/** Times of 240 frames while the log moves by so many pixels with each. */
async function measureFrames(page: Page, step: number): Promise<readonly number[]> {
  const times = await page.evaluate(`new Promise((resolve) => {
    const log = document.querySelector(".logs");
    const times = [];
    let before;
    log.scrollTo(0, 0);
    const next = (now) => {
      if (before !== undefined) times.push(now - before);
      before = now;
      log.scrollBy(0, ${step});
      if (times.length < 240) requestAnimationFrame(next);
      else resolve(times);
    };
    requestAnimationFrame(next);
  })`);
  return times as readonly number[];
}

async function signIn(page: Page): Promise<void> {
  await page.goto(server.url);
  await page.getByRole("banner").getByRole("button", { name: "Sign in" }).click();
  const dialog = page.getByRole("dialog", { name: "Sign in" });
  await dialog.getByLabel("Key").fill(key);
  await dialog.getByRole("button", { name: "Sign in" }).click();
  await page.getByRole("button", { name: "Sign out" }).waitFor();
}
