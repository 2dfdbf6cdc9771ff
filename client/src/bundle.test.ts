import assert from "node:assert/strict";
import test from "node:test";
import { fileURLToPath } from "node:url";
import { createContext, runInContext } from "node:vm";
import { gzipSync } from "node:zlib";
import { build } from "esbuild";
import { setUpQueue } from "./testing/set-up-queue.ts";

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

test("it runs where there is nothing but what the web platform gives: no process, no Buffer, no require", async (t) => {
  const { app, server } = await setUpQueue(t);
  app.onSubmit = (request) => app.complete(request.id, request.input);
  const result = await build({
    stdin: {
      contents: `
        import { createFalClient } from "./index.ts";
        const client = createFalClient({ url: "${server.url}", credentials: "id:secret" });
        globalThis.done = client.subscribe("acme/model", { input: { n: 1 } });`,
      resolveDir: fileURLToPath(new URL(".", import.meta.url)),
    },
    bundle: true,
    format: "iife",
    platform: "browser",
    target: "es2022",
    write: false,
  });
  const web = {
    ...{
      fetch,
      URL,
      URLSearchParams,
      AbortController,
      AbortSignal,
      DOMException,
      Blob,
      ReadableStream,
      Headers,
    },
    ...{ Response, Request, TextDecoder, TextEncoder, crypto, setTimeout, clearTimeout, console },
  };
  const context = createContext({ ...web });
  runInContext(result.outputFiles[0]?.text ?? "", context);
  const { data } = await context["done"];
  assert.deepEqual({ ...data }, { n: 1 });
  assert.match(String(server.calls[0]?.headers["user-agent"]), /^@sluice/);
});

test("one function of the namespace costs no more than everything", async () => {
  const all = await bundle('export * from "./index.ts";');
  const one = await bundle('import * as fal from "./index.ts"; console.log(fal.subscribe);');
  assert.ok(one.first <= all.first);
});
