import assert from "node:assert/strict";
import { existsSync } from "node:fs";
import { type Browser, chromium, type Page } from "playwright-core";
import { buildDashboard } from "../../../scripts/build-dashboard.ts";
import { openTestServer, type TestServer } from "./open-server.ts";

/** A real server with the built app and the fixture model, and a real browser. */
export interface TestApp extends TestServer {
  /** A page of its own (cookies, storage); signed in unless told otherwise. */
  openPage(options?: PageOptions): Promise<TestPage>;
  /** Calls the server as a program does. */
  call(path: string, options?: { readonly method?: string; readonly json?: unknown }): Promise<Answer>;
}

export interface PageOptions {
  readonly path?: string;
  readonly isSignedIn?: boolean;
  /** Signs in with it; default: the operator's. */
  readonly key?: string;
  readonly theme?: "light" | "dark";
  readonly width?: number;
}

export interface TestPage extends AsyncDisposable {
  readonly page: Page;
  /** What should not happen in any test: errors in the page, refusals by the policy, requests to elsewhere. */
  readonly complaints: string[];
}

// biome-ignore lint/suspicious/noExplicitAny: answers are read by path
type Answer = any;

const CHROMIUM = process.env["SLUICE_CHROMIUM"] ?? "/usr/bin/chromium";

/** Why the suite cannot run here; undefined when it can. Under `SLUICE_REQUIRE_ALL` it must. */
export function whyNoBrowser(): string | undefined {
  if (existsSync(CHROMIUM)) return undefined;
  const reason = `There is no ${CHROMIUM}: apt-get install chromium, or set SLUICE_CHROMIUM`;
  if (process.env["SLUICE_REQUIRE_ALL"]) throw new Error(reason);
  return reason;
}

export async function openApp(): Promise<TestApp> {
  buildDashboard();
  await using opened = new AsyncDisposableStack();
  const server = opened.use(await openTestServer());
  const { key } = server;
  const browser = await launchBrowser();
  opened.defer(() => browser.close());
  const held = opened.move();
  return {
    url: server.url,
    key,
    openPage: (options = {}) => openPage(browser, { url: server.url, key, ...options }),
    async call(path, options = {}) {
      const response = await fetch(server.url + path, {
        method: options.method ?? (options.json === undefined ? "GET" : "POST"),
        headers: { authorization: `Key ${key}` },
        ...(options.json === undefined ? {} : { body: JSON.stringify(options.json) }),
      });
      const text = await response.text();
      return text === "" ? undefined : JSON.parse(text);
    },
    [Symbol.asyncDispose]: () => held.disposeAsync(),
  };
}

export async function launchBrowser(): Promise<Browser> {
  return await chromium.launch({
    executablePath: CHROMIUM,
    args: ["--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage"],
  });
}

export async function openPage(
  browser: Browser,
  options: PageOptions & { readonly url: string; readonly key: string },
): Promise<TestPage> {
  const { url, key, path = "/", isSignedIn = true, theme = "light", width = 1280 } = options;
  const context = await browser.newContext({
    viewport: { width, height: 900 },
    colorScheme: theme,
    permissions: ["clipboard-read", "clipboard-write"],
  });
  const page = await context.newPage();
  page.setDefaultTimeout(15_000);
  const complaints: string[] = [];
  page.on("pageerror", (error) => complaints.push(`error: ${error.message}`));
  page.on("dialog", (dialog) => complaints.push(`dialog: ${dialog.message()}`));
  page.on("console", (message) => {
    // Chromium also logs each answer of 4xx; which ones come is the tests' business.
    if (message.type() === "error" && !message.text().startsWith("Failed to load resource"))
      complaints.push(`console: ${message.text()}`);
  });
  page.on("request", (request) => {
    if (!request.url().startsWith(url) && !request.url().startsWith("data:"))
      complaints.push(`request to elsewhere: ${request.url()}`);
  });
  await page.goto(url + (isSignedIn ? "/" : path));
  if (isSignedIn) {
    await signIn(page, key);
    if (path !== "/") await page.goto(url + path);
  }
  return { page, complaints, [Symbol.asyncDispose]: () => context.close() };
}

/** Nothing went wrong in the page, and nothing that a model or a caller wrote was taken for HTML. */
export async function assertQuiet({ page, complaints }: TestPage): Promise<void> {
  assert.deepEqual(complaints, []);
  assert.equal(await page.evaluate("window.hacked"), undefined);
}

/** Signs in as a person does. */
export async function signIn(page: Page, key: string): Promise<void> {
  await page.getByRole("banner").getByRole("button", { name: "Sign in" }).click();
  const dialog = page.getByRole("dialog", { name: "Sign in" });
  await dialog.getByLabel("Key").fill(key);
  await dialog.getByRole("button", { name: "Sign in" }).click();
  await page.getByRole("button", { name: "Sign out" }).waitFor();
}
