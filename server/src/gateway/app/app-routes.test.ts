import assert from "node:assert/strict";
import { mkdir, mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { openGateway, type TestGateway } from "../testing/open-gateway.ts";
import { openAppFiles } from "./app-files.ts";

const timeout = 30_000;

test("without a built app its addresses say how to build it", { timeout }, async () => {
  await using gateway = await openGateway();
  const answer = await gateway.call("/", { authorization: null });
  assert.equal(answer.status, 200);
  assert.match(answer.headers.get("content-type") ?? "", /^text\/html/);
  assert.match(answer.text, /npm run build -w @sluice\/dashboard/);
  assert.equal((await gateway.call("/nothing")).status, 404);
});

test("the app's page answers its addresses, and an unknown endpoint's with 404", { timeout }, async () => {
  await using gateway = await openWithApp();
  for (const [path, status] of [
    ["/", 200],
    ["/models/test/echo", 200],
    ["/models/test/echo/", 200],
    ["/models/test/echo/api", 200],
    ["/app/requests", 200],
    ["/models/no/such", 404],
  ] as const) {
    const answer = await gateway.call(path, { authorization: null });
    assert.equal(answer.status, status, path);
    assert.match(answer.text, /the app/);
    const policy = answer.headers.get("content-security-policy") ?? "";
    assert.match(policy, /default-src 'none'; script-src 'self';/);
    assert.match(policy, /frame-ancestors 'none'/);
    assert.equal(answer.headers.get("cache-control"), "no-cache");
    assert.equal(answer.headers.get("access-control-allow-origin"), null);
  }
  assert.match((await gateway.call("/models/test/echo/llms.txt")).text, /^# /);
  assert.equal((await gateway.call("/", { method: "POST", body: "x" })).status, 405);
});

test("assets are immutable, compressed, and nothing outside of the app is found", { timeout }, async () => {
  await using gateway = await openWithApp();
  const load = (path: string, headers: Record<string, string> = {}) =>
    fetch(`${gateway.origin}${path}`, { headers });
  const asset = await load("/app/assets/index-1a2b.js", { "accept-encoding": "gzip" });
  assert.equal(asset.headers.get("content-encoding"), "gzip");
  assert.equal(asset.headers.get("cache-control"), "public, max-age=31536000, immutable");
  assert.equal(await asset.text(), SCRIPT);
  const etag = asset.headers.get("etag") ?? "";
  const again = await load("/app/assets/index-1a2b.js", { "accept-encoding": "gzip", "if-none-match": etag });
  assert.equal(again.status, 304);
  for (const path of [
    "/app/assets/none.js",
    "/app/../server.ts",
    "/app/%2e%2e/secret.txt",
    "/app/secret.txt",
  ])
    assert.equal((await load(path)).status, 404, path);
});

const SCRIPT = "console.log('the app');\n".repeat(100);

async function openWithApp(): Promise<TestGateway> {
  const folder = await mkdtemp(join(tmpdir(), "sluice-app-"));
  await mkdir(join(folder, "assets"));
  await writeFile(join(folder, "index.html"), "<!doctype html><title>the app</title>");
  await writeFile(join(folder, "assets/index-1a2b.js"), SCRIPT);
  await writeFile(join(folder, "secret.txt"), "not of the app's types");
  const appFiles = await openAppFiles(folder);
  await rm(folder, { recursive: true, force: true });
  return await openGateway({ change: (context) => ({ ...context, appFiles }) });
}
