/**
 * How long until one can work with the playground? Headless Chromium opens the page of `fal-ai/flux-pro` on a server with
 * the shipped models, with an empty cache each time: bytes of script over the wire, first paint of content, and when the
 * Run button is there and the page's thread is free (the end of the last task of more than 50 ms before that).
 *
 *     node bench/page-load.ts [--rounds 9]
 */
import { execFileSync } from "node:child_process";
import { fileURLToPath } from "node:url";
import { type Browser, chromium } from "playwright-core";
import { readNumbers } from "./measuring/read-numbers.ts";
import { print, printBudget, printConditions, printFigures, printHeader } from "./measuring/report.ts";
import { startSluice } from "./measuring/start-sluice.ts";
import { getSpread } from "./measuring/statistics.ts";
import { makeTemporaryFolder } from "./measuring/temporary-folder.ts";

const { rounds } = readNumbers({ rounds: 9 });
const PAGE = "/models/fal-ai/flux-pro";

interface Load {
  readonly scriptBytes: number;
  readonly allBytes: number;
  readonly requests: number;
  readonly paintMs: number;
  readonly interactiveMs: number;
}

printHeader("The playground's first load");
execFileSync(process.execPath, [fileURLToPath(new URL("../scripts/build-dashboard.ts", import.meta.url))]);
await using folder = await makeTemporaryFolder();
await using server = await startSluice({ dataFolder: folder.path, hasShippedModels: true, modelFiles: [] });
const browser = await chromium.launch({
  executablePath: process.env["SLUICE_CHROMIUM"] ?? "/usr/bin/chromium",
  args: ["--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage"],
});
const loads: Load[] = [];
try {
  // The first load makes the server compress its files, and Chromium start what it needs.
  await load(browser);
  for (let round = 0; round < rounds; round++) loads.push(await load(browser));
} finally {
  await browser.close();
}
printConditions(`${rounds} loads with an empty cache`);
const figure = (name: string, unit: string, read: (each: Load) => number) => ({
  name,
  unit,
  ...getSpread(loads.map(read)),
});
const figures = [
  figure("script over the wire", "kB", ({ scriptBytes }) => scriptBytes / 1000),
  figure("all over the wire", "kB", ({ allBytes }) => allBytes / 1000),
  figure("requests", "", ({ requests }) => requests),
  figure("first contentful paint", "ms", ({ paintMs }) => paintMs),
  figure("time to interactive", "ms", ({ interactiveMs }) => interactiveMs),
];
printFigures(figures);
print("");
printBudget("less than 200 kB of script", (figures[0]?.max ?? 0) < 200);
printBudget("interactive in less than 1 s", (figures[4]?.median ?? 0) < 1_000);

async function load(from: Browser): Promise<Load> {
  const context = await from.newContext({ viewport: { width: 1280, height: 900 } });
  try {
    const page = await context.newPage();
    const session = await context.newCDPSession(page);
    await session.send("Network.enable");
    const types = new Map<string, string>();
    let scriptBytes = 0;
    let allBytes = 0;
    session.on("Network.responseReceived", ({ requestId, type }) => types.set(requestId, type));
    session.on("Network.loadingFinished", ({ requestId, encodedDataLength }) => {
      allBytes += encodedDataLength;
      if (types.get(requestId) === "Script") scriptBytes += encodedDataLength;
    });
    await page.addInitScript(`(() => {
      window.longTasks = [];
      new PerformanceObserver((list) => {
        for (const { startTime, duration } of list.getEntries()) window.longTasks.push(startTime + duration);
      }).observe({ type: "longtask", buffered: true });
      const look = () => {
        if (document.querySelector('form[aria-label="Input"] button[type="submit"]') === null)
          requestAnimationFrame(look);
        else setTimeout(() => { window.usableAt = performance.now(); });
      };
      look();
    })()`);
    await page.goto(server.url + PAGE);
    // The page's policy forbids what waitForFunction does.
    while ((await page.evaluate("window.usableAt")) === undefined) await page.waitForTimeout(50);
    await page.waitForLoadState("networkidle");
    const times = (await page.evaluate(`({
      paint: performance.getEntriesByName("first-contentful-paint")[0]?.startTime ?? 0,
      usable: Math.max(window.usableAt, ...window.longTasks.filter((end) => end < window.usableAt + 50)),
    })`)) as { paint: number; usable: number };
    return {
      scriptBytes,
      allBytes,
      requests: types.size,
      paintMs: times.paint,
      interactiveMs: times.usable,
    };
  } finally {
    await context.close();
  }
}
