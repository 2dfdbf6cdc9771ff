/**
 * `node scripts/screenshots.ts [--all FOLDER]`: starts a server with the shipped models, has it make pictures, and takes
 * the pictures of the web app that the docs show (gallery, playground with a result, detail of a request) into
 * `docs/images/`. With `--all`, every page at three widths in both themes into FOLDER instead, to be looked at.
 */
import { mkdir, mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { fileURLToPath } from "node:url";
import { parseArgs } from "node:util";
import { SHIPPED_MODEL_FILES } from "@sluice/models";
import { openServer, parseSettings, silentLogger } from "@sluice/server";
import { type Browser, chromium, type Page } from "playwright-core";
import sharp from "sharp";
import { createClientTarball } from "../cli/src/client-package/client-tarball.ts";
import { buildDashboard } from "./build-dashboard.ts";

const { values } = parseArgs({ options: { all: { type: "string" } } });
const root = fileURLToPath(new URL("..", import.meta.url));
const MODEL = "fal-ai/flux-pro";
/** What the embedded model draws best: the first in the playground, all of them in the gallery. */
const PROMPTS: readonly (readonly [endpointId: string, prompt: string])[] = [
  ["fal-ai/flux-pro/v1.1", "an owl at night"],
  ["fal-ai/flux/dev", "a purple octopus underwater"],
  ["fal-ai/flux/schnell", "a rocket in space"],
  [MODEL, "a castle at sunset"],
];
/** The embedded model takes some seconds for a picture, and makes one for each endpoint of the gallery first. */
const PATIENCE_MS = 240_000;

buildDashboard();
await using held = new AsyncDisposableStack();
const data = await mkdtemp(join(tmpdir(), "sluice-screenshots-"));
held.defer(() => rm(data, { recursive: true, force: true }));
const server = held.use(
  await openServer({
    settings: parseSettings({ SLUICE_PORT: "0", SLUICE_DATA: data, SLUICE_MIN_FREE: "0" }),
    modelFiles: SHIPPED_MODEL_FILES,
    logger: silentLogger,
    version: "0.1.0",
    createClientTarball,
    appFolder: join(root, "dashboard/dist"),
  }),
);
const key = (await readFile(join(data, "first-key"), "utf8")).trim();
const browser = await chromium.launch({
  executablePath: process.env["SLUICE_CHROMIUM"] ?? "/usr/bin/chromium",
  args: ["--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage"],
});
held.defer(() => browser.close());

for (const [endpointId, prompt] of PROMPTS.filter(([id]) => id !== MODEL)) {
  const headers = { authorization: `Key ${key}` };
  const body = JSON.stringify({ prompt });
  const answer = await fetch(`${server.url}/run/${endpointId}`, { method: "POST", headers, body });
  if (!answer.ok) throw new Error(`${endpointId} answered ${answer.status}: ${await answer.text()}`);
}
const page = await openPage(browser, 1280, "light");
await page.goto(`${server.url}/models/${MODEL}`);
await page.getByLabel("Prompt").fill(PROMPTS.at(-1)?.[1] ?? "");
await page.getByRole("button", { name: "Run", exact: true }).click();
await page.locator(".run-done").waitFor({ timeout: PATIENCE_MS });
await page.getByRole("img", { name: "Result 1" }).waitFor();
const requestPath = await page.getByRole("link", { name: "Request details" }).getAttribute("href");
const detail = server.url + (requestPath ?? "");
if (values.all === undefined) await takeThree(page);
else await takeAll(resolve(values.all));

async function takeThree(shown: Page): Promise<void> {
  const folder = join(root, "docs/images");
  await save(shown, join(folder, "playground.webp"));
  await shown.goto(`${server.url}/`);
  await waitForSamples(shown);
  await save(shown, join(folder, "gallery.webp"));
  await shown.goto(detail);
  await shown.getByRole("img", { name: "Result 1" }).waitFor();
  await save(shown, join(folder, "request.webp"));
}

async function takeAll(folder: string): Promise<void> {
  await mkdir(folder, { recursive: true });
  await page.goto(`${server.url}/`);
  await waitForSamples(page);
  const paths = [
    "/",
    `/models/${MODEL}`,
    `/models/${MODEL}/api`,
    `/app/compare/${MODEL}`,
    ...["requests", "files", "usage", "queues", "webhooks", "keys"].map((name) => `/app/${name}`),
    new URL(detail).pathname,
  ];
  for (const theme of ["light", "dark"] as const)
    for (const width of [1280, 820, 390]) {
      const shown = await openPage(browser, width, theme);
      for (const path of paths) {
        await shown.goto(server.url + path);
        await shown.getByRole("heading", { level: 1 }).waitFor();
        await shown.waitForTimeout(700);
        const name = path === "/" ? "gallery" : path.slice(1).replaceAll("/", "-").slice(0, 40);
        const png = await shown.screenshot({ fullPage: true });
        await writeFile(join(folder, `${name}-${width}-${theme}.png`), png);
      }
      await shown.context().close();
    }
}

async function waitForSamples(shown: Page): Promise<void> {
  await shown.locator(".card").first().waitFor();
  for (const card of await shown.locator(".card").all())
    await card.locator("img").waitFor({ timeout: PATIENCE_MS });
  // The page's policy forbids what waitForFunction does.
  while (!(await shown.evaluate("[...document.images].every(({ complete }) => complete)")))
    await shown.waitForTimeout(100);
}

async function save(shown: Page, path: string): Promise<void> {
  // What follows the pointer and the focus is not part of the picture.
  await shown.mouse.move(0, 0);
  await shown.waitForTimeout(500);
  const webp = await sharp(await shown.screenshot())
    .resize(1280)
    .webp({ quality: 82 })
    .toBuffer();
  await writeFile(path, webp);
  process.stdout.write(`${path} ${Math.round(webp.byteLength / 1024)} KiB\n`);
}

async function openPage(from: Browser, width: number, theme: "light" | "dark"): Promise<Page> {
  const context = await from.newContext({ viewport: { width, height: 900 }, colorScheme: theme });
  const opened = await context.newPage();
  await opened.goto(server.url);
  await opened.getByRole("banner").getByRole("button", { name: "Sign in" }).click();
  await opened.getByLabel("Key").fill(key);
  await opened.getByRole("dialog").getByRole("button", { name: "Sign in" }).click();
  await opened.getByRole("button", { name: "Sign out" }).waitFor();
  return opened;
}
