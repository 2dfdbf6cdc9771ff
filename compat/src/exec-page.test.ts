/**
 * The programs of fal's API page for `fal-ai/flux-pro` as printed there (`fixtures/page/`), under `sluice exec` and with no
 * settings at all; with this Node and with the caller's, which may be another version.
 */
import assert from "node:assert/strict";
import { copyFile, mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { after, before, test } from "node:test";
import { fileURLToPath } from "node:url";
import { type Ended, runExec } from "./run-exec.ts";
import { startServer, type TestServer } from "./start-server.ts";

const PAGE = fileURLToPath(new URL("../fixtures/page/", import.meta.url));
const timeout = 60_000;
let server: TestServer;
let folder: string;

before(async () => {
  server = await startServer();
  // Inside compat/, so that the programs find the clients there.
  folder = await mkdtemp(fileURLToPath(new URL("../page-", import.meta.url)));
});
after(async () => {
  await server[Symbol.asyncDispose]();
  await rm(folder, { recursive: true, force: true });
});

/** @param more lines that tell the test what the program does not print */
async function runPage(node: string, name: string, more = ""): Promise<Ended> {
  const path = join(folder, name);
  await copyFile(join(PAGE, name), path);
  if (more !== "") await writeFile(path, `${await readFile(path, "utf8")}${more}\n`);
  return await runExec([node, path], { serverUrl: server.url, dataDir: server.dataDir, timeoutMs: timeout });
}

async function assertPicture(url: string): Promise<void> {
  const response = await fetch(url);
  assert.equal(response.status, 200, url);
  assert.equal(response.headers.get("content-type"), "image/jpeg");
}

for (const [node, which] of [
  [process.execPath, "this Node"],
  ["node", "the caller's Node"],
] as const) {
  test(`the page's program runs as printed (${which})`, { timeout }, async () => {
    const { code, out, err } = await runPage(node, "subscribe.mjs", "console.log(result.images[0].url);");
    assert.equal(code, 0, err);
    const lines = out.trim().split("\n");
    assert.ok(lines.length > 1, "log lines come before the picture");
    await assertPicture(lines.at(-1)!);
  });

  test(`the same program with the newer client runs as printed (${which})`, { timeout }, async () => {
    const { code, out, err } = await runPage(node, "subscribe-newer.mjs");
    assert.equal(code, 0, err);
    await assertPicture(/url: '([^']+)'/.exec(out)?.[1] ?? "");
    assert.match(out.trim().split("\n").at(-1)!, /^[0-9a-f-]{36}$/);
  });
}

test("the page's submit gives a request id", { timeout }, async () => {
  const { code, out, err } = await runPage("node", "submit.mjs", "console.log(request_id);");
  assert.equal(code, 0, err);
  assert.match(out.trim().split("\n").at(-1)!, /^[0-9a-f-]{36}$/);
});

test("the page's file program uploads, and its call without input ends in the 422", { timeout }, async () => {
  const { code, err } = await runPage("node", "upload.mjs");
  assert.equal(code, 1);
  assert.match(err, /ValidationError/);
  assert.match(err, /status: 422/);
});
