import assert from "node:assert/strict";
import { existsSync, readdirSync, readFileSync } from "node:fs";
import { dirname, join, resolve } from "node:path";
import { test } from "node:test";
import { fileURLToPath } from "node:url";
import { createTinyTokenizer } from "../runtime/src/text/tiny-tokenizer.ts";
import { generateDocs } from "./generate-docs.ts";

const root = fileURLToPath(new URL("..", import.meta.url));

test("the reference pages are what the program's own tables say", () => {
  for (const [path, text] of Object.entries(generateDocs())) {
    assert.equal(readFileSync(join(root, path), "utf8"), text, `${path}: run node scripts/generate-docs.ts`);
  }
});

const pages = [
  join(root, "README.md"),
  ...readdirSync(join(root, "docs"), { recursive: true, encoding: "utf8" })
    .filter((path) => path.endsWith(".md"))
    .map((path) => join(root, "docs", path)),
];

test("the README's short prompts and the command line's hold only words that the embedded model knows", () => {
  const read = (path: string) => readFileSync(join(root, path), "utf8");
  const { tokenizer: config } = JSON.parse(read("models/tiny/config.json"));
  const tokenizer = createTinyTokenizer(JSON.parse(read("models/tiny/vocab.json")), config);
  const texts = ["README.md", "cli/src/program.ts", "cli/src/commands/run.ts"].map(read).join("\n");
  const prompts = [...texts.matchAll(/\bprompt(?:=|: )"([^"\\]+)"/g)].map(([, prompt]) => prompt!);
  assert.ok(prompts.length >= 5, prompts.join("\n"));
  for (const prompt of prompts) assert.deepEqual(tokenizer.encode(prompt).unknown, [], prompt);
});

for (const page of pages) {
  const text = readFileSync(page, "utf8");
  test(`${page.slice(root.length)}: every link leads to a file`, () => {
    for (const [, target] of text.matchAll(/\]\(([^)#\s]+)(?:#[^)]*)?\)/g)) {
      if (/^[a-z]+:/.test(target!)) continue;
      assert.ok(existsSync(resolve(dirname(page), target!)), `${target} does not exist`);
    }
  });
  test(`${page.slice(root.length)}: every file it names exists, and every function it names is in that file`, () => {
    // `server/src/x.ts` names a file; `takeSigmas` (`runtime/src/y.ts`) names an export of it.
    for (const [, path] of text.matchAll(
      /`((?:[a-z.][\w.-]*\/)+[\w.-]+\.(?:ts|sql|md|json|yaml|service|py|mjs))`/g,
    )) {
      assert.ok(existsSync(join(root, path!)), `${path} does not exist`);
    }
    for (const [, name, path] of text.matchAll(/`(\w+)` \(`((?:[\w.-]+\/)+[\w.-]+\.ts)`\)/g)) {
      const source = readFileSync(join(root, path!), "utf8");
      assert.match(source, new RegExp(`\\b${name}\\b`), `${name} is not in ${path}`);
    }
  });
}
