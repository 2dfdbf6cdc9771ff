/** What a stranger installs: every published package, packed as for the registry, in an empty folder. */
import assert from "node:assert/strict";
import { execFile, spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtemp, readdir, rm, stat, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { delimiter, dirname, join } from "node:path";
import { after, before, test } from "node:test";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import { readGreeting } from "../cli/src/greeting/read-greeting.ts";
import { PACKAGES, packAll } from "./pack.ts";

const run = promisify(execFile);
const root = fileURLToPath(new URL("..", import.meta.url));
const MB = 1e6;

let folder: string;
let tarballs: Awaited<ReturnType<typeof packAll>>;
type InstalledNode = readonly [major: number, path: string];
let nodes: readonly InstalledNode[];
/** Too old for our programs, and what systems that are still in use bring. */
let oldest: InstalledNode;

before(async () => {
  folder = await mkdtemp(join(tmpdir(), "sluice-pack-"));
  tarballs = await packAll(join(folder, "tarballs"));
  nodes = [[24, process.execPath], await fetchNode(20), await fetchNode(22)];
  oldest = await fetchNode(18);
});
after(() => rm(folder, { recursive: true, force: true }));

async function install(
  name: string,
  packages: readonly (keyof typeof tarballs)[],
  extra: readonly string[] = [],
): Promise<string> {
  const target = join(folder, name);
  await run("mkdir", ["-p", target]);
  await writeFile(join(target, "package.json"), '{"private":true,"type":"module"}');
  const paths = packages.map((each) => tarballs[each]);
  await run("npm", ["install", "--no-audit", "--no-fund", "--prefer-offline", ...paths, ...extra], {
    cwd: target,
    env: { ...process.env, ONNXRUNTIME_NODE_INSTALL: "skip" },
    timeout: 300_000,
  });
  return target;
}

/** Apparent bytes of a tree, links not followed; a file with two names (npm's `node` has) counts once. */
async function measure(path: string): Promise<number> {
  const bytes = new Map<number, number>();
  for (const entry of await readdir(path, { recursive: true, withFileTypes: true })) {
    if (!entry.isFile()) continue;
    const { ino, size } = await stat(join(entry.parentPath, entry.name));
    bytes.set(ino, size);
  }
  return [...bytes.values()].reduce((sum, size) => sum + size, 0);
}

test("the installed command serves a request on compiled code, within its size", async () => {
  const target = await install("sluice", PACKAGES);
  const bin = join(target, "node_modules/.bin/sluice");
  const data = join(target, "data");
  const { stdout } = await run(process.execPath, [bin, "--version"]);
  assert.match(stdout, /^\d+\.\d+\.\d+\n$/);
  const server = spawn(
    process.execPath,
    [bin, "serve", "--port", "0", "--data", data, "--log-level", "error"],
    {
      stdio: ["ignore", "pipe", "inherit"],
      timeout: 120_000,
      killSignal: "SIGKILL",
    },
  );
  try {
    const { url } = await readGreeting(server);
    assert.match(await (await fetch(url)).text(), /\/app\/assets\//, "the web app is built in");
    const tarball = join(target, "client.tgz");
    await writeFile(tarball, Buffer.from(await (await fetch(`${url}/client.tgz`)).arrayBuffer()));
    const { stdout: listed } = await run("tar", ["--list", "--file", tarball]);
    for (const name of [
      "package/dist/index.js",
      "package/dist/index.d.ts",
      "package/node_modules/@sluice/protocol/dist/index.js",
    ])
      assert.ok(listed.split("\n").includes(name), name);
    const out = join(target, "picture.jpg");
    const fields = ["prompt=a red apple", "num_inference_steps=2", "image_size=square"];
    await run(process.execPath, [bin, "run", "fal-ai/flux-pro", ...fields, "--data", data, "--out", out], {
      env: { ...process.env, SLUICE_URL: url },
      timeout: 60_000,
    });
    assert.ok((await stat(out)).size > 1000);
  } finally {
    server.kill("SIGTERM");
    await once(server, "exit");
  }
  for (const [major, node] of [oldest, ...nodes]) {
    if (major >= 24) continue;
    await assert.rejects(run(bin, ["--version"], { env: findFirst(node) }), {
      stderr: new RegExp(`Node 24 or newer is needed; this is Node ${major}\\.`),
    });
  }
  const bytes = await measure(join(target, "node_modules"));
  const budget = 450 * MB * 1.05;
  assert.ok(bytes <= budget, `sluice installs ${(bytes / MB).toFixed(0)} MB, budget ${budget / MB} MB`);
});

test("in a clone the command that an older Node finds goes on with the one that the clone brings", async () => {
  for (const [major, node] of [oldest, ...nodes]) {
    const { stdout, stderr } = await run(join(root, "cli/src/launch.mjs"), ["doctor", "--json"], {
      env: { ...findFirst(node), SLUICE_DATA: join(folder, "data") },
    });
    assert.equal(stderr, "", `started by Node ${major}`);
    const [found] = JSON.parse(stdout) as { what: string; state: string; said: string }[];
    assert.deepEqual([found?.what, found?.state], ["Node", "ok"], `started by Node ${major}`);
  }
});

test("the client and the proxy run on Node 20, 22 and 24, and the client stays small", async () => {
  const target = await install("client", ["protocol", "client", "proxy"]);
  await writeFile(
    join(target, "try.js"),
    `import * as fal from "@sluice/client";
     import { createFalClient } from "@sluice/client";
     import * as proxy from "@sluice/proxy";
     const client = createFalClient({ credentials: "id:secret", url: "http://127.0.0.1:9", retry: { maxRetries: 0 } });
     const error = await client.run("owner/model", { input: {} }).then(() => undefined, (thrown) => thrown);
     if (!(error instanceof Error)) throw new Error("nothing listens there");
     console.log(process.versions.node.split(".")[0], typeof fal.subscribe, Object.keys(proxy).length > 0);`,
  );
  for (const [major, node] of nodes) {
    const { stdout } = await run(node, ["try.js"], { cwd: target, timeout: 60_000 });
    assert.equal(stdout, `${major} function true\n`);
  }
  let bytes = await measure(join(target, "node_modules/@sluice/client"));
  bytes += await measure(join(target, "node_modules/@sluice/protocol"));
  assert.ok(bytes <= 1.05 * MB, `@sluice/client is ${(bytes / MB).toFixed(2)} MB, budget 1 MB`);
});

test("npm ci of the repository stays within its size", async (t) => {
  const modules = join(root, "node_modules");
  const sizes: [string, number][] = [];
  for (const entry of await readdir(modules, { withFileTypes: true })) {
    if (!entry.isDirectory()) continue; // Workspaces are links.
    if (!entry.name.startsWith("@")) {
      sizes.push([entry.name, await measure(join(modules, entry.name))]);
      continue;
    }
    for (const scoped of await readdir(join(modules, entry.name), { withFileTypes: true })) {
      if (scoped.isDirectory()) {
        sizes.push([`${entry.name}/${scoped.name}`, await measure(join(modules, entry.name, scoped.name))]);
      }
    }
  }
  sizes.sort(([, a], [, b]) => b - a);
  for (const [name, bytes] of sizes.slice(0, 10))
    t.diagnostic(`${(bytes / MB).toFixed(1).padStart(7)} MB  ${name}`);
  const total = sizes.reduce((sum, [, bytes]) => sum + bytes, 0);
  t.diagnostic(`${(total / MB).toFixed(1).padStart(7)} MB  in all`);
  assert.ok(total <= 900 * MB * 1.05, `npm ci installs ${(total / MB).toFixed(0)} MB, budget 900 MB`);
});

/** Other versions of Node come from the registry, as this project's own does. */
/** This environment with a Node that shells find before others. */
function findFirst(node: string): NodeJS.ProcessEnv {
  return { ...process.env, PATH: `${dirname(node)}${delimiter}${process.env["PATH"]}` };
}

async function fetchNode(major: number): Promise<InstalledNode> {
  const place = join(folder, `node-${major}`);
  await run("mkdir", ["-p", place]);
  await writeFile(join(place, "package.json"), '{"private":true,"allowScripts":{"node":true}}');
  await run("npm", ["install", "--no-audit", "--no-fund", "--prefer-offline", `node@${major}`], {
    cwd: place,
    timeout: 300_000,
  });
  return [major, join(place, "node_modules/node/bin/node")];
}
