import assert from "node:assert/strict";
import test from "node:test";
import { fileURLToPath } from "node:url";
import { gzipSync } from "node:zlib";
import { build } from "esbuild";

/** What a page loads at once, and what it loads when it uses realtime, minified and gzipped. */
const FIRST_BYTES = 12_000;
const REALTIME_BYTES = 8_000;

interface Bundle {
  readonly first: number;
  readonly realtime: number;
  readonly text: string;
}

async function bundle(code: string): Promise<Bundle> {
  const result = await build({
    stdin: { contents: code, resolveDir: fileURLToPath(new URL(".", import.meta.url)), loader: "ts" },
    bundle: true,
    minify: true,
    splitting: true,
    format: "esm",
    platform: "browser",
    target: "es2022",
    outdir: "out",
    write: false,
    metafile: true,
    logLevel: "silent",
  });
  const { outputs } = result.metafile;
  const sizes = new Map(
    result.outputFiles.map((file) => [
      file.path.split("/").at(-1) ?? "",
      gzipSync(file.contents, { level: 9 }).length,
    ]),
  );
  const entry = Object.keys(outputs).find((name) => outputs[name]?.entryPoint === "<stdin>") ?? "";
  const lazy =
    Object.keys(outputs).find((name) => outputs[name]?.entryPoint?.endsWith("realtime-connection.ts")) ?? "";
  const first = closure(outputs, entry);
  const sum = (names: Iterable<string>) =>
    [...names].reduce((total, name) => total + (sizes.get(name.split("/").at(-1) ?? "") ?? Number.NaN), 0);
  return {
    first: sum(first),
    realtime: sum([...closure(outputs, lazy)].filter((name) => !first.has(name))),
    text: result.outputFiles.map((file) => file.text).join("\n"),
  };
}

function closure(
  outputs: Record<string, { readonly imports: { readonly path: string; readonly kind: string }[] }>,
  name: string,
  seen: Set<string> = new Set(),
): Set<string> {
  seen.add(name);
  for (const { path, kind } of outputs[name]?.imports ?? []) {
    if (kind === "import-statement" && !seen.has(path)) closure(outputs, path, seen);
  }
  return seen;
}

test("the whole client fits its budget in a page, and realtime comes later and small", async (t) => {
  const { first, realtime, text } = await bundle('export * from "./index.ts";');
  t.diagnostic(`first load ${first} bytes, realtime ${realtime} bytes more`);
  assert.ok(first < FIRST_BYTES, `${first} bytes at once, ${FIRST_BYTES} allowed`);
  assert.ok(
    realtime > 0 && realtime <= REALTIME_BYTES,
    `${realtime} bytes for realtime, ${REALTIME_BYTES} allowed`,
  );
  assert.ok(!text.includes("content_policy_violation"), "the server's table of errors is not for pages");
  assert.ok(!/require\(|node:/.test(text), "nothing of Node's own");
});

test("one function of the namespace costs no more than everything", async () => {
  const all = await bundle('export * from "./index.ts";');
  const one = await bundle('import * as fal from "./index.ts"; console.log(fal.subscribe);');
  assert.ok(one.first <= all.first);
});
