/** Keys as the operator makes, changes and revokes them. */
import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { assertQuiet, openApp, signIn, type TestApp, whyNoBrowser } from "./testing/open-app.ts";

const timeout = 60_000;
const skip: string | false = whyNoBrowser() ?? false;

let app: TestApp;
before(async () => {
  if (skip === false) app = await openApp();
});
after(async () => {
  if (skip === false) await app[Symbol.asyncDispose]();
});

test("a key is made, shown once, signs in with its own scope, and is revoked", {
  timeout,
  skip,
}, async () => {
  await using opened = await app.openPage({ path: "/app/keys" });
  const { page } = opened;
  await page.getByLabel("Name").fill(`<i onmouseover=alert(1)>laptop</i>`);
  await page.getByRole("button", { name: "Make a key" }).click();
  const key = (await page.getByRole("region", { name: "the new key" }).textContent()) ?? "";
  assert.match(key, /^[0-9a-f-]{36}:.{20,}$/);
  await page.getByRole("button", { name: "I have it" }).click();
  assert.ok(!(await page.content()).includes(key));
  const row = page.getByRole("row", { name: /laptop/ });
  await row.getByText("never").waitFor();
  await using second = await app.openPage({ isSignedIn: false });
  await signIn(second.page, key);
  assert.equal(await second.page.getByRole("link", { name: "Keys" }).count(), 0);
  await second.page.goto(`${app.url}/app/requests`);
  await second.page.getByText("No requests here.").waitFor();
  await page.reload();
  await row.getByText("just now").first().waitFor();
  await page.getByRole("button", { name: /^Revoke .*laptop/ }).click();
  await page.getByRole("button", { name: "Keep" }).click();
  await page.getByRole("button", { name: /^Revoke .*laptop/ }).click();
  await page.getByRole("button", { name: "Revoke for good" }).click();
  await page.getByText("laptop").waitFor({ state: "detached" });
  // The session of the revoked key ends by itself, at the next look of the list.
  await second.page.getByText("Sign in to see your requests.").waitFor();
  await assertQuiet(opened);
});

test("limits are given, refused beside their field when they are none, changed, and hold at once", {
  timeout,
  skip,
}, async () => {
  await using opened = await app.openPage({ path: "/app/keys" });
  const { page } = opened;
  const fields = page.getByRole("region", { name: "A new key" });
  await fields.getByLabel("Name").fill("batch");
  await fields.getByLabel("A day").fill("a few");
  await fields.getByText("A number above 0").waitFor();
  assert.ok(await fields.getByRole("button", { name: "Make a key" }).isDisabled());
  await fields.getByLabel("A day").fill("1");
  await fields.getByLabel("Files kept").fill("2.5");
  await fields.getByRole("button", { name: "Make a key" }).click();
  const key = (await page.getByRole("region", { name: "the new key" }).textContent()) ?? "";
  const row = page.getByRole("row", { name: /batch/ });
  await row.getByText("1 a day, 2.5 MB").waitFor();
  const submit = async (): Promise<number> => {
    const response = await fetch(`${app.url}/queue/test/studio`, {
      method: "POST",
      headers: { authorization: `Key ${key}` },
      body: JSON.stringify({ prompt: "x", steps: 1 }),
    });
    await response.text();
    return response.status;
  };
  assert.equal(await submit(), 200);
  assert.equal(await submit(), 429);
  await row.getByRole("button", { name: "Edit batch" }).click();
  const dialog = page.getByRole("dialog", { name: "Edit batch" });
  assert.equal(await dialog.getByLabel("Files kept").inputValue(), "2.5");
  await dialog.getByLabel("Name").fill("batch jobs");
  await dialog.getByLabel("A day").fill("");
  await dialog.getByLabel("Running at once").fill("2");
  await dialog.getByRole("button", { name: "Save" }).click();
  await page
    .getByRole("row", { name: /batch jobs/ })
    .getByText("2 at once, 2.5 MB")
    .waitFor();
  assert.equal(await submit(), 200);
  await page
    .getByRole("row", { name: /batch jobs/ })
    .getByRole("link")
    .click();
  await page.waitForURL(/\/app\/requests\?key_id=/);
  await page.locator(".requests tbody:not(:has(tr:nth-child(3))) > tr:nth-child(2)").waitFor();
  await assertQuiet(opened);
});
