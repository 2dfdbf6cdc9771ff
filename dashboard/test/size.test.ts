/** What a browser loads before the playground works. */
import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { fileURLToPath } from "node:url";
import { gzipSync } from "node:zlib";
import { buildDashboard } from "../../scripts/build-dashboard.ts";

const dist = fileURLToPath(new URL("../dist", import.meta.url));

test("the playground loads less than 110 kB of script and 8 kB of style, compressed", () => {
  buildDashboard();
  const page = readFileSync(join(dist, "index.html"), "utf8");
  const measure = (extension: string): number =>
    [...page.matchAll(/(?:src|href)="\/app\/(assets\/[^"]+)"/g)]
      .map(([, name]) => name ?? "")
      .filter((name) => name.endsWith(extension))
      .reduce((sum, name) => sum + gzipSync(readFileSync(join(dist, name))).length, 0);
  const script = measure(".js");
  assert.ok(script > 10_000, "the page's scripts were not found");
  assert.ok(script < 110_000, `${script} bytes of script`);
  assert.ok(measure(".css") < 8_000, `${measure(".css")} bytes of style`);
});

test("the page has nothing inline that its policy would refuse", () => {
  const page = readFileSync(join(dist, "index.html"), "utf8");
  assert.doesNotMatch(page, /<script(?![^>]*src=)|<style|style=|\son\w+=/);
});
