/** The command line as its user meets it: real processes, a real server, a real data folder. */
import assert from "node:assert/strict";
import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { existsSync } from "node:fs";
import { mkdir, mkdtemp, readdir, readFile, rm, stat, writeFile } from "node:fs/promises";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, test } from "node:test";
import { fileURLToPath } from "node:url";
import { readGreeting } from "./greeting/read-greeting.ts";
import { findProgramName } from "./shell/find-program-name.ts";

const MAIN = fileURLToPath(new URL("./main.ts", import.meta.url));
const CARD = fileURLToPath(new URL("./fixtures/card.ts", import.meta.url));
const LIMIT_MS = 60_000;

interface Ended {
  readonly code: number | null;
  readonly out: string;
  readonly err: string;
}

/** A server lives as long as the tests need it, however slow the machine is. */
const SERVER_LIMIT_MS = 600_000;

function start(
  args: readonly string[],
  environment: Record<string, string> = {},
  timeout: number = LIMIT_MS,
): ChildProcess {
  const { FAL_KEY: _, FAL_KEY_ID: __, FAL_KEY_SECRET: ___, SLUICE_URL: ____, ...inherited } = process.env;
  return spawn(process.execPath, ["--disable-warning=ExperimentalWarning", MAIN, ...args], {
    stdio: ["ignore", "pipe", "pipe"],
    env: { ...inherited, ...environment },
    timeout,
    killSignal: "SIGKILL",
  });
}

async function sluice(args: readonly string[], environment: Record<string, string> = {}): Promise<Ended> {
  const child = start(args, environment);
  const [out, err, [code]] = await Promise.all([
    read(child.stdout!),
    read(child.stderr!),
    once(child, "exit") as Promise<[number | null]>,
  ]);
  return { code, out, err };
}

async function read(stream: NodeJS.ReadableStream): Promise<string> {
  const chunks: Buffer[] = [];
  for await (const chunk of stream) chunks.push(Buffer.from(chunk));
  return Buffer.concat(chunks).toString("utf8");
}

interface Served {
  readonly url: string;
  readonly greeting: readonly string[];
  stop(): Promise<number | null>;
}

async function serve(dataDir: string, extra: readonly string[] = []): Promise<Served> {
  const words = [
    "serve",
    "--port",
    "0",
    "--data",
    dataDir,
    "--no-shipped",
    CARD,
    "--log-level",
    "error",
    ...extra,
  ];
  const child = start(words, {}, SERVER_LIMIT_MS);
  const { url, lines: greeting } = await readGreeting(child);
  return {
    url,
    greeting,
    async stop() {
      child.kill("SIGTERM");
      const [code] = (await once(child, "exit")) as [number | null];
      return code;
    },
  };
}

let folder: string;
let data: string;
let server: Served;

before(async () => {
  folder = await mkdtemp(join(tmpdir(), "sluice-cli-"));
  data = join(folder, "data");
  server = await serve(data);
});
after(async () => {
  await server.stop();
  await rm(folder, { recursive: true, force: true });
});

const withServer = (): Record<string, string> => ({ SLUICE_URL: server.url });

test("the first start prints one plain line with the address, and a key that only its owner may read", async () => {
  assert.equal(
    server.greeting.filter((line) => /^listening on http:\/\/127\.0\.0\.1:\d+$/.test(line)).length,
    1,
  );
  const key = (await readFile(join(data, "first-key"), "utf8")).trim();
  assert.ok(server.greeting.some((line) => line.includes(key)));
  assert.equal((await stat(join(data, "first-key"))).mode & 0o777, 0o600);
  assert.equal((await stat(join(data, "sluice.sock"))).mode & 0o777, 0o600);
});

test("the command that the first start prints works when it is pasted", async () => {
  const line = server.greeting.find((each) => each.trimStart().startsWith("try")) ?? "";
  const command = line.replace(/^\s*try\s+/, "");
  assert.match(
    command,
    new RegExp(`^SLUICE_URL=${server.url} .*sluice run test/card text=.* --data ${data}$`),
  );
  const out = join(folder, "pasted.txt");
  const { FAL_KEY: _, FAL_KEY_ID: __, FAL_KEY_SECRET: ___, ...environment } = process.env;
  const child = spawn("sh", ["-c", `${command} --out ${out}`], {
    stdio: ["ignore", "pipe", "pipe"],
    env: environment,
    timeout: LIMIT_MS,
  });
  const [said, errors] = await Promise.all([read(child.stdout!), read(child.stderr!)]);
  assert.equal(said, `${out}\n`, errors);
});

test("run sends one request with the key of the first start and saves the file", async () => {
  const out = join(folder, "out", "card.txt");
  const ended = await sluice(
    ["run", "test/card", "text=hello there", "--data", data, "--out", out],
    withServer(),
  );
  assert.equal(ended.code, 0, ended.err);
  assert.equal(ended.out.trim(), out);
  assert.equal(await readFile(out, "utf8"), "hello there");
});

test("run shows the warnings of the request, each once", async () => {
  const out = join(folder, "warned.txt");
  const words = ["run", "test/card", "text=an XL card", "--data", data, "--out", out];
  const ended = await sluice(words, withServer());
  assert.equal(ended.out, `${out}\n`);
  assert.deepEqual(
    ended.err.split("\n").filter((line) => line.startsWith("⚠")),
    [`⚠ a card is one size: see \`${findProgramName()} models list\``],
  );
  assert.equal((await sluice([...words, "--quiet"], withServer())).err, "");
});

test("run says when a file is of another kind than its name", async () => {
  const words = ["run", "test/card", "text=x", "--data", data];
  const ended = await sluice([...words, "--out", join(folder, "card.png")], withServer());
  assert.equal(ended.code, 0, ended.err);
  assert.match(ended.err, /⚠ card\.png holds a txt file: name it so, or ask for another output_format/);
});

test("run --json prints the output alone", async () => {
  const ended = await sluice(["run", "test/card", "text=x", "--json", "--data", data], withServer());
  assert.equal(JSON.parse(ended.out).text, "x");
  assert.equal(ended.err, "");
});

test("a refused input names the field on standard error", async () => {
  const ended = await sluice(["run", "test/card", "text=x", "steps=1000", "--data", data], withServer());
  assert.equal(ended.code, 1);
  assert.match(ended.err, /steps.*less than or equal to 100/);
});

test("run finds mistakes in its words before it sends anything", async () => {
  const cases: [words: string[], said: RegExp][] = [
    [["red", "apple"], /^sluice: "red" is not key=value/],
    [["text=@/no/such/file"], /^sluice: The file for text cannot be read/],
    [["text=x", "--out", folder], /^sluice: --out .* is a folder/],
    [["text=x", "--out", join(data, "first-key/x/y.txt")], /^sluice: --out .*first-key is not a folder/],
  ];
  for (const [words, said] of cases) {
    const ended = await sluice(["run", "test/card", ...words, "--data", data], withServer());
    assert.equal(ended.code, 1);
    assert.match(ended.err, said);
  }
});

const terminal = {
  skip:
    process.platform === "linux" && existsSync("/usr/bin/script")
      ? false
      : "there is no script(1) of util-linux to run it in a terminal",
};

test("Ctrl-C in a terminal cancels the request that run waits for", terminal, async () => {
  const words = ["--disable-warning=ExperimentalWarning", MAIN, "run", "test/card", "text=long", "steps=100"];
  const command = [process.execPath, ...words, "--data", data].map((word) => `'${word}'`).join(" ");
  // The terminal that script(1) makes has no width where it is not started in one.
  const child = spawn("/usr/bin/script", ["-qec", `stty cols 80 rows 24; exec ${command}`, "/dev/null"], {
    stdio: ["pipe", "pipe", "inherit"],
    // Where CI is set, a spinner takes no terminal for one with somebody before it.
    env: { ...process.env, ...withServer(), FAL_KEY: "", TERM: "xterm", CI: undefined },
    timeout: LIMIT_MS,
  });
  let screen = "";
  child.stdout.on("data", (chunk: Buffer) => {
    if (!screen.includes("/100") && chunk.includes("/100")) child.stdin.write("\u0003");
    screen += chunk.toString();
  });
  const [code] = (await once(child, "exit")) as [number | null];
  assert.match(screen, /Interrupted; the request was cancelled/);
  assert.equal(code, 130);
});

test("an unknown endpoint says how to see the known ones", async () => {
  const ended = await sluice(["run", "test/none", "text=x", "--data", data], withServer());
  assert.equal(ended.code, 1);
  assert.match(ended.err, /sluice endpoints/);
});

test("help is as wide as elsewhere in a terminal that does not know its width", terminal, async () => {
  const command = `'${process.execPath}' --disable-warning=ExperimentalWarning '${MAIN}' models add --help`;
  const child = spawn("/usr/bin/script", ["-qec", `stty cols 0; exec ${command}`, "/dev/null"], {
    stdio: ["ignore", "pipe", "inherit"],
    timeout: LIMIT_MS,
  });
  const screen = await read(child.stdout!);
  assert.equal(screen.replaceAll("\r\n", "\n"), (await sluice(["models", "add", "--help"])).out);
});

test("an interrupt while a file is uploaded ends run at once, and says that no request was made", async () => {
  const silent = createServer();
  silent.listen(0, "127.0.0.1");
  await once(silent, "listening");
  const url = `http://127.0.0.1:${(silent.address() as AddressInfo).port}`;
  const child = start(["run", "test/card", `text=@${CARD}`, "--data", data], { SLUICE_URL: url });
  silent.once("request", () => child.kill("SIGINT"));
  try {
    const [errors, [code]] = await Promise.all([read(child.stderr!), once(child, "exit")]);
    assert.match(errors, /Interrupted; no request was made\./);
    assert.equal(code, 130);
  } finally {
    silent.closeAllConnections();
    silent.close();
  }
});

test("a refused key of the environment says that this machine has one", async () => {
  for (const command of [["run", "test/card", "text=x"], ["requests"]]) {
    const ended = await sluice([...command, "--data", data], { ...withServer(), FAL_KEY: "some:body" });
    assert.equal(ended.code, 1);
    assert.match(ended.err, /Unset FAL_KEY, and the key in .*first-key is used/);
  }
  const unset = await sluice(["requests", "--data", data], { ...withServer(), FAL_KEY: "" });
  assert.equal(unset.code, 0, unset.err);
});

test("keys made while the server runs work at once, and revoked ones stop at once", async () => {
  const created = await sluice(["keys", "create", "--name", "app", "--data", data]);
  const credential = created.out.trim();
  assert.match(credential, /^[0-9a-f-]{36}:[0-9a-f]{32}$/);
  assert.equal(created.out, `${credential}\n`, "the key is alone on standard output");
  const submit = () =>
    fetch(`${server.url}/queue/test/card`, {
      method: "POST",
      headers: { authorization: `Key ${credential}` },
      body: JSON.stringify({ text: "x" }),
    });
  assert.equal((await submit()).status, 200);
  const id = credential.split(":")[0]!;
  const listed = await sluice(["keys", "list", "--data", data]);
  const line = listed.out.split("\n").find((each) => each.startsWith(id));
  assert.match(line ?? "", /active +(\d{4}-\d\d-\d\d \d\d:\d\d) +\d{4}-\d\d-\d\d \d\d:\d\d +none +app$/);
  const limited = await sluice(["keys", "update", id, "--requests-per-day", "1", "--data", data]);
  assert.equal(limited.out, `${id} app: 1 a day\n`, limited.err);
  assert.equal((await submit()).status, 200);
  assert.equal((await submit()).status, 429);
  const lifted = await sluice(["keys", "update", id, "--requests-per-day", "none", "--data", data]);
  assert.equal(lifted.out, `${id} app: none\n`, lifted.err);
  assert.equal((await submit()).status, 200);
  assert.ok(!listed.out.includes(credential.split(":")[1]!), "the secret is not shown again");
  const revoked = await sluice(["keys", "revoke", credential.split(":")[0]!, "--data", data]);
  assert.equal(revoked.code, 0, revoked.err);
  assert.equal((await submit()).status, 401);
  const again = await sluice(["keys", "revoke", credential.split(":")[0]!, "--data", data]);
  assert.equal(again.code, 1);
});

test("an API key may not do what needs ADMIN", async () => {
  const { out } = await sluice(["keys", "create", "--data", data]);
  const ended = await sluice(["requests", "--data", data, "--json"], {
    ...withServer(),
    FAL_KEY: out.trim(),
  });
  assert.equal(ended.code, 0, ended.err);
  assert.deepEqual(JSON.parse(ended.out), [], "it sees only its own");
});

test("endpoints shows what the server offers, and what answers", async () => {
  const ended = await sluice(["endpoints", "--data", data], withServer());
  assert.match(ended.out, /test\/card/);
});

test("requests shows the history, and one request whole", async () => {
  const { out } = await sluice(["requests", "--json", "--data", data], withServer());
  const rows = JSON.parse(out) as { request_id: string; state: string }[];
  assert.ok(rows.some((row) => row.state === "succeeded"));
  const one = await sluice(["requests", rows[0]!.request_id, "--json", "--data", data], withServer());
  assert.equal(JSON.parse(one.out).request_id, rows[0]!.request_id);
});

test("requests tells a filter that nothing matches from an endpoint that is not there", async () => {
  const unknown = await sluice(["requests", "--endpoint", "test/crad", "--data", data], withServer());
  assert.equal(unknown.code, 1);
  assert.match(unknown.err, /no endpoint "test\/crad", and no requests of one.\n.*sluice endpoints/);
  const filter = ["--endpoint", "test/card", "--state", "queued"];
  const none = await sluice(["requests", ...filter, "--data", data], withServer());
  assert.match(none.out, /^No requests match --endpoint test\/card --state queued; .*sluice requests/);
});

test("types writes a declaration for the endpoints", async () => {
  const file = join(folder, "endpoints.d.ts");
  const ended = await sluice(["types", "--out", file, "--data", data], withServer());
  assert.equal(ended.code, 0, ended.err);
  assert.match(await readFile(file, "utf8"), /"test\/card"/);

  const unknown = await sluice(["types", "test/crad", "--data", data], withServer());
  assert.equal(unknown.code, 1);
  assert.match(unknown.err, /no endpoint "test\/crad".*It has test\/card/s);
  const nowhere = await sluice(["types", "--out", join(folder, "none/x.d.ts"), "--data", data], withServer());
  assert.match(nowhere.err, /none\/x\.d\.ts cannot be written/);
});

test("an address that is none is said to be none", async () => {
  for (const command of [["endpoints"], ["run", "test/card"], ["requests"]]) {
    const ended = await sluice([...command, "--data", data], { SLUICE_URL: "localhost:7777" });
    assert.equal(ended.code, 1);
    assert.match(ended.err, /SLUICE_URL must be .*http:\/\/127\.0\.0\.1:7777.*not "localhost:7777"/);
  }
});

test("a second server on the same folder is refused with the reason, and the first goes on", async () => {
  const ended = await sluice(["serve", "--port", "0", "--data", data, "--no-shipped", CARD]);
  assert.equal(ended.code, 1);
  assert.match(ended.err, /Another Sluice server is using the data folder/);
  assert.equal((await fetch(`${server.url}/health`)).status, 200);
});

test("a port in use is named, with what to do", async () => {
  const port = new URL(server.url).port;
  const ended = await sluice([
    "serve",
    "--port",
    port,
    "--data",
    join(folder, "other"),
    "--no-shipped",
    CARD,
  ]);
  assert.equal(ended.code, 1);
  assert.match(ended.err, new RegExp(`Port ${port} on 127\\.0\\.0\\.1 is in use`));
  assert.match(ended.err, /--port/);
});

test("a model file that is missing or wrong is named", async () => {
  const missing = await sluice([
    "serve",
    "--port",
    "0",
    "--data",
    join(folder, "m1"),
    "--no-shipped",
    "/no/model.ts",
  ]);
  assert.match(missing.err, /There is no model file \/no\/model\.ts/);
  const wrong = join(folder, "wrong.ts");
  await writeFile(wrong, "export default { id: 'nonsense' };");
  const ended = await sluice(["serve", "--port", "0", "--data", join(folder, "m2"), "--no-shipped", wrong]);
  assert.equal(ended.code, 1);
  assert.match(ended.err, /wrong\.ts/);
});

test("a wrong setting is named before anything starts", async () => {
  const ended = await sluice(["serve", "--data", join(folder, "s")], { SLUICE_LEASE: "soon" });
  assert.equal(ended.code, 1);
  assert.match(ended.err, /SLUICE_LEASE must be a duration/);
});

test("no server at the address says how to start one", async () => {
  const ended = await sluice(["endpoints"], { SLUICE_URL: "http://127.0.0.1:9" });
  assert.equal(ended.code, 1);
  assert.match(ended.err, /No server answers at http:\/\/127\.0\.0\.1:9/);
  assert.match(ended.err, /sluice serve/);
});

test("metrics are open on this machine and count the requests", async () => {
  const text = await (await fetch(`${server.url}/metrics`)).text();
  assert.match(text, /sluice_requests_total\{endpoint="test\/card",surface="queue",status="200"\} [1-9]/);
  assert.match(text, /sluice_queue_depth\{endpoint="test\/card"\} 0/);
});

test("doctor finds a healthy install", async () => {
  const ended = await sluice(["doctor", "--data", data], withServer());
  assert.equal(ended.code, 0, ended.out);
  assert.match(ended.out, /server +http:\/\/127\.0\.0\.1:\d+ answers/);
});

test("doctor makes nothing", async () => {
  const missing = join(folder, "not/yet");
  const ended = await sluice(["doctor", "--data", missing], { SLUICE_URL: "http://127.0.0.1:9" });
  assert.equal(ended.code, 0, ended.out);
  assert.match(ended.out, /data folder +\S+not\/yet \(the first start makes it\)/);
  assert.equal(existsSync(join(folder, "not")), false);
});

test("help has examples for every command, and fits into 80 columns", async () => {
  const commands = [
    ...[
      "serve",
      "run",
      "exec",
      "endpoints",
      "requests",
      "types",
      "webhooks listen",
      "backup",
      "restore",
      "doctor",
    ],
    ...["keys create", "keys list", "keys update", "keys revoke"],
    ...["models list", "models pull", "models add", "models remove"],
  ];
  for (const command of ["", "keys", "models", "webhooks", ...commands]) {
    const ended = await sluice([...command.split(" ").filter(Boolean), "--help"]);
    assert.equal(ended.code, 0, command);
    const [explained = "", examples] = ended.out.split(/^Examples?:\n/m);
    assert.match(examples ?? "", /^ {2}\S*.*sluice /, `${command} has an example`);
    const wide = explained.split("\n").filter((line) => line.length > 80);
    assert.deepEqual(wide, [], command);
  }
});

test("a backup taken while the server runs restores to a server with the same keys, requests and files", async () => {
  const key = (await readFile(join(data, "first-key"), "utf8")).trim();
  const authorization = `Key ${key}`;
  const submitted = await fetch(`${server.url}/queue/test/card`, {
    method: "POST",
    headers: { authorization },
    body: JSON.stringify({ text: "kept ".repeat(20_000) }),
  });
  const { request_id } = (await submitted.json()) as { request_id: string };
  const path = `/queue/test/card/requests/${request_id}`;
  await waitFor(
    async () => (await fetch(`${server.url}${path}/status`, { headers: { authorization } })).status === 200,
  );

  const copy = join(folder, "backup");
  const backup = await sluice(["backup", copy, "--data", data]);
  assert.equal(backup.code, 0, backup.err);
  const again = await sluice(["backup", copy, "--data", data]);
  assert.match(again.err, /exists/);

  const restored = join(folder, "restored");
  const restore = await sluice(["restore", copy, "--data", restored]);
  assert.equal(restore.code, 0, restore.err);
  const second = await serve(restored);
  try {
    assert.equal((await stat(join(restored, "first-key"))).mode & 0o777, 0o600);
    assert.ok(second.greeting.some((line) => /^ {2}key +in .*restored.first-key$/.test(line)));
    const own = await sluice(["requests", "--json", "--data", restored], { SLUICE_URL: second.url });
    assert.ok((JSON.parse(own.out) as unknown[]).length > 0, "this machine has a key to look with");
    assert.equal((await stat(restored)).mode & 0o777, 0o700);
    const response = await fetch(`${second.url}${path}`, { headers: { authorization } });
    assert.equal(response.status, 200);
    const output = (await response.json()) as { card: { url: string } };
    assert.ok(output.card.url.startsWith(second.url));
    assert.equal((await (await fetch(output.card.url)).text()).length, 100_000);
  } finally {
    assert.equal(await second.stop(), 0);
  }
  const taken = await sluice(["restore", copy, "--data", restored]);
  assert.match(taken.err, /is not empty/);
});

test("a restore that fails leaves nothing behind", async () => {
  const copy = join(folder, "damaged");
  await mkdir(copy);
  await writeFile(join(copy, "sluice.db"), "not a database");
  const place = join(folder, "for-a-restore");
  await mkdir(place);
  for (const [environment, said] of [
    [{}, /damaged.sluice\.db is damaged\.\n/],
    [{ SLUICE_PORT: "none" }, /SLUICE_PORT/],
  ] as const) {
    const ended = await sluice(["restore", copy, "--data", join(place, "data")], environment);
    assert.equal(ended.code, 1);
    assert.match(ended.err, said);
    assert.deepEqual(await readdir(place), []);
  }
});

test("keys can be made and revoked while no server runs", async () => {
  const offline = join(folder, "offline");
  const created = await sluice(["keys", "create", "--scope", "ADMIN", "--data", offline]);
  assert.equal(created.code, 0, created.err);
  const id = created.out.split(":")[0]!;
  const listed = await sluice(["keys", "list", "--json", "--data", offline]);
  assert.deepEqual(
    (JSON.parse(listed.out) as { id: string; scope: string }[]).map((key) => [key.id, key.scope]),
    [[id, "ADMIN"]],
  );
  const renamed = await sluice(["keys", "update", id, "--name", "ops", "--queued", "5", "--data", offline]);
  assert.equal(renamed.out, `${id} ops: 5 waiting\n`, renamed.err);
  assert.equal((await sluice(["keys", "revoke", id, "--data", offline])).code, 0);
  const gone = await sluice(["keys", "update", id, "--name", "x", "--data", offline]);
  assert.match(gone.err, /There is no active key/);
  const nowhere = await sluice(["keys", "list", "--data", join(folder, "nowhere")]);
  assert.match(nowhere.err, /There is no store in/);
});

async function waitFor(condition: () => Promise<boolean>): Promise<void> {
  const until = Date.now() + 20_000;
  while (!(await condition())) {
    if (Date.now() > until) throw new Error("It did not come true in 20 seconds.");
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
}
