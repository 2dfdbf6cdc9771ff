/** Every test that a checklist names exists, and the page shows the lists as they are. */
import assert from "node:assert/strict";
import { readFile } from "node:fs/promises";
import { test } from "node:test";
import { CHECKLISTS } from "./checklists.ts";
import { formatChecklist, PAGE_PATH } from "./write-compatibility.ts";

const root = new URL("../../", import.meta.url);

for (const { title, rows } of CHECKLISTS)
  test(`${title}: every row names tests that exist`, async () => {
    for (const { what, tests } of rows) {
      assert.ok(tests.length > 0, what);
      for (const [file, name] of tests) {
        const text = (await readFile(new URL(file, root), "utf8")).replaceAll('\\"', '"');
        assert.ok(text.includes(name), `${what}: ${file} has no test "${name}"`);
      }
    }
  });

test("the page about compatibility shows the lists", async () => {
  const page = await readFile(PAGE_PATH, "utf8");
  for (const list of CHECKLISTS)
    assert.ok(page.includes(formatChecklist(list)), "run node compat/src/write-compatibility.ts");
});
