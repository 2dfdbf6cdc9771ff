/**
 * `@sluice/client` in every runtime that can be had here: Deno, Bun and workerd (the runtime of Cloudflare's workers) from
 * the registry, the caller's Node, a page in Chromium. Each does the same operations against the same server.
 */
import assert from "node:assert/strict";
import { execFile, spawn } from "node:child_process";
import { once } from "node:events";
import { existsSync } from "node:fs";
import { mkdtemp, readdir, readFile, rm, writeFile } from "node:fs/promises";
import { createServer } from "node:http";
import { createRequire } from "node:module";
import type { AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, test } from "node:test";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import { build } from "esbuild";
import { chromium } from "playwright-core";
import { type Line, OPERATION_NAMES } from "../programs/runtimes/operations.ts";
import { findFreePort, waitForPort } from "./ports.ts";
import { startServer, type TestServer } from "./start-server.ts";

const run = promisify(execFile);
const timeout = 180_000;
const PROGRAMS = fileURLToPath(new URL("../programs/runtimes/", import.meta.url));
const CHROMIUM = process.env["SLUICE_CHROMIUM"] ?? "/usr/bin/chromium";

let server: TestServer;
let folder: string;

before(async () => {
  folder = await mkdtemp(join(tmpdir(), "sluice-runtimes-"));
  server = await startServer();
  await build({
    entryPoints: ["command.ts", "worker.ts", "page.ts"].map((name) => join(PROGRAMS, name)),
    bundle: true,
    // Realtime is loaded when it is used, as in a page.
    splitting: true,
    format: "esm",
    platform: "neutral",
    mainFields: ["module", "main"],
    target: "es2022",
    outdir: folder,
    outExtension: { ".js": ".mjs" },
  });
});
after(async () => {
  await server?.[Symbol.asyncDispose]();
  await rm(folder, { recursive: true, force: true });
});

/** The binary inside of a package that exists for this platform only; a reason where it does not. */
function findBinary(names: readonly string[]): { readonly path: string } | { readonly missing: string } {
  const require = createRequire(import.meta.url);
  for (const name of names) {
    const [scope, folderName, ...rest] = name.split("/");
    try {
      const manifest = require.resolve(`${scope}/${folderName}/package.json`);
      const path = join(manifest, "..", ...rest);
      if (existsSync(path)) return { path };
    } catch {
      // The next one.
    }
  }
  const missing = `the registry has no ${names.join(" or ")} for this machine`;
  if (process.env["SLUICE_REQUIRE_ALL"]) throw new Error(missing);
  process.stderr.write(`\n*** @sluice/client was NOT tested in a runtime: ${missing}\n\n`);
  return { missing };
}

const { platform, arch } = process;
const deno = findBinary([`@deno/${platform}-${arch}-glibc/deno`, `@deno/${platform}-${arch}/deno`]);
const bunArch = arch === "arm64" ? "aarch64" : arch;
const bun = findBinary([`@oven/bun-${platform}-${bunArch}/bin/bun`]);
const workerd = findBinary([`@cloudflare/workerd-${platform}-${arch === "x64" ? "64" : arch}/bin/workerd`]);

function checkLines(lines: readonly Line[]): void {
  const failures = lines.filter(({ ok }) => !ok).map(({ operation, error }) => `${operation}: ${error}`);
  assert.equal(failures.join("\n\n"), "");
  assert.deepEqual(
    lines.map(({ operation }) => operation),
    OPERATION_NAMES,
  );
}

async function runCommand(command: string, ...args: readonly string[]): Promise<void> {
  const { stdout } = await run(command, [...args, join(folder, "command.mjs"), server.url, server.key], {
    timeout,
    cwd: folder,
    // A framework among the packages here declares that everyone has its variable.
    env: { PATH: process.env["PATH"], HOME: folder } as unknown as NodeJS.ProcessEnv,
  });
  checkLines(JSON.parse(stdout.trim().split("\n").at(-1) ?? "[]"));
}

const skipOf = (found: { readonly missing?: string }): string | false => found.missing ?? false;

test("Node, this one", { timeout }, () => runCommand(process.execPath));

test("Deno", { timeout, skip: skipOf(deno as { missing?: string }) }, () =>
  runCommand((deno as { path: string }).path, "run", "--no-prompt", "--allow-net", "--allow-env"),
);

test("Bun", { timeout, skip: skipOf(bun as { missing?: string }) }, () =>
  runCommand((bun as { path: string }).path, "run"),
);

test("workerd", { timeout, skip: skipOf(workerd as { missing?: string }) }, async () => {
  const port = await findFreePort();
  const modules = ["worker.mjs", ...(await listChunks())];
  await writeFile(join(folder, "config.capnp"), formatWorkerConfig(port, modules));
  const child = spawn((workerd as { path: string }).path, ["serve", join(folder, "config.capnp")], {
    stdio: ["ignore", "inherit", "inherit"],
    cwd: folder,
  });
  try {
    await waitForPort(child, port);
    const query = new URLSearchParams({ url: server.url, key: server.key });
    const response = await fetch(`http://127.0.0.1:${port}/?${query}`);
    assert.equal(response.status, 200, await response.clone().text());
    checkLines((await response.json()) as Line[]);
  } finally {
    child.kill("SIGKILL");
    await once(child, "exit");
  }
});

const noBrowser = !existsSync(CHROMIUM) && `There is no ${CHROMIUM}: apt-get install chromium`;
test("a page in Chromium", { timeout, skip: noBrowser }, async () => {
  const pages = createServer(async (request, response) => {
    const name = request.url === "/" ? undefined : request.url?.slice(1);
    response.setHeader("content-type", name === undefined ? "text/html" : "text/javascript");
    if (name === undefined) response.end('<script type="module" src="/page.mjs"></script>');
    else response.end(await readFile(join(folder, name)).catch(() => ""));
  });
  await new Promise<void>((resolve) => pages.listen(0, "127.0.0.1", resolve));
  const browser = await chromium.launch({
    executablePath: CHROMIUM,
    args: ["--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage"],
  });
  try {
    const page = await browser.newPage();
    page.setDefaultTimeout(timeout);
    await page.goto(`http://127.0.0.1:${(pages.address() as AddressInfo).port}/`);
    await page.waitForFunction("globalThis.runOperations !== undefined");
    const target = JSON.stringify({ url: server.url, key: server.key });
    checkLines((await page.evaluate(`runOperations(${target})`)) as Line[]);
  } finally {
    await browser.close();
    pages.closeAllConnections();
    pages.close();
  }
});

async function listChunks(): Promise<string[]> {
  const names = (await readdir(folder)).filter((name) => name.endsWith(".mjs"));
  return names.filter((name) => !["command.mjs", "page.mjs", "worker.mjs"].includes(name));
}

function formatWorkerConfig(port: number, modules: readonly string[]): string {
  const list = modules.map((name) => `(name = "${name}", esModule = embed "${name}")`).join(",\n      ");
  return `using Workerd = import "/workerd/workerd.capnp";
const config :Workerd.Config = (
  services = [
    (name = "main", worker = (
      modules = [
      ${list}
      ],
      compatibilityDate = "2026-11-01",
    )),
    (name = "internet", network = (allow = ["private", "public"])),
  ],
  sockets = [(name = "http", address = "127.0.0.1:${port}", http = (), service = "main")],
);
`;
}
