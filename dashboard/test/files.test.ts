/** The gallery of files: outputs and uploads, what is known of them and what can be done with them. */
import assert from "node:assert/strict";
import { readFile } from "node:fs/promises";
import { after, before, test } from "node:test";
import type { Page } from "playwright-core";
import { assertQuiet, openApp, type TestApp, type TestPage, whyNoBrowser } from "./testing/open-app.ts";

const timeout = 60_000;
const skip: string | false = whyNoBrowser() ?? false;
const EVIL_NAME = "<img src=x onerror=window.hacked=6>.txt";

let app: TestApp;
before(async () => {
  if (skip === false) app = await openApp();
});
after(async () => {
  if (skip === false) await app[Symbol.asyncDispose]();
});

/** Runs the fixture model and waits for its picture. @returns the id of the request */
async function makePicture(key?: string): Promise<string> {
  const headers = { authorization: `Key ${key ?? app.key}` };
  const response = await fetch(`${app.url}/run/test/studio`, {
    method: "POST",
    headers,
    body: JSON.stringify({ prompt: "a fox", steps: 1 }),
  });
  assert.equal(response.status, 200);
  return response.headers.get("x-fal-request-id") ?? "";
}

/** Uploads as the page does. */
async function upload(page: Page, name: string, mimeType: string, text: string): Promise<void> {
  await page.goto(`${app.url}/models/test/studio`);
  await page.getByTestId("field-image_url-file").setInputFiles({ name, mimeType, buffer: Buffer.from(text) });
  await page.getByText("uploaded.").waitFor();
}

async function countTiles({ page }: TestPage, count: number): Promise<void> {
  await page.locator(`.tiles:not(:has(.tile:nth-child(${count + 1}))) > .tile:nth-child(${count})`).waitFor();
}

test("files are found by name, kind, type, endpoint, age and expiry, and the address keeps the filter", {
  timeout,
  skip,
}, async () => {
  // A caller's own: the server makes samples of its models meanwhile, which are the operator's.
  const { key } = await app.call("/v1/keys", { json: { alias: "filters" } });
  await makePicture(key);
  await using opened = await app.openPage({ key });
  const { page } = opened;
  await upload(page, EVIL_NAME, "text/plain", "an uploaded text");
  await page.goto(`${app.url}/app/files`);
  await countTiles(opened, 2);
  const filters = page.getByRole("search", { name: "Filters" });
  await filters.getByLabel("Kind").selectOption("uploads");
  await countTiles(opened, 1);
  await page.getByText("<img src=x").first().waitFor();
  await page.reload();
  await countTiles(opened, 1);
  await filters.getByLabel("Kind").selectOption("all");
  await filters.getByLabel("Type").selectOption("pictures");
  await countTiles(opened, 1);
  await filters.getByLabel("Type").selectOption("all");
  await filters.getByLabel("Endpoint").selectOption("test/studio");
  await countTiles(opened, 1);
  await filters.getByLabel("Endpoint").selectOption("");
  await filters.getByLabel("Age").selectOption("older than 7 days");
  await page.getByText("No file is like that.").waitFor();
  await filters.getByLabel("Age").selectOption("any");
  await filters.getByLabel("Expiry").selectOption("within a day");
  await page.getByText("No file is like that.").waitFor();
  await filters.getByLabel("Expiry").selectOption("any");
  await filters.getByLabel("Name").fill("onerror");
  await countTiles(opened, 1);
  await filters.getByLabel("Name").fill("");
  await countTiles(opened, 2);
  await assertQuiet(opened);
});

test("a file leads to its request and to the form that takes it, gets an expiry, and is deleted", {
  timeout,
  skip,
}, async () => {
  const id = await makePicture();
  await using opened = await app.openPage({ path: `/app/files?request_id=${id}` });
  const { page } = opened;
  await countTiles(opened, 1);
  await page.locator(".tile-open").click();
  const view = page.getByRole("dialog");
  await view.getByText("kept for ever").waitFor();
  await view.getByLabel(/^Expiry of/).selectOption("expire in a week");
  await view.getByText("expires in 7 days").waitFor();
  await view.getByRole("link", { name: "test/studio" }).last().click();
  await page.waitForURL(/\/models\/test\/studio#input=/);
  assert.match(await page.getByRole("textbox", { name: "Image" }).inputValue(), /\/cdn\/files\//);
  await page.goBack();
  await page.locator(".tile-open").click();
  await view.getByRole("link", { name: id.slice(0, 8) }).click();
  await page.waitForURL(`${app.url}/app/requests/${id}`);
  const files = page.getByRole("region", { name: "Files" });
  await files.getByText("expires in 7 days").waitFor();
  await files.getByRole("link", { name: "Show in the gallery" }).click();
  await page.locator(".tile-open").click();
  await view.getByRole("button", { name: /^Delete/ }).click();
  await view.getByRole("button", { name: "Keep" }).click();
  await view.getByRole("button", { name: /^Delete/ }).click();
  await view.getByRole("button", { name: "Delete for good" }).click();
  await page.getByText("No file is like that.").waitFor();
  await assertQuiet(opened);
});

test("chosen files are downloaded as one ZIP, get an expiry together and are deleted together", {
  timeout,
  skip,
}, async () => {
  await using opened = await app.openPage();
  const { page } = opened;
  await upload(page, "one.txt", "text/plain", "the first text");
  await upload(page, "two.txt", "text/plain", "the second text");
  await page.goto(`${app.url}/app/files?q=.txt&kind=upload`);
  await page.getByRole("checkbox", { name: "Choose one.txt" }).check();
  await page.getByRole("checkbox", { name: "Choose two.txt" }).check();
  const chosen = page.getByRole("region", { name: "Chosen files" });
  await chosen.getByText("2 files, 29 bytes").waitFor();
  const downloading = page.waitForEvent("download");
  await chosen.getByRole("button", { name: "Download as ZIP" }).click();
  const download = await downloading;
  assert.match(download.suggestedFilename(), /^files-.*\.zip$/);
  const zip = await readFile(await download.path(), "latin1");
  for (const part of ["one.txt", "the first text", "two.txt", "the second text"])
    assert.ok(zip.includes(part));
  await chosen.getByLabel("Expiry of the chosen files").selectOption("expire in an hour");
  await page
    .getByRole("listitem")
    .filter({ hasText: "one.txt" })
    .getByText("expires in 1 h")
    .or(page.getByRole("listitem").filter({ hasText: "one.txt" }).getByText("expires in 60 min"))
    .waitFor();
  await chosen.getByRole("button", { name: "Delete the chosen files" }).click();
  await chosen.getByRole("button", { name: "Delete 2 files for good" }).click();
  await page.getByText("one.txt").waitFor({ state: "detached" });
  assert.equal(await page.getByText("two.txt").count(), 0);
  await assertQuiet(opened);
});

test("a key of scope API sees its own files only", { timeout, skip }, async () => {
  const { key } = await app.call("/v1/keys", { json: { alias: "own files" } });
  await makePicture();
  const id = await makePicture(key);
  await using opened = await app.openPage({ path: "/app/files", key });
  const { page } = opened;
  await countTiles(opened, 1);
  await page.locator(".tile-open").click();
  await page
    .getByRole("dialog")
    .getByRole("link", { name: id.slice(0, 8) })
    .waitFor();
  await assertQuiet(opened);
});
