import assert from "node:assert/strict";
import { type ChildProcess, fork } from "node:child_process";
import { createHash, randomBytes } from "node:crypto";
import { once } from "node:events";
import { existsSync, rmSync } from "node:fs";
import {
  cp,
  mkdir,
  mkdtemp,
  readdir,
  readFile,
  rename,
  rm,
  stat,
  symlink,
  truncate,
  writeFile,
} from "node:fs/promises";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { join, relative } from "node:path";
import { afterEach, beforeEach, describe, test } from "node:test";
import { fileURLToPath } from "node:url";
import { gzipSync } from "node:zlib";
import { createDiffusionFolder } from "../testing/diffusion-folder.ts";
import { type FileAnswer, type HubServer, startHubServer } from "../testing/hub-server.ts";
import { writeSafetensors } from "../testing/weights-files.ts";
import { realDisk } from "./disk.ts";
import type { Hub } from "./hub.ts";
import { findInstalledModel, listInstalledModels } from "./installed-models.ts";
import { parseModelSource } from "./model-source.ts";
import {
  deleteModelFiles,
  listUnfinishedPulls,
  type PulledModel,
  type PullOptions,
  pullModel,
} from "./pull-model.ts";
import { WeightsError } from "./weights-error.ts";

let server: HubServer;
let weightsDir = "";

beforeEach(async () => {
  server = await startHubServer();
  weightsDir = await mkdtemp(join(tmpdir(), "sluice-weights-"));
});
afterEach(async () => {
  await server[Symbol.asyncDispose]();
  await rm(weightsDir, { recursive: true, force: true });
});

const REPOSITORY = "acme/tiny-flux";
const BIG = "transformer/model.onnx_data";
/** Weights that nobody reads, of several pieces. */
const BYTES = randomBytes(700_000);

interface Change extends Partial<PullOptions> {
  readonly hub?: Hub;
}

function hub(fields: Partial<Hub> = {}): Hub {
  return { url: server.url, token: undefined, isOffline: false, retryMs: 1, idleMs: 2_000, ...fields };
}

function pull(asked: string, change: Change = {}): Promise<PulledModel> {
  const used = change.hub ?? hub();
  return pullModel({
    name: "m",
    source: parseModelSource(asked, used),
    asked,
    weightsDir,
    hub: used,
    signal: new AbortController().signal,
    onProgress: () => {},
    isLicenseAccepted: false,
    ...change,
  });
}

/** A model of the real layout with a big file beside it. */
async function putModel(): Promise<void> {
  await using folder = await createDiffusionFolder("flux", { variant: "schnell" });
  await server.putFolder(REPOSITORY, folder.path, "apache-2.0");
  server.put(REPOSITORY, { [BIG]: BYTES, ".gitattributes": "x", "picture.png": "x" });
}

async function assertWhole(): Promise<void> {
  const path = join(weightsDir, "m");
  assert.equal(sha256(await readFile(join(path, BIG))), sha256(BYTES));
  const model = await findInstalledModel(weightsDir, "m");
  assert(model !== undefined);
  for (const file of model.files)
    assert.equal(sha256(await readFile(join(path, file.path))), file.sha256, file.path);
  const left = (await readdir(path, { recursive: true })).filter((name) => /\.(part|etag)$/.test(name));
  assert.deepEqual(left, []);
}

const sha256 = (bytes: Uint8Array) => createHash("sha256").update(bytes).digest("hex");
const sentOf = (name: string) =>
  server.seen.filter(({ path }) => path.endsWith(name)).reduce((sum, { sent }) => sum + sent, 0);

const LONE = "one.safetensors";
const LONE_BYTES = writeSafetensors(["double_blocks.0.x", "vae.x"], { padding: "1".repeat(400_000) });
const LEFT = 200_000;

/** A file that was half fetched from an address that tells no hash. */
async function leavePart(): Promise<void> {
  server.put("acme/plain", { [LONE]: LONE_BYTES });
  const part = join(weightsDir, `.pulling/m/${LONE}.part`);
  await mkdir(join(weightsDir, ".pulling/m"), { recursive: true });
  await writeFile(part, LONE_BYTES.subarray(0, LEFT));
  const etag = createHash("md5").update(LONE_BYTES).digest("hex");
  await writeFile(`${part}.etag`, `"${etag}"\n${LONE_BYTES.length}`);
}

type Forge = (answer: FileAnswer) => Partial<FileAnswer>;

/** An answer whose body is sent in chunks, so that only its head says how long it should be. */
function inChunks(
  { headers: { "content-length": _, ...headers } }: FileAnswer,
  change: Record<string, string> = {},
): Record<string, string> {
  return { ...headers, ...change };
}

const [END, TOTAL] = [LONE_BYTES.length - 1, LONE_BYTES.length];

/** What a server can do wrong with a request for the bytes from `LEFT` on. */
const WRONG_PARTS: Readonly<Record<string, Forge>> = {
  "sends another part": ({ headers, body }) => ({
    headers: {
      ...headers,
      "content-length": String(body.length - 1_000),
      "content-range": `bytes ${LEFT + 1_000}-${END}/${TOTAL}`,
    },
    body: body.subarray(1_000),
  }),
  "says that the file is longer now": ({ headers, body }) => ({
    headers: {
      ...headers,
      "content-length": String(body.length + 9),
      "content-range": `bytes ${LEFT}-${END + 9}/${TOTAL + 9}`,
    },
    body: Buffer.concat([body, Buffer.alloc(9, 7)]),
  }),
  "does not say which part it sends": ({ headers: { "content-range": _, ...headers }, body }) => ({
    headers: { ...headers, "content-length": String(body.length) },
  }),
  "does not say how long the whole is": (answer) => ({
    headers: inChunks(answer, { "content-range": `bytes ${LEFT}-${END - 500}/*` }),
    body: answer.body.subarray(0, -500),
  }),
  "sends more than it says": (answer) => ({
    headers: inChunks(answer, { "content-range": `bytes ${LEFT}-${LEFT + 99}/${TOTAL}` }),
    body: Buffer.concat([answer.body.subarray(0, 100), Buffer.alloc(100, 7)]),
  }),
  "sends less than it says": (answer) => ({
    headers: inChunks(answer),
    body: answer.body.subarray(0, 70_000),
  }),
  "goes on with another file": ({ headers, body }) => ({
    headers: { ...headers, etag: '"another"' },
    body: Buffer.alloc(body.length, 7),
  }),
  "does not say whether it is the same file": ({ headers: { etag: _, ...headers }, body }) => ({
    headers: { ...headers, "content-length": String(body.length) },
    body: Buffer.alloc(body.length, 7),
  }),
  "compresses the part": ({ headers, body: whole }) => {
    const body = gzipSync(whole.map(() => 7));
    return {
      headers: { ...headers, "content-encoding": "gzip", "content-length": String(body.length) },
      body,
    };
  },
  "sends all of it": ({ headers: { "content-range": _, ...headers } }) => ({
    status: 200,
    headers: { ...headers, "content-length": String(TOTAL) },
    body: LONE_BYTES,
  }),
  "has no such part": () => ({
    status: 416,
    headers: { "content-range": `bytes */${LEFT}`, "content-length": "0" },
    body: Buffer.alloc(0),
  }),
};

/** What a server can do wrong with a request for all of a file whose length is known. */
const WRONG_WHOLES: readonly (readonly [string, Forge, RegExp])[] = [
  [
    "a part that nobody asked for",
    ({ headers, body }) => ({
      status: 206,
      headers: {
        ...headers,
        "content-length": String(body.length - 5),
        "content-range": `bytes 5-${BYTES.length - 1}/${BYTES.length}`,
      },
      body: body.subarray(5),
    }),
    /onnx_data is not sent as it was asked for: .*bytes 5-/,
  ],
  [
    "a file of another length than the hub's list says",
    ({ headers, body }) => ({
      headers: { ...headers, "content-length": "600000" },
      body: body.subarray(0, 600_000),
    }),
    /600000 bytes instead of 700000/,
  ],
  [
    "a body that is longer than that",
    (answer) => ({ headers: inChunks(answer), body: Buffer.concat([answer.body, answer.body]) }),
    /longer than/,
  ],
  ["an answer without bytes", () => ({ status: 204, headers: {}, body: Buffer.alloc(0) }), /204/],
  [
    "an answer to a range that was not asked for",
    () => ({ status: 416, headers: { "content-length": "0" }, body: Buffer.alloc(0) }),
    /416/,
  ],
];

function says(message: RegExp, next?: RegExp): (error: unknown) => boolean {
  return (error) => {
    assert(error instanceof WeightsError, String((error as Error).stack));
    assert.match(error.message, message);
    if (next !== undefined) assert.match(error.next.join("\n"), next);
    return true;
  };
}

describe("a pull", () => {
  test("brings what a model needs, with its licence, commit and hashes, and knows it again", async () => {
    await putModel();
    // Where the weights of a graph lie that was exported by older programs.
    server.put(REPOSITORY, { "vae_decoder/weights.pb": "x" });
    const { model, isNew } = await pull(`hf:${REPOSITORY}`);
    assert(isNew);
    assert.deepEqual(
      [model.engine, model.family, model.license, model.terms],
      ["onnx", "flux", "apache-2.0", "open"],
    );
    assert.match(model.source.repositories[0]?.commit ?? "", /^[0-9a-f]{40}$/);
    const paths = model.files.map(({ path }) => path);
    for (const path of ["model_index.json", BIG, "vae_decoder/weights.pb"])
      assert(paths.includes(path), path);
    assert(!paths.includes("picture.png") && !paths.includes(".gitattributes"));
    await assertWhole();
    server.forget();
    assert.equal((await pull(`hf:${REPOSITORY}`)).isNew, false);
    assert.equal(server.seen.filter(({ path }) => path.includes("/resolve/")).length, 0);
    assert.deepEqual(
      (await listInstalledModels(weightsDir)).map(({ name }) => name),
      ["m"],
    );
  });

  test("takes the addresses that people copy", async () => {
    await putModel();
    server.put(REPOSITORY, { "one.safetensors": writeSafetensors(["double_blocks.0.x", "vae.x"]) });
    for (const asked of [
      `${server.url}/${REPOSITORY}`,
      `https://huggingface.co/${REPOSITORY}/tree/main`,
      `hf:${REPOSITORY}@main`,
    ])
      assert.equal((await pull(asked)).model.family, "flux");
    for (const asked of [
      `https://huggingface.co/${REPOSITORY}/blob/main/one.safetensors`,
      `hf:${REPOSITORY}/one.safetensors`,
      `${server.url}/${REPOSITORY}/resolve/main/one.safetensors`,
    ]) {
      const { model } = await pull(asked, { name: "one", isForced: true });
      assert.deepEqual([model.engine, model.roles], ["sd-server", { model: "one.safetensors" }]);
    }
  });

  test("goes on after a broken connection without asking for a byte twice", async () => {
    await putModel();
    server.setTrouble(BIG, { breakAfter: 200_000, times: 2 });
    await pull(`hf:${REPOSITORY}`);
    await assertWhole();
    const ranges = server.seen.filter(({ path, server: on }) => on === "cdn" && path.endsWith(BIG));
    assert.equal(ranges.length, 3);
    // What was on its way when the connection broke may be lost with it.
    for (const { range, ifRange } of ranges.slice(1)) {
      assert.match(range ?? "", /^bytes=\d+-$/);
      assert.match(ifRange ?? "", /^"/);
    }
    const starts = ranges.map(({ range }) => Number(/\d+/.exec(range ?? "0")?.[0] ?? 0));
    assert.deepEqual(
      starts,
      [...starts].sort((a, b) => a - b),
    );
    assert((starts[2] as number) > (starts[1] as number));
  });

  test("gives up a connection that says nothing, and asks again", async () => {
    await putModel();
    server.setTrouble(BIG, { stallAfter: 100_000, times: 1 });
    await pull(`hf:${REPOSITORY}`, { hub: hub({ idleMs: 150 }) });
    await assertWhole();
  });

  test("begins again when the file has become another one", async () => {
    await putModel();
    const other = randomBytes(650_000);
    server.setTrouble(BIG, { breakAfter: 200_000, times: 1 });
    const stopped = new AbortController();
    await assert.rejects(
      pull(`hf:${REPOSITORY}`, {
        signal: stopped.signal,
        parallel: 1,
        onProgress: ({ files }) => {
          if ((files.find(({ path }) => path === BIG)?.doneBytes ?? 0) > 100_000)
            stopped.abort(new Error("stop"));
        },
      }),
      /stop/,
    );
    server.setTrouble(BIG, undefined);
    server.put(REPOSITORY, { [BIG]: other });
    await pull(`hf:${REPOSITORY}`);
    assert.equal(sha256(await readFile(join(weightsDir, "m", BIG))), sha256(other));
  });

  test("of an address keeps no token that was in it", async () => {
    server.put("acme/plain", { "one.safetensors": writeSafetensors(["double_blocks.0.x", "vae.x"]) });
    const url = `${server.url}/acme/plain/resolve/main/one.safetensors`;
    const asked = `${url}?token=xyzzy`;
    const source = { kind: "url", url: asked, path: "one.safetensors" } as const;
    const { model } = await pull(asked, { source });
    assert.equal(model.source.asked, url);
    assert(!(await readFile(join(weightsDir, "m/sluice.json"), "utf8")).includes("xyzzy"));
  });

  test("of an address without hashes begins again when its ETag changes on the way", async () => {
    const write = (fill: number) =>
      writeSafetensors(["double_blocks.0.x", "vae.x"], { padding: String(fill).repeat(400_000) });
    const path = "one.safetensors";
    server.put("acme/plain", { [path]: write(1) });
    server.setTrouble(path, { breakAfter: 200_000, times: 1 });
    let isChanged = false;
    const { model } = await pull(`${server.cdnUrl}/acme/plain/resolve/main/${path}`, {
      onProgress: ({ doneBytes }) => {
        if (isChanged || doneBytes < 100_000) return;
        isChanged = true;
        server.put("acme/plain", { [path]: write(2) });
      },
    });
    assert.equal(model.files[0]?.sha256, sha256(write(2)));
    assert.deepEqual(await readFile(join(weightsDir, "m", path)), write(2));
    const asked = server.seen.filter((request) => request.path.endsWith(path));
    assert.match(asked[1]?.ifRange ?? "", /^"/);
  });

  for (const [what, forge] of Object.entries(WRONG_PARTS))
    test(`of an address without hashes comes right although the server ${what}`, async () => {
      await leavePart();
      server.setTrouble(LONE, {
        forge: (answer, { range }) => (range === undefined ? answer : { ...answer, ...forge(answer) }),
      });
      await pull(`${server.cdnUrl}/acme/plain/resolve/main/${LONE}`);
      assert.deepEqual(await readFile(join(weightsDir, "m", LONE)), LONE_BYTES);
      assert(server.seen.some(({ range }) => range === `bytes=${LEFT}-`));
    });

  for (const [what, forge, message] of WRONG_WHOLES)
    test(`refuses ${what}`, async () => {
      await putModel();
      server.setTrouble(BIG, { forge: (answer) => ({ ...answer, ...forge(answer) }) });
      await assert.rejects(pull(`hf:${REPOSITORY}`), says(message, /another mirror/));
      assert(!existsSync(join(weightsDir, "m")));
    });

  test("of an address that is sent compressed keeps what was compressed", async () => {
    server.put("acme/plain", { [LONE]: LONE_BYTES });
    const body = gzipSync(LONE_BYTES);
    const headers = { "content-encoding": "gzip", "content-length": String(body.length) };
    server.setTrouble(LONE, { forge: () => ({ status: 200, headers, body }) });
    await pull(`${server.cdnUrl}/acme/plain/resolve/main/${LONE}`);
    assert.deepEqual(await readFile(join(weightsDir, "m", LONE)), LONE_BYTES);
  });

  test("ends when the connection breaks every time and nothing can be gone on with", async () => {
    await putModel();
    server.setTrouble(BIG, {
      breakAfter: 200_000,
      forge: (answer) => ({ status: 200, headers: {}, body: answer.body }),
    });
    await assert.rejects(pull(`hf:${REPOSITORY}`), says(/breaks again and again/, /Pull again/));
    assert(server.seen.length < 60, `${server.seen.length} requests`);
  });

  test("takes up what an interrupted pull left", async () => {
    await putModel();
    const stopped = new AbortController();
    await assert.rejects(
      pull(`hf:${REPOSITORY}`, {
        signal: stopped.signal,
        onProgress: ({ files }) => {
          if ((files.find(({ path }) => path === BIG)?.doneBytes ?? 0) > 300_000)
            stopped.abort(new Error("stop"));
        },
      }),
      /stop/,
    );
    assert(!existsSync(join(weightsDir, "m")));
    const [left] = await listUnfinishedPulls(weightsDir);
    assert(left !== undefined && left.name === "m" && left.bytes > 300_000);
    const part = await stat(join(weightsDir, ".pulling/m", `${BIG}.part`));
    server.forget();
    await pull(`hf:${REPOSITORY}`);
    await assertWhole();
    const again = server.seen.find(({ path, server: on }) => on === "cdn" && path.endsWith(BIG));
    assert.equal(again?.range, `bytes=${part.size}-`);
    assert.equal(sentOf(BIG), BYTES.length - part.size);
    assert.deepEqual(await listUnfinishedPulls(weightsDir), []);
  });

  test("that is stopped while it looks at what lies there looks no further", async () => {
    await putModel();
    const other = "transformer/other.onnx_data";
    server.put(REPOSITORY, { [other]: BYTES });
    const staging = join(weightsDir, ".pulling/m/transformer");
    await mkdir(staging, { recursive: true });
    await writeFile(join(weightsDir, ".pulling/m", BIG), BYTES);
    await writeFile(join(weightsDir, ".pulling/m", other), Buffer.alloc(BYTES.length));
    const stopped = new AbortController();
    const onProgress: PullOptions["onProgress"] = ({ files }) => {
      if (files.some(({ path, doneBytes }) => path === BIG && doneBytes > 0))
        stopped.abort(new Error("stop"));
    };
    await assert.rejects(
      pull(`hf:${REPOSITORY}`, { signal: stopped.signal, parallel: 1, onProgress }),
      /stop/,
    );
    assert(existsSync(join(weightsDir, ".pulling/m", other)), "one that is wrong is not found out");
  });

  test("that is killed is taken up by the next one", async () => {
    await putModel();
    server.setTrouble(BIG, { delayMs: 20 });
    const child = fork(fileURLToPath(new URL("../testing/pull-child.ts", import.meta.url)), [
      server.url,
      weightsDir,
      `hf:${REPOSITORY}`,
    ]);
    await waitForPart(child);
    child.kill("SIGKILL");
    await once(child, "exit");
    const part = await stat(join(weightsDir, ".pulling/m", `${BIG}.part`));
    assert(part.size > 0 && part.size < BYTES.length);
    server.setTrouble(BIG, undefined);
    server.forget();
    await pull(`hf:${REPOSITORY}`);
    await assertWhole();
    assert.equal(sentOf(BIG), BYTES.length - part.size);
    // Files that were whole are not fetched at all.
    const whole = server.seen.filter(({ path }) => path.includes("/resolve/") && !path.endsWith(BIG));
    assert(whole.length < 20);
  });

  test("that dies while it replaces a version leaves that one, and nothing beside it", async () => {
    await putModel();
    await pull(`hf:${REPOSITORY}`);
    const [target, old] = [join(weightsDir, "m"), join(weightsDir, ".pulling/m+old")];
    // Between the two renames; the hub is away when it is tried again.
    await rename(target, old);
    await assert.rejects(pull(`hf:${REPOSITORY}`, { hub: hub({ isOffline: true }) }));
    await assertWhole();
    assert(!existsSync(old));
    // After them.
    await cp(target, old, { recursive: true });
    assert.equal((await pull(`hf:${REPOSITORY}`)).isNew, false);
    assert(!existsSync(old));
    await cp(target, old, { recursive: true });
    assert.equal(await deleteModelFiles(weightsDir, "m"), true);
    assert(!existsSync(old) && !existsSync(target));
  });

  test("that was answered is whole after a power cut", async () => {
    await putModel();
    /** Of each folder, the names that a power cut leaves. */
    const lasting = new Map<string, readonly string[]>();
    const syncFolder = async (folder: string): Promise<void> => {
      lasting.set(relative(weightsDir, folder), (await readdir(folder)).sort());
    };
    await pull(`hf:${REPOSITORY}`, { disk: { ...realDisk, syncFolder } });
    const entries = await readdir(join(weightsDir, "m"), { recursive: true, withFileTypes: true });
    const folders = entries
      .filter((entry) => entry.isDirectory())
      .map((entry) => join(entry.parentPath, entry.name));
    assert(folders.length > 4);
    for (const folder of [join(weightsDir, "m"), ...folders]) {
      // It has this name since the last step alone: its entries have to last before that one does.
      const before = join(".pulling", relative(weightsDir, folder));
      assert.deepEqual(lasting.get(before), (await readdir(folder)).sort(), before);
    }
    assert(lasting.get("")?.includes("m"));
    assert(lasting.has(".."), "the folder of weights was made for it");
  });

  test("refuses a second one of the same model, and not one of another", async () => {
    await putModel();
    server.setTrouble(BIG, { delayMs: 20 });
    const first = pull(`hf:${REPOSITORY}`);
    await assert.rejects(
      pull(`hf:${REPOSITORY}`),
      says(/m is being pulled by another process/, /goes on where/),
    );
    server.setTrouble(BIG, undefined);
    await pull(`hf:${REPOSITORY}`, { name: "n" });
    await first;
  });

  test("throws a file with a wrong hash away and says so", async () => {
    await putModel();
    server.setTrouble(BIG, { corrupt: true });
    await assert.rejects(pull(`hf:${REPOSITORY}`), says(/onnx_data is not what it should be/, /Pull again/));
    assert(!existsSync(join(weightsDir, "m")));
    server.setTrouble(BIG, undefined);
    await pull(`hf:${REPOSITORY}`);
    await assertWhole();
  });

  test("checks small files too, by their git hash", async () => {
    await putModel();
    server.setTrouble("model_index.json", { corrupt: true });
    await assert.rejects(pull(`hf:${REPOSITORY}`), says(/model_index\.json is not what it should be/));
  });

  test("starts over once when what lay there before is wrong", async () => {
    await putModel();
    const folder = join(weightsDir, ".pulling/m/transformer");
    await mkdir(folder, { recursive: true });
    await writeFile(join(weightsDir, ".pulling/m", `${BIG}.part`), randomBytes(5_000));
    await pull(`hf:${REPOSITORY}`);
    await assertWhole();
  });

  test("waits when the hub is busy or broken, a few times", async () => {
    await putModel();
    server.setTrouble("list", { status: 429, headers: { "retry-after": "0" }, times: 2 });
    server.setTrouble(BIG, { status: 503, times: 2 });
    await pull(`hf:${REPOSITORY}`);
    await assertWhole();
  });

  for (const [status, message, next] of [
    [401, /does not exist, or may be read only with a token/, /HF_TOKEN/],
    [403, /is not open to/, /Accept its terms at http.*acme\/tiny-flux/],
    [404, /does not exist \(404\)/, /Check owner/],
    [429, /wants fewer requests/, /Wait a while/],
    [500, /answered 500 5 times/, /SLUICE_HUB names a mirror/],
  ] as const)
    test(`explains an answer of ${status}`, async () => {
      server.setTrouble("list", { status, headers: { "retry-after": "0" } });
      await assert.rejects(pull(`hf:${REPOSITORY}`), says(message, next));
    });

  test("of an address elsewhere that wants to know who asks does not send people to the hub", async () => {
    server.put("acme/plain", { [LONE]: LONE_BYTES });
    for (const status of [401, 403]) {
      server.setTrouble(LONE, { status });
      await assert.rejects(
        pull(`${server.cdnUrl}/acme/plain/resolve/main/${LONE}?key=secret`),
        says(
          new RegExp(
            `^${server.cdnUrl}/acme/plain/resolve/main/${LONE} answers only those .*\\(${status}\\)`,
          ),
          /Fetch the file yourself.*HF_TOKEN goes to the hub alone/,
        ),
      );
    }
  });

  test("refuses an address that cannot be asked for", () => {
    const of = (asked: string) => () => parseModelSource(asked, { url: "https://huggingface.co" });
    assert.throws(
      of("https://huggingface.co/a/b/resolve/main/100%.gguf"),
      says(/100%\.gguf" is not an address/),
    );
    assert.throws(of("https://example.org/100%.gguf"), says(/100%\.gguf" is not an address/));
    assert.throws(of("https://me:secret@example.org/x.gguf"), (error: WeightsError) => {
      assert.doesNotMatch(error.message, /secret/);
      return says(/example\.org holds a password/, /give its path/)(error);
    });
  });

  test("explains that nobody answers, and that offline mode is on", async () => {
    const url = "http://127.0.0.1:9";
    await assert.rejects(
      pull("hf:a/b", { hub: hub({ url }) }),
      says(/127\.0\.0\.1:9 cannot be reached/, /NODE_USE_ENV_PROXY/),
    );
    await assert.rejects(
      pull("hf:a/b", { hub: hub({ isOffline: true }) }),
      says(/Offline mode is on/, /models pull \.\/FOLDER/),
    );
    assert.deepEqual(server.seen, []);
  });

  test("gives the token to the hub, never to the host that it leads to", async () => {
    await putModel();
    server.setToken("hf_secret");
    await assert.rejects(pull(`hf:${REPOSITORY}`), says(/may be read only with a token/));
    await assert.rejects(
      pull(`hf:${REPOSITORY}`, { hub: hub({ token: "hf_other" }) }),
      says(/not open to this account/),
    );
    server.forget();
    await pull(`hf:${REPOSITORY}`, { hub: hub({ token: "hf_secret" }) });
    const on = (name: string) => server.seen.filter((request) => request.server === name);
    assert(on("hub").every(({ authorization }) => authorization === "Bearer hf_secret"));
    assert(on("cdn").length > 0 && on("cdn").every(({ authorization }) => authorization === undefined));
  });

  test("follows no redirect to an address that is not https, and none without an end", async () => {
    await putModel();
    server.setTrouble(BIG, { status: 302, headers: { location: "http://models.example.org/x" } });
    await assert.rejects(
      pull(`hf:${REPOSITORY}`),
      says(/leads to http:\/\/models\.example\.org, which is not https/),
    );
    server.setTrouble(BIG, { status: 302, headers: { location: "" } });
    await assert.rejects(pull(`hf:${REPOSITORY}`), says(/from one address to another more than 10 times/));
  });

  test("keeps what it has when the disk is full", { skip: !existsSync("/dev/full") }, async () => {
    await putModel();
    const part = join(weightsDir, ".pulling/m", `${BIG}.part`);
    await mkdir(join(weightsDir, ".pulling/m/transformer"), { recursive: true });
    await symlink("/dev/full", part);
    await assert.rejects(
      pull(`hf:${REPOSITORY}`),
      says(/The disk is full while .*onnx_data\.part/, /SLUICE_WEIGHTS/),
    );
    await rm(part);
    await pull(`hf:${REPOSITORY}`);
    await assertWhole();
  });

  test("looks at the disk first", async () => {
    await putModel();
    await assert.rejects(
      pull(`hf:${REPOSITORY}`, { disk: { ...realDisk, readFreeBytes: async () => 300_000 } }),
      says(/m needs 0\.\d+ MB more on the disk, and 0\.3 MB are free/, /Nothing was fetched/),
    );
    assert.equal(server.seen.filter(({ path }) => path.includes("/resolve/")).length, 0);
  });

  test("writes nothing outside of the model's folder", async () => {
    for (const path of [
      "../evil.json",
      "a/../../evil.json",
      "/evil.json",
      "a\\..\\evil.json",
      "C:evil.json",
    ]) {
      server.put("acme/evil", { [path]: "x", "a.onnx": "x" });
      await assert.rejects(
        pull("hf:acme/evil"),
        says(/leads out of its own folder/, /source that you trust/),
      );
    }
    assert(!existsSync(join(weightsDir, "../evil.json")));
  });

  test("from something that answers otherwise than a hub says so", async () => {
    server.put("acme/odd", { "model.onnx": "x" });
    const file = { rfilename: "model.onnx", size: 1 };
    for (const siblings of [
      {},
      [null],
      [{ size: 1 }],
      [{ ...file, size: "1" }],
      [{ ...file, lfs: { size: -1 } }],
    ]) {
      server.setTrouble("list", { siblings });
      await assert.rejects(
        pull("hf:acme/odd"),
        says(/does not answer as a hub does: its list of acme\/odd/, /SLUICE_HUB/),
      );
    }
  });

  test("asks again for a list that breaks off or stops coming, a few times", async () => {
    let asked = 0;
    const breaking = createServer((_, response) => {
      asked++;
      response.writeHead(200, { "content-length": "9000" });
      response.write('{"siblings": [', () => {
        if (asked % 2 === 1) response.destroy();
      });
    });
    await new Promise<void>((done) => breaking.listen(0, "127.0.0.1", done));
    try {
      const url = `http://127.0.0.1:${(breaking.address() as AddressInfo).port}`;
      await assert.rejects(
        pull("hf:a/b", { hub: hub({ url, idleMs: 200 }) }),
        says(/127\.0\.0\.1:\d+ cannot be reached: /, /network/),
      );
      assert.equal(asked, 5);
    } finally {
      breaking.closeAllConnections();
      breaking.close();
    }
  });

  test("writes no two files to one place", async () => {
    const listed = (rfilename: string) => ({ rfilename, size: 1, blobId: "0".repeat(40) });
    const twins = [
      ["a.onnx", "a.onnx"],
      ["a.onnx_data", "A.onnx_data"],
      ["é.onnx", "e\u0301.onnx"],
      ["a.onnx_data", "a.onnx_data.part"],
      ["a.onnx_data", "a.onnx_data.part.etag"],
    ];
    for (const names of twins) {
      const all = ["model_index.json", "model.onnx", ...names];
      server.setTrouble("list", { siblings: all.map(listed) });
      server.put("acme/twins", Object.fromEntries(all.map((name) => [name, "x"])));
      await assert.rejects(pull("hf:acme/twins"), says(/cannot lie beside/, /source that you trust/));
    }
    assert.equal(server.seen.filter(({ path }) => path.includes("/resolve/")).length, 0);
  });

  test("of something that is no model here says what it is, and keeps the bytes", async () => {
    server.put("acme/lora", { "l.safetensors": writeSafetensors(["lora_unet_x.lora_up.weight"]) });
    await assert.rejects(pull("hf:acme/lora"), says(/is a LoRA.*out of scope/, /Merge it/));
    server.put("acme/odd", { "o.safetensors": writeSafetensors(["foo.bar"]) });
    await assert.rejects(pull("hf:acme/odd"), says(/family that is not known here/, /--family/));
    server.put("acme/none", { "README.md": "x" });
    await assert.rejects(pull("hf:acme/none"), says(/neither ONNX graphs nor/));
    server.put("acme/two", { "a.gguf": "x", "b.gguf": "y" });
    await assert.rejects(pull("hf:acme/two"), says(/several files of weights/, /hf:acme\/two\/a\.gguf/));
  });

  test("of an address whose file is not known fetches no byte again when its family is said", async () => {
    const bytes = writeSafetensors(["foo.bar", "vae.x"], { padding: "1".repeat(400_000) });
    server.put("acme/odd", { "o.safetensors": bytes });
    const address = `${server.cdnUrl}/acme/odd/resolve/main/o.safetensors`;
    await assert.rejects(pull(address), says(/family that is not known here/, /--family/));
    const { model } = await pull(address, { family: "flux" });
    assert.equal(model.files[0]?.sha256, sha256(bytes));
    assert.equal(sentOf("o.safetensors"), bytes.length);
    assert.deepEqual((await readdir(join(weightsDir, "m"))).sort(), ["o.safetensors", "sluice.json"]);
    // Another file in the meantime is fetched whole.
    await assert.rejects(pull(address, { name: "n" }), says(/family that is not known here/));
    const other = writeSafetensors(["foo.baz", "vae.x"], { padding: "2".repeat(400_000) });
    server.put("acme/odd", { "o.safetensors": other });
    const second = await pull(address, { name: "n", family: "flux" });
    assert.equal(second.model.files[0]?.sha256, sha256(other));
  });

  test("of graphs that are laid out otherwise is refused before they are fetched", async () => {
    const graphs = ["clip.opt/model.onnx", "transformer.opt/bf16/model.onnx", "vae.opt/model.onnx"];
    server.put("acme/opt", Object.fromEntries(graphs.map((path) => [path, "x"])));
    await assert.rejects(
      pull("hf:acme/opt"),
      says(
        /neither model_index\.json nor transformer\.onnx, .*Nothing was fetched/,
        /clip\.opt\/model\.onnx/,
      ),
    );
    assert.equal(server.seen.filter(({ path }) => path.includes("/resolve/")).length, 0);
  });

  test("of weights with conditions wants to hear that they are accepted", async () => {
    await putModel();
    server.put(REPOSITORY, {}, "flux-1-dev-non-commercial-license");
    await assert.rejects(pull(`hf:${REPOSITORY}`), says(/does not allow commercial use/, /--accept-license/));
    const { model } = await pull(`hf:${REPOSITORY}`, { isLicenseAccepted: true });
    assert.equal(model.terms, "non-commercial");
  });

  test("of weights whose file alone states conditions wants to hear that, too, and fetches them once", async () => {
    const license = "flux-1-dev-non-commercial-license";
    const bytes = writeSafetensors(["double_blocks.0.x", "vae.x"], {
      "modelspec.license": license,
      padding: "1".repeat(200_000),
    });
    server.put("acme/dev", { "dev.safetensors": bytes }, "other");
    for (const asked of ["hf:acme/dev", `${server.cdnUrl}/acme/dev/resolve/main/dev.safetensors`]) {
      server.forget();
      await assert.rejects(
        pull(asked),
        says(/under the flux-1-dev-non-commercial-license, which does not allow/, /--accept-license/),
      );
      assert.equal(await findInstalledModel(weightsDir, "m"), undefined);
      const { model } = await pull(asked, { isLicenseAccepted: true });
      assert.deepEqual([model.license, model.terms], [license, "non-commercial"]);
      assert.equal(sentOf("dev.safetensors"), bytes.length);
      await deleteModelFiles(weightsDir, "m");
    }
  });

  test("copies a folder of this machine, without a network", async () => {
    await using folder = await createDiffusionFolder("sd3");
    const { model } = await pull(folder.path, { hub: hub({ isOffline: true }) });
    assert.deepEqual([model.family, model.engine], ["sd3", "onnx"]);
    assert.equal(model.source.asked, folder.path);
    assert(await deleteModelFiles(weightsDir, "m"));
    assert.equal(await findInstalledModel(weightsDir, "m"), undefined);
    assert.equal(await deleteModelFiles(weightsDir, "m"), false);
  });

  test("is found and deleted by its name alone, never by a path", async () => {
    await putModel();
    const inside = join(weightsDir, "data/models");
    const { model } = await pull(`hf:${REPOSITORY}`, { weightsDir: inside });
    for (const path of ["..", ".", "", "./m", "../models", "m/transformer", ".pulling"])
      await assert.rejects(deleteModelFiles(inside, path), says(/cannot be the name of a model/));
    for (const path of ["./m", "m/", "../models/m"])
      assert.equal(await findInstalledModel(inside, path), undefined, path);
    assert.deepEqual(await listInstalledModels(inside), [model]);
  });

  test("explains a folder of weights that cannot be written", async () => {
    const file = join(weightsDir, "file");
    await writeFile(file, "");
    const message = says(/\/file cannot be written: /, /SLUICE_WEIGHTS/);
    await assert.rejects(pull(`hf:${REPOSITORY}`, { weightsDir: file }), message);
    await assert.rejects(deleteModelFiles(file, "m"), message);
  });

  test("leaves alone what is there by that name and was not pulled", async () => {
    await putModel();
    const own = join(weightsDir, "m/mine.safetensors");
    await mkdir(join(weightsDir, "m"));
    await writeFile(own, "mine");
    for (const isForced of [false, true])
      await assert.rejects(
        pull(`hf:${REPOSITORY}`, { isForced }),
        says(/\/m was not pulled, and would be replaced/, /--name/),
      );
    assert.equal(await deleteModelFiles(weightsDir, "m"), false);
    assert.equal(await readFile(own, "utf8"), "mine");
    await rm(own);
    await writeFile(join(weightsDir, "m/sluice.json"), "damaged");
    await pull(`hf:${REPOSITORY}`);
    await assertWhole();
  });

  test("takes the name of another repository's model only when told to", async () => {
    server.put("acme/one", { [LONE]: LONE_BYTES });
    await pull("hf:acme/one");
    await putModel();
    await assert.rejects(
      pull(`hf:${REPOSITORY}`),
      says(/"m" is the name of a model of acme\/one/, /--name NAME.*--force/),
    );
    assert.equal((await findInstalledModel(weightsDir, "m"))?.source.repositories[0]?.id, "acme/one");
    await pull(`hf:${REPOSITORY}`, { isForced: true });
    await assertWhole();
  });

  test("names a file of this machine that cannot be read", async () => {
    await using folder = await createDiffusionFolder("sd3");
    const gone = join(folder.path, "vae_decoder/model.onnx");
    const pulled = pull(folder.path, { parallel: 1, onProgress: () => rmSync(gone, { force: true }) });
    await assert.rejects(pulled, (error: unknown) => {
      assert(error instanceof WeightsError);
      assert.equal(error.message, `${gone} cannot be read: ENOENT.`);
      return true;
    });
  });

  test("of a model that lost a file or a part of one brings that again", async () => {
    await putModel();
    await pull(`hf:${REPOSITORY}`);
    await truncate(join(weightsDir, "m", BIG), 1_000);
    assert.equal((await pull(`hf:${REPOSITORY}`)).isNew, true);
    await assertWhole();
    await rm(join(weightsDir, "m/model_index.json"));
    server.forget();
    assert.equal((await pull(`hf:${REPOSITORY}`)).isNew, true);
    await assertWhole();
    assert.equal(sentOf(BIG), 0);
  });

  test("of a model that is here takes a family that is said now, without fetching it again", async () => {
    server.put("acme/one", { [LONE]: LONE_BYTES });
    assert.equal((await pull("hf:acme/one")).model.family, "flux");
    server.forget();
    const { model } = await pull("hf:acme/one", { family: "chroma" });
    assert.equal(model.family, "chroma");
    assert.equal((await pull("hf:acme/one", { family: "chroma" })).isNew, false);
    assert.equal(sentOf(LONE), 0);
  });

  test("of a newer version links what is the same", async () => {
    await putModel();
    await pull(`hf:${REPOSITORY}`);
    server.put(REPOSITORY, { "model_index.json": JSON.stringify({ _class_name: "FluxPipeline", x: 1 }) });
    server.forget();
    // Room for the small files, besides what is left free.
    const disk = { ...realDisk, readFreeBytes: async () => 2 ** 28 + 100_000 };
    assert.equal((await pull(`hf:${REPOSITORY}`, { disk })).isNew, true);
    assert.equal(sentOf(BIG), 0);
    await assertWhole();
  });

  test("of a newer version fetches what is not in the old one as its receipt says", async () => {
    await putModel();
    await pull(`hf:${REPOSITORY}`);
    await writeFile(
      join(weightsDir, "m", BIG),
      BYTES.map((byte) => byte ^ 1),
    );
    server.put(REPOSITORY, { "model_index.json": JSON.stringify({ _class_name: "FluxPipeline", x: 1 }) });
    await pull(`hf:${REPOSITORY}`);
    await assertWhole();
  });
});

async function waitForPart(child: ChildProcess): Promise<void> {
  for (;;) {
    const [message] = await once(child, "message");
    if (message === "half") return;
  }
}
