/** `sluice exec` as its user meets it: real programs, real TLS, a real server. */
import assert from "node:assert/strict";
import { type ChildProcess, spawn, spawnSync } from "node:child_process";
import { once } from "node:events";
import { mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { createServer as createHttpServer } from "node:http";
import { createServer as createHttpsServer } from "node:https";
import { type AddressInfo, connect, type Socket } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, test } from "node:test";
import { fileURLToPath } from "node:url";
import { readGreeting } from "../greeting/read-greeting.ts";
import { openPrivateAuthority } from "./private-authority.ts";

const MAIN = fileURLToPath(new URL("../main.ts", import.meta.url));
const CARD = fileURLToPath(new URL("../fixtures/card.ts", import.meta.url));
const timeout = 60_000;
const curl = { timeout, skip: findProgram("curl") };
const python = { timeout, skip: findProgram("python3") };

function findProgram(name: string): string | false {
  if (spawnSync(name, ["--version"]).status === 0) return false;
  if (process.env["SLUICE_REQUIRE_ALL"]) throw new Error(`${name} is needed and not installed`);
  return `${name} is not installed: this check did NOT run`;
}

interface Ended {
  readonly code: number | null;
  readonly signal: NodeJS.Signals | null;
  readonly out: string;
  readonly err: string;
}

/** Longer than all tests of this file together, each at its limit. */
const SERVER_LIFETIME_MS = 20 * timeout;

function start(
  args: readonly string[],
  environment: Record<string, string> = {},
  lifetimeMs: number = timeout,
): ChildProcess {
  const inherited = Object.entries(process.env).filter(([name]) => !/^FAL_|_proxy$|^SLUICE_URL$/i.test(name));
  return spawn(process.execPath, ["--disable-warning=ExperimentalWarning", MAIN, ...args], {
    stdio: ["ignore", "pipe", "pipe"],
    env: { ...Object.fromEntries(inherited), SLUICE_URL: url, ...environment },
    timeout: lifetimeMs,
    killSignal: "SIGKILL",
  });
}

async function exec(command: readonly string[], environment: Record<string, string> = {}): Promise<Ended> {
  return await end(start(["exec", "--data", data, "--", ...command], environment));
}

async function end(child: ChildProcess): Promise<Ended> {
  const [out, err, [code, signal]] = await Promise.all([
    read(child.stdout!),
    read(child.stderr!),
    once(child, "exit") as Promise<[number | null, NodeJS.Signals | null]>,
  ]);
  return { code, signal, out, err };
}

async function read(stream: NodeJS.ReadableStream): Promise<string> {
  const chunks: Buffer[] = [];
  for await (const chunk of stream) chunks.push(Buffer.from(chunk));
  return Buffer.concat(chunks).toString("utf8");
}

let data: string;
let url = "";
let server: ChildProcess;
let firstKey: string;

before(async () => {
  data = await mkdtemp(join(tmpdir(), "sluice-exec-test-"));
  const command = ["serve", "--port", "0", "--data", data, "--no-shipped", CARD, "--log-level", "error"];
  server = start(command, {}, SERVER_LIFETIME_MS);
  server.stderr!.pipe(process.stderr);
  ({ url } = await readGreeting(server));
  firstKey = (await readFile(join(data, "first-key"), "utf8")).trim();
});
after(async () => {
  server.kill("SIGTERM");
  await once(server, "exit");
  await rm(data, { recursive: true, force: true });
});

test("curl reaches this server under the official name, over TLS that it verifies", curl, async () => {
  const { code, out, err } = await exec([
    "sh",
    "-c",
    `curl -sS --fail https://queue.fal.run/test/card -H "Authorization: Key $FAL_KEY" -d '{"text":"hello"}'`,
  ]);
  assert.equal(code, 0, err);
  const { status_url } = JSON.parse(out);
  assert.match(status_url, /^https:\/\/queue\.fal\.run\/test\/card\/requests\//);
});

test("Python's own HTTPS reaches this server and verifies it", python, async () => {
  const program = `
import json, os, urllib.request
request = urllib.request.Request("https://fal.run/test/card", b'{"text":"hello"}',
    {"Authorization": "Key " + os.environ["FAL_KEY"], "Content-Type": "application/json"})
print(json.load(urllib.request.urlopen(request)))`;
  const { code, out, err } = await exec(["python3", "-c", program]);
  assert.equal(code, 0, err);
  assert.match(out, /url/);
});

const NODE_PROGRAM = `
import https, { get } from "node:https";
import tls from "node:tls";
const body = JSON.stringify({ text: "hello" });
const headers = { authorization: "Key " + process.env.FAL_KEY, "content-type": "application/json" };
const answer = await fetch("https://fal.run/test/card", { method: "POST", headers, body });
console.log("fetch", answer.status);
const status = (response) => response.resume().statusCode;
console.log("https", await new Promise((r, e) => get("https://rest.fal.ai/health", (x) => r(status(x))).on("error", e)));
const old = { host: "rest.alpha.fal.ai", path: "/health", agent: new https.Agent({ keepAlive: false }) };
console.log("agent", await new Promise((r, e) => https.get(old, (x) => r(status(x))).on("error", e)));
const socket = tls.connect(443, "v3.fal.media", { servername: "v3.fal.media" }, () => {
  console.log("tls", socket.authorized, socket.getPeerCertificate().subject.CN);
  socket.end();
});
socket.on("error", (error) => console.log(error));
`;

for (const node of new Set([process.execPath, "node"])) {
  test(`a Node program reaches this server by fetch, https and tls (${node === "node" ? "the caller's Node" : "this Node"})`, {
    timeout,
  }, async () => {
    const { code, out, err } = await exec([node, "--input-type=module", "-e", NODE_PROGRAM]);
    assert.equal(code, 0, err);
    assert.equal(out, "fetch 200\nhttps 200\nagent 200\ntls true sluice exec\n", err);
  });
}

test("other hosts are reached untouched, through the proxy that was already set", curl, async (t) => {
  // A host of the outside world: its certificate must come through as it is.
  const issued = await (await openPrivateAuthority(await makeFolder(t), Date.now())).issue();
  const outside = createHttpsServer(issued, (_, response) => response.end("from outside\n"));
  outside.listen(0, "127.0.0.1");
  await once(outside, "listening");
  t.after(() => outside.close());
  const asked: string[] = [];
  const corporate = createHttpServer((_, response) => response.writeHead(405).end());
  corporate.on("connect", (request, socket: Socket) => {
    asked.push(`${request.url} ${request.headers["proxy-authorization"]}`);
    const target = connect((outside.address() as AddressInfo).port, "127.0.0.1", () => {
      socket.write("HTTP/1.1 200 OK\r\n\r\n");
      socket.pipe(target).pipe(socket);
    });
    target.on("error", () => socket.destroy());
    socket.on("error", () => target.destroy());
  });
  corporate.listen(0, "127.0.0.1");
  await once(corporate, "listening");
  t.after(() => corporate.close());
  const proxy = `http://me:secret@127.0.0.1:${(corporate.address() as AddressInfo).port}`;
  const { code, out, err } = await exec(
    [
      "sh",
      "-c",
      "curl -sS --insecure https://outside.example/; curl -sS https://fal.run/health; curl -sS https://outside.example/",
    ],
    { HTTPS_PROXY: proxy, NO_PROXY: "fal.run" },
  );
  assert.match(out, /^from outside\n\{"status":"ok"/);
  assert.equal(code, 60, `only the last, which verifies, fails: the certificate is not ours: ${err}`);
  const entry = `outside.example:443 Basic ${Buffer.from("me:secret").toString("base64")}`;
  assert.deepEqual(asked, [entry, entry]);
});

test("the proxy serves the command alone, and whole https addresses too", { timeout }, async () => {
  const program = `
    import { request } from "node:http";
    const proxy = new URL(process.env.HTTPS_PROXY);
    const ask = (headers) => new Promise((resolve, reject) => {
      const call = request({ host: proxy.hostname, port: proxy.port, path: "https://rest.fal.ai/health", headers: { host: "rest.fal.ai", ...headers } });
      call.on("response", (response) => resolve(response.resume().statusCode)).on("error", reject).end();
    });
    console.log(await ask({}));
    console.log(await ask({ "proxy-authorization": "Basic " + btoa(proxy.username + ":" + proxy.password) }));
  `;
  const { out, err } = await exec([process.execPath, "--input-type=module", "-e", program]);
  assert.equal(out, "407\n200\n", err);
});

test("a key that the server does not know is replaced by the first key, with a word about it", {
  timeout,
}, async () => {
  const print = [process.execPath, "-p", "process.env.FAL_KEY"];
  const unknown = await exec(print, { FAL_KEY: "11111111-2222-3333-4444-555555555555:0123" });
  assert.equal(unknown.out.trim(), firstKey);
  assert.match(
    unknown.err,
    /^sluice: FAL_KEY is not a key of http:\S+: the command gets the key of the first start/,
  );
  const known = await exec(print, { FAL_KEY: firstKey });
  assert.deepEqual([known.out.trim(), known.err], [firstKey, ""]);
});

test("the command's exit code and the signal that ends it are the caller's", { timeout }, async () => {
  assert.equal((await exec([process.execPath, "-e", "process.exit(7)"])).code, 7);
  assert.equal(
    (await exec([process.execPath, "-e", "process.kill(process.pid, 'SIGTERM')"])).signal,
    "SIGTERM",
  );
  const missing = await exec(["sluice-has-no-such-program"]);
  assert.equal(missing.code, 127);
  assert.match(missing.err, /There is no command sluice-has-no-such-program/);
});

test("a signal goes on to the command, and its end is waited for", { timeout }, async () => {
  const program =
    "process.on('SIGTERM', () => { console.log('saved'); process.exit(3); }); setInterval(() => {}, 1000); console.log('up');";
  const child = start(["exec", "--data", data, "--", process.execPath, "-e", program]);
  child.stdout!.once("data", () => child.kill("SIGTERM"));
  const { code, out } = await end(child);
  assert.deepEqual([code, out], [3, "up\nsaved\n"]);
});

test("the command's environment is otherwise its own, and no file stays behind", { timeout }, async (t) => {
  const folder = await makeFolder(t);
  const roots = join(folder, "corporate.pem");
  const corporate = (await openPrivateAuthority(folder, Date.now())).certificate;
  await writeFile(roots, corporate);
  const program = `
    const { readFileSync } = require("node:fs");
    const { env } = process;
    console.log(JSON.stringify({ cache: env.NODE_COMPILE_CACHE, url: env.SLUICE_URL, path: env.PATH,
      bundle: readFileSync(env.REQUESTS_CA_BUNDLE, "utf8"), extra: readFileSync(env.NODE_EXTRA_CA_CERTS, "utf8"), file: env.SSL_CERT_FILE }));`;
  const { out, err } = await exec([process.execPath, "-e", program], {
    SSL_CERT_FILE: roots,
    NODE_EXTRA_CA_CERTS: roots,
  });
  const seen = JSON.parse(out || err);
  assert.equal(seen.cache, process.env["NODE_COMPILE_CACHE"]);
  assert.equal(seen.url, url);
  assert.doesNotMatch(seen.path, new RegExp(`${join(MAIN, "../../../node_modules/.bin")}(:|$)`));
  assert.ok(seen.bundle.includes(corporate.trim()) && seen.extra.includes(corporate.trim()));
  assert.ok(seen.bundle.match(/BEGIN CERTIFICATE/g).length > 50, "with the roots of the system");
  assert.equal(seen.extra.match(/BEGIN CERTIFICATE/g).length, 2);
  await assert.rejects(readFile(seen.file), { code: "ENOENT" });
});

test("without a server one is started in the data folder, and stopped with the command", {
  timeout,
}, async (t) => {
  const folder = await makeFolder(t);
  const program =
    "fetch('https://rest.fal.ai/health').then(async (a) => console.log(process.env.SLUICE_URL, a.status))";
  const started = await end(
    start(["exec", "--data", folder, "--", process.execPath, "-e", program], { SLUICE_URL: "" }),
  );
  assert.equal(started.code, 0, started.err);
  const [, address] = /^(http:\S+) 200\n$/.exec(started.out) ?? [];
  assert.ok(address, started.out);
  await assert.rejects(fetch(`${address}/health`));
  // A folder whose server is somewhere else is not opened a second time.
  const held = await end(start(["exec", "--data", data, "--", "true"], { SLUICE_URL: "" }));
  assert.equal(held.code, 1);
  assert.match(held.err, /A server already holds .*SLUICE_URL=/s);
  const silent = await end(
    start(["exec", "--data", data, "--", "true"], { SLUICE_URL: "http://127.0.0.1:9" }),
  );
  assert.match(silent.err, /No server answers at http:\/\/127\.0\.0\.1:9/);
});

async function makeFolder(t: { after(clean: () => Promise<void>): void }): Promise<string> {
  const folder = await mkdtemp(join(tmpdir(), "sluice-exec-test-"));
  t.after(() => rm(folder, { recursive: true, force: true }));
  return folder;
}
