/**
 * Do 10,000 log lines scroll smoothly? Times of frames in headless Chromium, on the page of a request that wrote them.
 *
 *     node bench/log-scrolling.ts
 */
import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { type Browser, chromium, type Page } from "playwright-core";
import { openServer } from "../server/src/index.ts";
import { silentLogger } from "../server/src/logger.ts";
import { parseSettings } from "../server/src/settings.ts";
import { describeLoad, type Figure, print, printFigures, printHeader } from "./measuring/report.ts";
import { getPercentile, getSpread } from "./measuring/statistics.ts";
import { makeTemporaryFolder } from "./measuring/temporary-folder.ts";

const LINES = 10_000;

printHeader("Scrolling through 10,000 log lines in headless Chromium");
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
  printFigures(await measureScrolling(browser));
  print(`${describeLoad()} at the end`);
} finally {
  await browser.close();
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
