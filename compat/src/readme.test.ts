/** The programs of the README, as printed, with the address of a test's server in place of the default one. */
import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { test } from "node:test";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import { startServer } from "./start-server.ts";

const run = promisify(execFile);
const compat = fileURLToPath(new URL("..", import.meta.url));
const readme = fileURLToPath(new URL("../../README.md", import.meta.url));

test("every program of the README prints the address of a picture", async () => {
  const text = await readFile(readme, "utf8");
  const programs = [...text.matchAll(/<!-- runs in compat\/: ([^>]+) -->\n```js\n(.*?)```/gs)];
  assert.equal(programs.length, 2);
  await using server = await startServer();
  // Inside compat/, so that the programs find the clients there.
  const folder = await mkdtemp(join(compat, "readme-"));
  try {
    for (const [, name, program] of programs) {
      const path = join(folder, "program.mjs");
      await writeFile(path, program!.replaceAll("http://127.0.0.1:7777", server.url));
      const { stdout } = await run(process.execPath, [path], {
        env: { ...process.env, FAL_KEY: server.key },
        timeout: 60_000,
      });
      const url = stdout.trim().split("\n").at(-1) ?? "";
      const response = await fetch(url);
      assert.equal(response.status, 200, `${name}: ${stdout}`);
      assert.equal(response.headers.get("content-type"), "image/jpeg");
    }
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
});
