/** The web app as a person uses it: a real browser, a real server, a model that is quick and writes HTML. */
import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { assertQuiet, openApp, type TestApp, whyNoBrowser } from "./testing/open-app.ts";

const timeout = 60_000;
const skip: string | false = whyNoBrowser() ?? false;
const STUDIO = "/models/test/studio";

let app: TestApp;
before(async () => {
  if (skip === false) app = await openApp();
});
after(async () => {
  if (skip === false) await app[Symbol.asyncDispose]();
});

test("a key that is not known is refused where it was typed; a good one is not kept", {
  timeout,
  skip,
}, async () => {
  await using opened = await app.openPage({ isSignedIn: false });
  const { page } = opened;
  await page.getByRole("banner").getByRole("button", { name: "Sign in" }).click();
  const dialog = page.getByRole("dialog", { name: "Sign in" });
  await dialog.getByLabel("Key").fill("11111111-1111-4111-8111-111111111111:nothing");
  await dialog.getByRole("button", { name: "Sign in" }).click();
  await dialog.getByText("does not know that key").waitFor();
  await dialog.getByLabel("Key").fill(app.key);
  await dialog.getByRole("button", { name: "Sign in" }).click();
  await page.getByRole("button", { name: "Sign out" }).waitFor();
  const secret = app.key.slice(app.key.indexOf(":") + 1);
  const kept = await page.evaluate(
    "JSON.stringify([{ ...localStorage }, { ...sessionStorage }, document.cookie])",
  );
  assert.ok(!String(kept).includes(secret));
  const [cookie] = await page.context().cookies();
  assert.deepEqual([cookie?.httpOnly, cookie?.sameSite], [true, "Strict"]);
  await page.reload();
  await page.getByRole("button", { name: "Sign out" }).click();
  await page.goto(`${app.url}/app/requests`);
  await page.getByText("Sign in to see your requests.").waitFor();
  assert.deepEqual(await page.context().cookies(), []);
  await assertQuiet(opened);
});

test("the gallery says what answers, finds by words, and shows what the model made here", {
  timeout,
  skip,
}, async () => {
  await using opened = await app.openPage();
  const { page } = opened;
  const card = page.locator(".card");
  await card.getByText("answered by").waitFor();
  assert.equal(await card.count(), 1);
  await page.getByLabel("Search the models").fill("nothing like it");
  await page.getByText("Nothing is called").waitFor();
  await page.getByLabel("Search the models").fill("pixel");
  await card.getByRole("img", { name: "Made here from: a fox" }).waitFor();
  await assertQuiet(opened);
});

test("what the model warned of stands above its result, not only in the closed log", {
  timeout,
  skip,
}, async () => {
  await using opened = await app.openPage({ path: STUDIO });
  const { page } = opened;
  await page.getByLabel("Prompt").fill("an unknown <b>word</b>");
  await page.getByRole("button", { name: "Run", exact: true }).click();
  await page.locator(".run-done").waitFor();
  const warning = page.locator(".run .notice");
  assert.equal(await warning.textContent(), "words that were left out: an unknown <b>word</b>");
  assert.equal(await page.getByRole("log").isVisible(), false);
  await assertQuiet(opened);
});

test("a run shows its steps, its log and its result, and the code follows the form", {
  timeout,
  skip,
}, async () => {
  await using opened = await app.openPage({ path: STUDIO });
  const { page } = opened;
  await page.getByLabel("Prompt").fill(`a "quoted" fox's <b>den</b>`);
  await page.getByRole("textbox", { name: "Steps" }).fill("12");
  await page.getByLabel("Style").selectOption("<b>bold</b>");
  await page.getByLabel("Tiled").check();
  await page.getByRole("tab", { name: "cURL" }).click();
  const code = page.getByRole("tabpanel");
  assert.match((await code.textContent()) ?? "", /"steps": 12,\s+"style": "<b>bold<\/b>",\s+"tiled": true/);
  await page.getByRole("button", { name: "Run", exact: true }).click();
  await page
    .getByText(/step \d+ of 12/)
    .first()
    .waitFor();
  await page.getByRole("img", { name: "Preview 1" }).waitFor();
  await page.locator(".run-done").waitFor();
  await page.getByRole("img", { name: "Result 1" }).waitFor();
  assert.equal(await page.locator(".run .notice").count(), 0);
  await page.getByText("Log (12)").click();
  await page.getByRole("log").getByText("step 12 of").waitFor();
  // Only files of this server and of the web are offered as files.
  assert.equal(await page.locator(".result").count(), 1);
  assert.equal(await page.locator('a[href^="javascript"]').count(), 0);
  await page.getByRole("button", { name: "Zoom picture 1" }).click();
  await page.getByRole("dialog", { name: "Picture in full size" }).waitFor();
  await page.keyboard.press("Escape");
  await page.getByRole("button", { name: "Use as input" }).click();
  assert.match(await page.getByRole("textbox", { name: "Image" }).inputValue(), /\/cdn\//);
  await page.getByRole("button", { name: "Keep this seed" }).click();
  assert.match(await page.getByRole("textbox", { name: "Seed" }).inputValue(), /^\d+$/);
  await assertQuiet(opened);
});

test("fields stand in the order of the schema", { timeout, skip }, async () => {
  await using opened = await app.openPage({ path: STUDIO, isSignedIn: false });
  await opened.page.locator(".row-name").first().waitFor();
  assert.deepEqual(await opened.page.locator(".row-name").allTextContents(), [
    "prompt",
    "image_size",
    "steps",
    "seed",
    "style",
    "tiled",
    "image_url",
    "tags",
  ]);
});

test("one field is compared over several values, side by side", { timeout, skip }, async () => {
  await using opened = await app.openPage({ path: STUDIO });
  const { page } = opened;
  await page.getByLabel("Prompt").fill("a den");
  await page.getByRole("textbox", { name: "Steps" }).fill("2");
  await page.getByRole("form", { name: "Input" }).getByRole("link", { name: "Compare" }).click();
  await page.getByLabel("Values, one on a line").fill("7\n8\n9");
  await page.getByRole("button", { name: "Run all" }).click();
  for (const seed of [7, 8, 9]) {
    const cell = page.getByRole("listitem", { name: `seed ${seed}` });
    await cell.getByRole("img", { name: "Result 1" }).waitFor();
    assert.match((await cell.locator("pre").textContent()) ?? "", /"prompt": "a den"/);
  }
  await page.getByLabel("Values, one on a line").fill("1\n".repeat(17));
  assert.ok(await page.getByRole("button", { name: "Run all" }).isDisabled());
  await assertQuiet(opened);
});

test("two fields are compared against each other in rows and columns, so many at most", {
  timeout,
  skip,
}, async () => {
  await using opened = await app.openPage({ path: "/app/compare/test/studio" });
  const { page } = opened;
  await page.getByLabel("Values, one on a line").fill("7\n8\n9");
  await page.getByRole("combobox", { name: "Against" }).selectOption({ label: "Steps" });
  await page.getByLabel("Values against them").fill("1\n2\n3\n4\n5\n6");
  await page.getByText("18 requests; at most 16 at a time.").waitFor();
  assert.ok(await page.getByRole("button", { name: "Run all" }).isDisabled());
  await page.getByLabel("Values against them").fill("1\n2");
  await page.getByRole("button", { name: "Run all" }).click();
  const cells = page.locator(".cell");
  await cells.nth(5).waitFor();
  assert.deepEqual(
    await cells.evaluateAll((all) => all.map((cell) => cell.getAttribute("aria-label"))),
    [1, 2].flatMap((steps) => [7, 8, 9].map((seed) => `seed ${seed}, steps ${steps}`)),
  );
  for (const cell of await cells.all()) await cell.getByRole("img", { name: "Result 1" }).waitFor();
  const tops = await cells.evaluateAll((all) => all.map((cell) => cell.getBoundingClientRect().top));
  assert.equal(new Set(tops.slice(0, 3)).size, 1);
  assert.ok((tops[3] ?? 0) > (tops[2] ?? 0));
  await page.getByRole("combobox", { name: "Against" }).selectOption("nothing");
  await page.getByText("3 requests.").waitFor();
  await assertQuiet(opened);
});

test("a shared link restores the form", { timeout, skip }, async () => {
  await using opened = await app.openPage({ path: STUDIO, isSignedIn: false });
  const { page } = opened;
  await page.getByLabel("Prompt").fill("ein Fuchs im Schnee – ❄");
  await page.getByRole("combobox", { name: "Image Size" }).selectOption("custom");
  await page.getByLabel("Width in pixels").fill("33");
  await page.getByRole("button", { name: "Share a link with this input" }).click();
  const link = String(await page.evaluate("navigator.clipboard.readText()"));
  await page.goto("about:blank");
  await page.goto(link);
  assert.equal(await page.getByLabel("Prompt").inputValue(), "ein Fuchs im Schnee – ❄");
  assert.equal(await page.getByLabel("Width in pixels").inputValue(), "33");
  await page.goto(`${app.url}${STUDIO}#input=not-base64-json`);
  await page.reload();
  assert.equal(await page.getByLabel("Prompt").inputValue(), "a fox");
});

test("what the server refuses is said beside the field, and the field has the focus", {
  timeout,
  skip,
}, async () => {
  await using opened = await app.openPage({ path: STUDIO });
  const { page } = opened;
  await page.getByRole("textbox", { name: "Steps" }).fill("500");
  await page.getByLabel("Prompt").fill("");
  await page.getByRole("button", { name: "Run", exact: true }).click();
  await page.locator(".run-failed").waitFor();
  for (const [name, words] of [
    ["prompt", /at least 1/],
    ["steps", /less than or equal to 50/],
  ] as const) {
    const problem = page.locator(`#field-${name}-problem`);
    assert.match((await problem.textContent()) ?? "", words);
    const control = page.locator(`#field-${name}`);
    assert.equal(await control.getAttribute("aria-invalid"), "true");
    assert.match((await control.getAttribute("aria-describedby")) ?? "", new RegExp(`field-${name}-problem`));
  }
  assert.equal(await page.evaluate("document.activeElement.id"), "field-prompt");
  await assertQuiet(opened);
});

test("a file that is dropped is uploaded and becomes the field's value", { timeout, skip }, async () => {
  await using opened = await app.openPage({ path: STUDIO });
  const { page } = opened;
  await page.getByTestId("field-image_url-file").setInputFiles({
    name: `<img src=x onerror=window.hacked=4>.png`,
    mimeType: "image/png",
    buffer: Buffer.from("not really a picture"),
  });
  await page.getByText("uploaded.").waitFor();
  assert.match(await page.getByRole("textbox", { name: "Image" }).inputValue(), /\/cdn\//);
  await assertQuiet(opened);
});

test("a file is dropped on its field, and pasted into it", { timeout, skip }, async () => {
  await using opened = await app.openPage({ path: STUDIO });
  const { page } = opened;
  const field = page.getByRole("textbox", { name: "Image" });
  const box = page.locator("fieldset.file");
  const urls: string[] = [];
  for (const [event, name] of [
    ["drop", "dropped.png"],
    ["paste", "pasted.png"],
  ] as const) {
    await box.evaluate(
      (element, [kind, fileName]) => {
        const data = new DataTransfer();
        data.items.add(new File(["not really a picture"], fileName, { type: "image/png" }));
        const options = { bubbles: true, cancelable: true };
        element.dispatchEvent(
          kind === "drop"
            ? new DragEvent("drop", { ...options, dataTransfer: data })
            : new ClipboardEvent("paste", { ...options, clipboardData: data }),
        );
      },
      [event, name] as const,
    );
    await page.getByText(`${name} uploaded.`).waitFor();
    urls.push(await field.inputValue());
  }
  assert.match(urls[0] ?? "", /\/cdn\/.*_dropped\.png$/);
  assert.match(urls[1] ?? "", /\/cdn\/.*_pasted\.png$/);
  await assertQuiet(opened);
});

test("a request waits while its queue is paused, runs when it is resumed, and is cancelled", {
  timeout,
  skip,
}, async () => {
  await using opened = await app.openPage({ path: "/app/queues" });
  const { page } = opened;
  await page.getByRole("button", { name: "Pause test/studio" }).click();
  await page.getByRole("button", { name: "Resume test/studio" }).waitFor();
  await using second = await app.openPage({ path: STUDIO });
  await second.page.getByRole("textbox", { name: "Steps" }).fill("50");
  await second.page.getByRole("button", { name: "Run", exact: true }).click();
  await second.page.getByText("In the queue: next").waitFor();
  await page
    .getByRole("row", { name: /test\/studio/ })
    .getByRole("cell", { name: "1", exact: true })
    .waitFor();
  await page.getByRole("button", { name: "Resume test/studio" }).click();
  await second.page
    .getByText(/step \d+ of 50/)
    .first()
    .waitFor();
  await second.page.getByRole("button", { name: "Cancel" }).click();
  await second.page.locator(".run-cancelled").waitFor();
  await assertQuiet(opened);
  await assertQuiet(second);
});

test("usage counts what was finished, and how it ended", { timeout, skip }, async () => {
  const count = async (): Promise<number> => {
    const query = "endpoint_id=test/studio&expand=summary,user_error_count,request_count";
    const { summary } = await app.call(`/v1/models/analytics?${query}`);
    return summary[0]?.user_error_count ?? 0;
  };
  const before = await count();
  await app.call("/queue/test/studio", { json: { prompt: "" } });
  await using opened = await app.openPage({ path: "/app/usage" });
  const { page } = opened;
  const card = page.getByRole("listitem").filter({ hasText: "test/studio" });
  await card.getByRole("img", { name: "Requests of test/studio over 24 hours" }).waitFor();
  const refused = card.locator(".numbers > div").filter({ hasText: "refused" }).locator("dd");
  assert.equal(await refused.textContent(), String(before + 1));
  await page.getByLabel("Period").selectOption("30 days");
  await card.getByRole("img", { name: "Requests of test/studio over 30 days" }).waitFor();
  await assertQuiet(opened);
});

test("the API page follows the seed's order and describes every field", { timeout, skip }, async () => {
  await using opened = await app.openPage({ path: `${STUDIO}/api`, isSignedIn: false });
  const { page } = opened;
  const titles = page.getByRole("article").getByRole("heading", { level: 2 });
  await titles.first().waitFor();
  assert.deepEqual(await titles.allTextContents(), [
    "1. Calling the API",
    "2. Authentication",
    "3. Files",
    "4. Schema",
  ]);
  const fields = page.getByLabel("Input fields").locator("dt");
  assert.match((await fields.nth(0).textContent()) ?? "", /prompt\*\s*string/);
  assert.equal(await fields.count(), 8);
  await page.getByText("Range: 1 to 50").waitFor();
  await assertQuiet(opened);
});

test("addresses that lead nowhere say so", { timeout, skip }, async () => {
  await using opened = await app.openPage({ path: "/models/no/such", isSignedIn: false });
  await opened.page.getByText("This server does not offer no/such.").waitFor();
  await opened.page.goto(`${app.url}/app/nothing`);
  await opened.page.getByText("There is no such page.").waitFor();
});
