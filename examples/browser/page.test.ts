/** The example as a person uses it: a real server with the shipped models, the page's own server, a real browser. */
import assert from "node:assert/strict";
import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { existsSync } from "node:fs";
import { mkdtemp, readFile, rm } from "node:fs/promises";
import { get, type IncomingMessage } from "node:http";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, test } from "node:test";
import { fileURLToPath } from "node:url";
import { SHIPPED_MODEL_FILES } from "@sluice/models";
import { openServer, parseSettings, silentLogger } from "@sluice/server";
import { type Browser, chromium, type Page, type Request } from "playwright-core";
import sharp from "sharp";

const CHROMIUM = process.env["SLUICE_CHROMIUM"] ?? "/usr/bin/chromium";
const skip: string | false =
  !existsSync(CHROMIUM) && `There is no ${CHROMIUM}: apt-get install chromium, or set SLUICE_CHROMIUM`;
if (skip && process.env["SLUICE_REQUIRE_ALL"]) throw new Error(skip);
const timeout = 120_000;

const opened = new AsyncDisposableStack();
let browser: Browser;
let pageUrl = "";
let apiUrl = "";
let secret = "";

before(async () => {
  if (skip) return;
  const data = await mkdtemp(join(tmpdir(), "sluice-browser-"));
  opened.defer(() => rm(data, { recursive: true, force: true }));
  const server = opened.use(
    await openServer({
      settings: parseSettings({ SLUICE_PORT: "0", SLUICE_DATA: data, SLUICE_MIN_FREE: "0" }),
      modelFiles: SHIPPED_MODEL_FILES,
      logger: silentLogger,
      version: "0.0.0-test",
    }),
  );
  const key = (await readFile(join(data, "first-key"), "utf8")).trim();
  apiUrl = server.url;
  secret = key.slice(key.indexOf(":") + 1);
  const child = spawn(
    process.execPath,
    [fileURLToPath(new URL("server.ts", import.meta.url)), "--port", "0"],
    { stdio: ["ignore", "pipe", "inherit"], env: { ...process.env, SLUICE_URL: apiUrl, FAL_KEY: key } },
  );
  opened.defer(() => end(child));
  pageUrl = await readUrl(child);
  browser = await chromium.launch({
    executablePath: CHROMIUM,
    args: ["--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage"],
  });
  opened.defer(() => browser.close());
});
after(() => opened.disposeAsync());

interface Visit extends AsyncDisposable {
  readonly page: Page;
  readonly requests: Request[];
  /** Errors of the page, its policy's included. */
  readonly complaints: string[];
  /** Everything that came to the browser as text. */
  readText(): Promise<string>;
}

async function visit(): Promise<Visit> {
  const context = await browser.newContext({ viewport: { width: 1000, height: 900 } });
  const page = await context.newPage();
  page.setDefaultTimeout(60_000);
  const requests: Request[] = [];
  const complaints: string[] = [];
  page.on("request", (request) => requests.push(request));
  page.on("pageerror", (error) => complaints.push(error.message));
  page.on("console", (message) => {
    if (message.type() === "error" && !message.text().startsWith("Failed to load resource"))
      complaints.push(message.text());
  });
  await page.goto(pageUrl);
  return {
    page,
    requests,
    complaints,
    async readText() {
      const texts = requests.map(async (request) => {
        const response = await request.response();
        return (await response?.text().catch(() => "")) ?? "";
      });
      return (await Promise.all(texts)).join("\n");
    },
    [Symbol.asyncDispose]: () => context.close(),
  };
}

const isShown = (page: Page): Promise<boolean> =>
  page.locator("#picture").evaluate((image: HTMLImageElement) => image.complete && image.naturalWidth > 0);

test("a prompt becomes a picture, and no key is anywhere in the browser", { timeout, skip }, async () => {
  await using visited = await visit();
  const { page, requests, complaints } = visited;
  await page.getByRole("button", { name: "Make picture" }).click();
  await page.getByText(/^Done in/).waitFor();
  assert.ok(await isShown(page));
  assert.match((await page.locator("#caption").textContent()) ?? "", /^1024 × 768 · request [0-9a-f-]{36}$/);
  for (const request of requests) {
    assert.equal(request.headers()["authorization"], undefined, request.url());
    assert.ok(!JSON.stringify(request.headers()).includes(secret));
    const { origin, pathname } = new URL(request.url());
    assert.ok(origin === pageUrl || (origin === apiUrl && pathname.startsWith("/cdn/")), request.url());
  }
  const text = await visited.readText();
  assert.ok(text.includes("api/fal/proxy"), "the page's program is among what was read");
  assert.ok(!text.includes(secret));
  assert.deepEqual(complaints, []);
});

test("a file of one's own goes straight to the API and comes back enlarged", { timeout, skip }, async () => {
  await using visited = await visit();
  const { page, requests, complaints } = visited;
  const buffer = await sharp({ create: { width: 24, height: 16, channels: 3, background: "#2266cc" } })
    .png()
    .toBuffer();
  await page.getByLabel("Enlarge one of yours").setInputFiles({
    name: "blue.png",
    mimeType: "image/png",
    buffer,
  });
  await page.getByText(/^Done in/).waitFor();
  assert.ok(await isShown(page));
  assert.match((await page.locator("#caption").textContent()) ?? "", /^48 × 32 /);
  const put = requests.find((request) => request.method() === "PUT");
  assert.ok(put?.url().startsWith(`${apiUrl}/cdn/uploads/`), put?.url());
  assert.deepEqual(complaints, []);
});

test("what is wrong with an input is said beside its field's name", { timeout, skip }, async () => {
  await using visited = await visit();
  const { page } = visited;
  // A choice that the page does not offer.
  await page
    .locator("#shape option")
    .first()
    .evaluate((option: HTMLOptionElement) => {
      option.value = "as large as a house";
    });
  await page.getByRole("button", { name: "Make picture" }).click();
  const status = page.locator("#status.bad");
  await status.waitFor();
  assert.match((await status.textContent()) ?? "", /^image_size\b.*: /);
});

test("Stop ends the call and cancels the request on the server", { timeout, skip }, async () => {
  await using visited = await visit();
  const { page } = visited;
  // The wait for the status never gets an answer: whatever the model does, the page is still waiting.
  await page.route("**/api/fal/proxy", (route) =>
    route.request().method() === "GET" ? undefined : route.continue(),
  );
  await page.getByRole("button", { name: "Make picture" }).click();
  await page.waitForRequest((request) => request.method() === "GET" && request.url().endsWith("/proxy"));
  const cancelled = page.waitForResponse((response) => response.request().method() === "PUT");
  await page.getByRole("button", { name: "Stop" }).click();
  await page.getByText("Stopped.").waitFor();
  const target = (await cancelled).request().headers()["x-fal-target-url"];
  assert.match(target ?? "", /\/requests\/[0-9a-f-]{36}\/cancel$/);
  assert.ok([200, 202, 400].includes((await cancelled).status()), "cancelled, or done already");
  assert.ok(await page.getByRole("button", { name: "Make picture" }).isVisible());
});

test("the page's server passes on calls of the listed endpoints only", { timeout, skip }, async () => {
  await using visited = await visit();
  const statuses = await visited.page.evaluate(async () => {
    const call = async (target: string): Promise<number> => {
      const headers = { "x-fal-target-url": target, "content-type": "application/json" };
      const response = await fetch("/api/fal/proxy", { method: "POST", headers, body: "{}" });
      return response.status;
    };
    return [
      await call("https://queue.fal.run/fal-ai/flux/dev"),
      await call("https://example.org/fal-ai/flux-pro"),
      await call("https://rest.fal.ai/tokens/"),
    ];
  });
  assert.deepEqual(statuses, [400, 400, 400]);
});

test("no path that a caller sends ends the page's server", { timeout, skip }, async () => {
  const { port } = new URL(pageUrl);
  for (const path of ["//", "/\\\\", "*", "/%"]) {
    const response = await new Promise<IncomingMessage>((resolve, reject) => {
      get({ host: "127.0.0.1", port, path }, resolve).on("error", reject);
    });
    response.resume();
    assert.equal(response.statusCode, 404, path);
  }
  assert.equal((await fetch(pageUrl)).status, 200);
});

async function readUrl(child: ChildProcess): Promise<string> {
  let text = "";
  for await (const chunk of child.stdout ?? []) {
    text += String(chunk);
    const url = /listening on (\S+)/.exec(text)?.[1];
    if (url !== undefined) return url;
  }
  throw new Error(`the page's server ended: ${text}`);
}

async function end(child: ChildProcess): Promise<void> {
  if (child.exitCode !== null) return;
  child.kill();
  await once(child, "exit");
}
