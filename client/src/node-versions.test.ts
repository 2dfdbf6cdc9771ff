import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { cp, mkdir, mkdtemp, readdir, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { delimiter, join } from "node:path";
import test, { type TestContext } from "node:test";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import { setUpQueue } from "./testing/set-up-queue.ts";

const run = promisify(execFile);
const ROOT = fileURLToPath(new URL("../..", import.meta.url));

/** Every other `node` on the PATH: people install the client where Node is older than the one we develop with. */
async function findNodes(): Promise<Map<string, string>> {
  const found = new Map<string, string>([[process.version, process.execPath]]);
  for (const folder of (process.env["PATH"] ?? "").split(delimiter)) {
    const path = join(folder, "node");
    const version = await run(path, ["--version"]).then(
      ({ stdout }) => stdout.trim(),
      () => undefined,
    );
    if (version !== undefined && Number(version.slice(1).split(".")[0]) >= 20 && !found.has(version)) {
      found.set(version, path);
    }
  }
  return found;
}

/** The packages as they are published: compiled, and with exports that point at `dist`. */
async function installCompiled(t: TestContext): Promise<string> {
  const folder = await mkdtemp(join(tmpdir(), "sluice-client-"));
  t.after(() => rm(folder, { recursive: true }));
  for (const name of ["protocol", "client"]) {
    const target = join(folder, "node_modules", "@sluice", name);
    await mkdir(target, { recursive: true });
    await run(process.execPath, [
      join(ROOT, "node_modules", "typescript", "bin", "tsc"),
      "-p",
      join(ROOT, name),
      ...["--outDir", join(target, "dist"), "--noCheck", "--composite", "false", "--incremental", "false"],
    ]);
    const manifest = await readFile(join(ROOT, name, "package.json"), "utf8");
    await writeFile(
      join(target, "package.json"),
      manifest.replaceAll("./src/", "./dist/").replaceAll(/(dist\/[\w-]+)\.ts/g, "$1.js"),
    );
  }
  await cp(join(ROOT, "node_modules", "@msgpack"), join(folder, "node_modules", "@msgpack"), {
    recursive: true,
  });
  await cp(join(ROOT, "node_modules", "ws"), join(folder, "node_modules", "ws"), { recursive: true });
  return folder;
}

const PROGRAM = `
import * as bare from "@sluice/client";
import { fal } from "@sluice/client";
import { WebSocket } from "ws";
const { data } = await fal.subscribe("acme/model", { input: { file: new Blob(["x"]) } });
const output = await bare.subscribe("acme/model", { input: {} });
globalThis.WebSocket ??= WebSocket;
const error = await new Promise((onError) => fal.realtime.connect("acme/model", { onResult() {}, onError }).send({ a: 1 }));
const refused = await fal.webhooks.verify(new Request("http://x.test")).catch((error) => error.name);
console.log(JSON.stringify([data, output, error.status, refused]));
`;

test("the compiled package runs on every Node at hand, from 20 on", async (t) => {
  const folder = await installCompiled(t);
  assert.ok(
    (await readdir(join(folder, "node_modules/@sluice/client/dist"))).every(
      (name) => !name.includes(".test."),
    ),
  );
  await writeFile(join(folder, "program.mjs"), PROGRAM);
  const { app, server } = await setUpQueue(t);
  app.onSubmit = (request) => app.complete(request.id, request.input);
  app.intercept = (call, response) => {
    if (!call.path.startsWith("/rest/") && call.path !== "/up") return false;
    const isToken = call.path.startsWith("/rest/tokens/");
    const body = { upload_url: `${server.url}/up`, file_url: "http://files.test/f" };
    response.writeHead(isToken ? 401 : 200, { "content-type": "application/json" });
    response.end(JSON.stringify(isToken ? { detail: "no" } : body));
    return true;
  };
  const nodes = await findNodes();
  t.diagnostic(`ran on ${[...nodes.keys()].join(", ")}`);
  for (const [version, path] of nodes) {
    const { stdout } = await run(path, ["program.mjs"], {
      cwd: folder,
      timeout: 20_000,
      env: { ...process.env, NODE_OPTIONS: "", SLUICE_URL: server.url, FAL_KEY: "id:secret" },
    });
    const expected = [{ file: "http://files.test/f" }, {}, 401, "WebhookVerificationError"];
    assert.deepEqual(JSON.parse(stdout), expected, version);
  }
});
