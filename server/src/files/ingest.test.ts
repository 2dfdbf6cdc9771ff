import assert from "node:assert/strict";
import { randomBytes } from "node:crypto";
import { once } from "node:events";
import { createServer, type IncomingMessage, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import { test } from "node:test";
import { gzipSync } from "node:zlib";
import type { AccountId } from "../ids.ts";
import type { DownloadRules } from "./download.ts";
import type { FileAcl } from "./file-store.ts";
import { createIngest, type Ingest, type IngestParts } from "./ingest.ts";
import { insertAccount, openTestStorage, type TestStorage } from "./testing/open-test-storage.ts";

const alice = "alice" as AccountId;
const MIB = 1024 * 1024;
const loc = ["body", "image_url"] as const;

/** An HTTP server on `host`; what it was asked is in `requests`. */
async function listen(
  answer: (request: IncomingMessage, response: ServerResponse) => void,
  host = "127.0.0.1",
): Promise<{ port: number; requests: IncomingMessage[] } & AsyncDisposable> {
  const requests: IncomingMessage[] = [];
  const server = createServer((request, response) => {
    requests.push(request);
    answer(request, response);
  });
  server.listen(0, host);
  await once(server, "listening");
  return {
    port: (server.address() as AddressInfo).port,
    requests,
    async [Symbol.asyncDispose]() {
      server.closeAllConnections();
      server.close();
      await once(server, "close");
    },
  };
}

/** In these tests 127.0.0.1 stands for the public Internet and every other address for a private network. */
const LOOPBACK_IS_PUBLIC: Partial<DownloadRules> = { isAllowed: (address) => address === "127.0.0.1" };

/** No account has a name and no URL is signed. */
const NOBODY = { findAccount: async () => undefined, verifyIdentity: () => false };

function open(
  storage: TestStorage,
  rules: Partial<DownloadRules> = {},
  more: Partial<IngestParts> = {},
): Ingest {
  return createIngest({
    files: storage.files,
    settings: { allowPrivateInputs: false },
    ...NOBODY,
    download: { ...LOOPBACK_IS_PUBLIC, ...rules },
    ...more,
  });
}

const options = { loc, maxBytes: 50 * MIB, accountId: alice };

async function refusalOf(reply: ReturnType<Ingest>): Promise<string> {
  const found = await reply;
  assert.ok(!found.ok, "a refusal");
  assert.equal(found.status, 422);
  assert.deepEqual(found.detail[0]?.loc, loc);
  assert.equal(found.detail[0]?.url, `https://docs.fal.ai/errors/#${found.detail[0]?.type}`);
  return found.detail[0]?.type ?? "";
}

async function messageOf(reply: ReturnType<Ingest>): Promise<string> {
  const found = await reply;
  return found.ok ? "" : (found.detail[0]?.msg ?? "");
}

test("a URL is fetched, and its type is what the bytes say", async () => {
  await using storage = await openTestStorage();
  const picture = Buffer.concat([Buffer.from("\xff\xd8\xff\xe0", "latin1"), randomBytes(10_000)]);
  await using site = await listen((_, response) => {
    response.setHeader("content-type", "text/plain");
    response.end(picture);
  });
  const ingest = open(storage);
  const url = `http://127.0.0.1:${site.port}/pictures/cat.bin?signature=secret`;
  for (const value of [url, { url }, { url, content_type: "image/png" }, ` ${url}\n`]) {
    const file = await ingest(value, options);
    assert.ok(file.ok);
    assert.deepEqual(Buffer.from(file.bytes), picture);
    assert.equal(file.contentType, "image/jpeg");
    assert.equal(file.fileName, "cat.bin");
    assert.equal(file.source, `http://127.0.0.1:${site.port}/pictures/cat.bin`);
  }
});

test("the declared type counts where the bytes say nothing, and the name where nothing is declared", async () => {
  await using storage = await openTestStorage();
  await using site = await listen((request, response) => {
    if (request.url === "/declared") response.setHeader("content-type", "application/x-thing; v=1");
    response.end("no magic");
  });
  const type = async (path: string): Promise<string> => {
    const file = await open(storage)(`http://127.0.0.1:${site.port}${path}`, options);
    assert.ok(file.ok);
    return file.contentType;
  };
  assert.equal(await type("/declared"), "application/x-thing; v=1");
  assert.equal(await type("/song.mp3"), "audio/mpeg");
  assert.equal(await type("/thing"), "application/octet-stream");
});

test("what is no URL is a value error on the field", async () => {
  await using storage = await openTestStorage();
  const values = [
    undefined,
    null,
    1,
    true,
    [],
    {},
    { url: 1 },
    "",
    "cat.png",
    "/etc/passwd",
    "file:///etc/passwd",
    "ftp://example.org/x",
    "javascript:alert(1)",
    "http:",
    "http://",
    "http://[::1",
    "http://exa mple.org",
    "https://%",
    `http://example.org/${"x".repeat(2_048)}`,
    "data:image/png;base64",
    "data:;base64,*",
  ];
  for (const value of values)
    assert.equal(
      await refusalOf(open(storage)(value, options)),
      "value_error",
      JSON.stringify(value)?.slice(0, 40),
    );
});

test("data URIs are decoded up to ten megabytes", async () => {
  await using storage = await openTestStorage();
  const ingest = open(storage);
  const uri = (size: number): string => `data:image/webp;base64,${Buffer.alloc(size, 1).toString("base64")}`;
  const file = await ingest(uri(10 * MIB), options);
  assert.ok(file.ok && file.bytes.byteLength === 10 * MIB && file.contentType === "image/webp");
  assert.ok(file.source.length < 150);
  assert.equal(await refusalOf(ingest(uri(10 * MIB + 1), options)), "file_too_large");
  assert.equal(await refusalOf(ingest(uri(1_001), { ...options, maxBytes: 1_000 })), "file_too_large");
});

test("every way to write an address that is not public is refused without a connection", async () => {
  await using storage = await openTestStorage();
  await using inside = await listen((_, response) => response.end("secret"));
  const { port } = inside;
  const names: Readonly<Record<string, string>> = {
    "inside.test": "127.0.0.1",
    "v6.test": "::1",
    "mapped.test": "::ffff:127.0.0.1",
    "nat64.test": "64:ff9b::7f00:1",
    "cgnat.test": "100.64.0.1",
    "metadata.test": "169.254.169.254",
    "private.test": "192.168.0.1",
    localhost: "127.0.0.1",
    "localhost.": "127.0.0.1",
  };
  const ingest = createIngest({
    files: storage.files,
    settings: { allowPrivateInputs: false },
    ...NOBODY,
    download: {
      resolve: async (name) => {
        const address = names[name];
        if (address === undefined) throw new Error(`unexpected look-up of ${name}`);
        return [{ address, family: address.includes(":") ? 6 : 4 }];
      },
    },
  });
  const hosts = [
    ...Object.keys(names),
    "127.0.0.1",
    "127.1",
    "127.0.1",
    "2130706433",
    "0x7f000001",
    "0x7f.0.0.1",
    "017700000001",
    "0177.0.0.01",
    "127.0.0.1.",
    "１２７.０.０.１",
    "①②⑦.⓪.⓪.①",
    "0",
    "0.0.0.0",
    "[::1]",
    "[::]",
    "[::ffff:127.0.0.1]",
    "[::ffff:7f00:1]",
    "[0:0:0:0:0:ffff:127.0.0.1]",
    "[::127.0.0.1]",
    "[64:ff9b::127.0.0.1]",
    "[2002:7f00:1::]",
    "[fe80::1]",
    "[fd00::1]",
    "10.0.0.1",
    "172.16.0.1",
    "192.168.1.1",
    "169.254.169.254",
    "100.64.0.1",
    "224.0.0.1",
    "255.255.255.255",
    "user:password@127.0.0.1",
    "example.org@127.0.0.1",
  ];
  for (const host of hosts)
    for (const scheme of ["http", "https"]) {
      const reply = ingest(`${scheme}://${host}:${port}/x`, {
        ...options,
        signal: AbortSignal.timeout(10_000),
      });
      assert.equal(await refusalOf(reply), "file_download_error", host);
      assert.match(await messageOf(reply), /not a public address/, host);
    }
  assert.equal(inside.requests.length, 0);
});

test("an operator may allow private addresses", async () => {
  await using storage = await openTestStorage();
  await using site = await listen((_, response) => response.end("inside"));
  const ingest = createIngest({ files: storage.files, settings: { allowPrivateInputs: true }, ...NOBODY });
  const file = await ingest(`http://127.0.0.1:${site.port}/`, options);
  assert.ok(file.ok && Buffer.from(file.bytes).toString() === "inside");
  assert.equal(
    await refusalOf(ingest("http://169.254.169.254/latest/meta-data", options)),
    "file_download_error",
  );
});

test("one bad address among a name's addresses is enough to refuse it", async () => {
  await using storage = await openTestStorage();
  await using site = await listen((_, response) => response.end("x"));
  const ingest = open(storage, {
    resolve: async () => [
      { address: "127.0.0.1", family: 4 },
      { address: "127.0.0.2", family: 4 },
    ],
  });
  assert.equal(await refusalOf(ingest(`http://both.test:${site.port}/`, options)), "file_download_error");
  const none = open(storage, { resolve: async () => [] });
  assert.equal(await refusalOf(none(`http://none.test:${site.port}/`, options)), "file_download_error");
  assert.equal(site.requests.length, 0);
});

test("a name is resolved once per connection, so that an answer that changes gains nothing", async () => {
  await using storage = await openTestStorage();
  await using inside = await listen((_, response) => response.end("secret"), "127.0.0.2");
  let lookups = 0;
  // The first answer is public, every later one private: the trick of DNS rebinding.
  const resolve = async (): Promise<{ address: string; family: number }[]> => {
    lookups += 1;
    return [{ address: lookups === 1 ? "127.0.0.1" : "127.0.0.2", family: 4 }];
  };
  await using outside = await listen((request, response) => {
    if (request.url === "/direct") response.end("public");
    else response.writeHead(302, { location: `http://flip.test:${inside.port}/secret` }).end();
  });
  const direct = await open(storage, { resolve })(`http://flip.test:${outside.port}/direct`, options);
  assert.ok(direct.ok && Buffer.from(direct.bytes).toString() === "public");
  assert.equal(lookups, 1);
  lookups = 0;
  const redirected = open(storage, { resolve })(`http://flip.test:${outside.port}/redirect`, options);
  assert.equal(await refusalOf(redirected), "file_download_error");
  assert.equal(lookups, 2);
  assert.equal(inside.requests.length, 0);
});

test("redirects are followed five times, and each is checked", async () => {
  await using storage = await openTestStorage();
  await using inside = await listen((_, response) => response.end("secret"), "127.0.0.2");
  await using site = await listen((request, response) => {
    const left = Number(request.url?.slice(1));
    if (left > 0)
      response.writeHead([301, 302, 303, 307, 308][left % 5]!, { location: `/${left - 1}` }).end("body");
    else if (request.url === "/0") response.end("end");
    else if (request.url === "/inside")
      response.writeHead(302, { location: `http://127.0.0.2:${inside.port}/` }).end();
    else if (request.url === "/file") response.writeHead(302, { location: "file:///etc/passwd" }).end();
    else if (request.url === "/data") response.writeHead(302, { location: "data:,x" }).end();
    else if (request.url === "/nothing") response.writeHead(302, { location: "http://[" }).end();
    else if (request.url === "/missing") response.writeHead(302).end();
    else response.writeHead(302, { location: "/loop" }).end();
  });
  const ingest = open(storage);
  const base = `http://127.0.0.1:${site.port}`;
  const file = await ingest(`${base}/5`, options);
  assert.ok(file.ok && Buffer.from(file.bytes).toString() === "end");
  for (const path of ["/6", "/loop", "/inside", "/file", "/data", "/nothing", "/missing"])
    assert.equal(await refusalOf(ingest(base + path, options)), "file_download_error", path);
  assert.equal(inside.requests.length, 0);
});

test("credentials of a URL stay with its origin", async () => {
  await using storage = await openTestStorage();
  await using other = await listen((_, response) => response.end("x"));
  await using site = await listen((request, response) => {
    if (request.url === "/same") response.writeHead(302, { location: "/end" }).end();
    else if (request.url === "/other")
      response.writeHead(302, { location: `http://127.0.0.1:${other.port}/` }).end();
    else response.end("x");
  });
  const ingest = open(storage);
  const base = `http://me:p%40ss@127.0.0.1:${site.port}`;
  const file = await ingest(`${base}/same`, options);
  assert.ok(file.ok && !file.source.includes("me:"));
  const expected = `Basic ${Buffer.from("me:p@ss").toString("base64")}`;
  assert.deepEqual(
    site.requests.map(({ headers }) => headers.authorization),
    [expected, expected],
  );
  assert.ok((await ingest(`${base}/other`, options)).ok);
  assert.equal(other.requests[0]?.headers.authorization, undefined);
});

test("a download is bounded in size, declared, streamed or compressed", { timeout: 60_000 }, async () => {
  await using storage = await openTestStorage();
  let sent = 0;
  await using site = await listen((request, response) => {
    if (request.url === "/declared") response.writeHead(200, { "content-length": 10 ** 12 }).write("x");
    else if (request.url === "/bomb")
      response.writeHead(200, { "content-encoding": "gzip" }).end(gzipSync(Buffer.alloc(50 * MIB)));
    else if (request.url === "/gzip")
      response.writeHead(200, { "content-encoding": "gzip" }).end(gzipSync("packed"));
    else if (request.url === "/broken")
      response.writeHead(200, { "content-encoding": "gzip" }).end("not gzip");
    else if (request.url === "/odd") response.writeHead(200, { "content-encoding": "odd" }).end("x");
    else {
      const more = (): void => {
        sent += MIB;
        if (response.writable && sent < 500 * MIB) response.write(Buffer.alloc(MIB), more);
      };
      more();
    }
  });
  const ingest = open(storage);
  const get = (path: string): ReturnType<Ingest> =>
    ingest(`http://127.0.0.1:${site.port}${path}`, { ...options, maxBytes: 2 * MIB });
  assert.equal(await refusalOf(get("/declared")), "file_too_large");
  assert.equal(await refusalOf(get("/endless")), "file_too_large");
  assert.ok(sent < 100 * MIB);
  assert.equal(await refusalOf(get("/bomb")), "file_too_large");
  assert.equal(await refusalOf(get("/broken")), "file_download_error");
  assert.equal(await refusalOf(get("/odd")), "file_download_error");
  const packed = await get("/gzip");
  assert.ok(packed.ok && Buffer.from(packed.bytes).toString() === "packed");
});

test("a download is bounded in time, and ends with its request", { timeout: 30_000 }, async () => {
  await using storage = await openTestStorage();
  await using site = await listen((request, response) => {
    if (request.url === "/drip") {
      response.write("x");
      const timer = setInterval(() => response.write("x"), 20);
      response.on("close", () => clearInterval(timer));
    } else if (request.url === "/stall") response.writeHead(200).write("x");
  });
  const base = `http://127.0.0.1:${site.port}`;
  const startedAt = performance.now();
  const hasty = open(storage, { timeoutMs: 300, idleMs: 5_000 });
  assert.equal(await refusalOf(hasty(`${base}/drip`, options)), "file_download_error");
  assert.equal(await refusalOf(hasty(`${base}/silent`, options)), "file_download_error");
  assert.equal(await refusalOf(hasty(`${base}/stall`, options)), "file_download_error");
  assert.ok(performance.now() - startedAt < 5_000);
  const controller = new AbortController();
  setTimeout(() => controller.abort(new Error("cancelled")), 100);
  const reply = open(storage)(`${base}/drip`, { ...options, signal: controller.signal });
  await assert.rejects(reply, /cancelled/);
});

test("what goes wrong on the way is a download error that says what, and no address", async () => {
  await using storage = await openTestStorage();
  await using site = await listen((request, response) => {
    if (request.url === "/cut") {
      response.writeHead(200, { "content-length": 100 });
      response.write("x", () => response.destroy());
    } else if (request.url === "/hang-up") request.socket.destroy();
    else if (request.url === "/nonsense") request.socket.end("SSH-2.0-nonsense\r\n");
    else response.writeHead(Number(request.url?.slice(1))).end();
  });
  const { port } = site;
  const ingest = open(storage, {
    resolve: async () => {
      throw Object.assign(new Error("ENOTFOUND"), { code: "ENOTFOUND" });
    },
  });
  const urls = ["/404", "/500", "/403", "/cut", "/hang-up", "/nonsense"].map(
    (path) => `http://127.0.0.1:${port}${path}`,
  );
  const gone = await listen(() => {});
  await gone[Symbol.asyncDispose]();
  for (const url of [
    ...urls,
    `https://127.0.0.1:${port}/`,
    "http://nowhere.test/",
    `http://127.0.0.1:${gone.port}/`,
  ]) {
    const reply = ingest(url, options);
    assert.equal(await refusalOf(reply), "file_download_error", url);
    const msg = await messageOf(reply);
    assert.match(msg, /^The file could not be downloaded: [^0-9]*(?:\d{3})?\.$/, msg);
  }
});

test("a file that is stored here is read without the network, by any form of its URL", async () => {
  await using storage = await openTestStorage();
  const bytes = randomBytes(5_000);
  const fields = {
    accountId: alice,
    requestId: null,
    fileName: "own.txt",
    contentType: "text/plain",
    expiresAt: null,
  };
  const file = await storage.files.create(fields, bytes);
  const ingest = open(storage, {
    isAllowed: () => {
      throw new Error("the network was used");
    },
  });
  for (const base of [
    "http://127.0.0.1:7777/cdn",
    "https://v3.fal.media",
    "https://models.example.org/cdn",
  ]) {
    const read = await ingest(`${base}/${file.path}`, options);
    assert.ok(read.ok && Buffer.from(read.bytes).equals(bytes), base);
    assert.deepEqual([read.contentType, read.fileName], ["text/plain", "own.txt"]);
  }
  const tooLarge = ingest(`http://x/cdn/${file.path}`, { ...options, maxBytes: 4_999 });
  assert.equal(await refusalOf(tooLarge), "file_too_large");
  await storage.files.remove(file.path);
  const gone = open(storage)(`http://127.0.0.9:1/cdn/${file.path}`, options);
  assert.equal(await refusalOf(gone), "file_download_error");
});

test("stored files are read under their access rules", async () => {
  await using storage = await openTestStorage();
  const bob = await insertAccount(storage.database, "bob");
  const store = async (acl: FileAcl): Promise<string> => {
    const fields = {
      accountId: alice,
      requestId: null,
      fileName: "x",
      contentType: "text/plain",
      expiresAt: null,
    };
    return `http://here/cdn/${(await storage.files.create({ ...fields, acl }, Buffer.from("x"))).path}`;
  };
  const ingest = open(
    storage,
    {},
    {
      findAccount: async (id) => ({ nickname: id === bob ? "bob" : "alice" }),
      verifyIdentity: (path, identity) => path.startsWith("files/b/") && identity === "good",
    },
  );
  const as = (accountId: AccountId): typeof options => ({ ...options, accountId });
  const hidden = await store({ default: "hide", rules: [] });
  const forbidden = await store({ default: "forbid", rules: [] });
  const shared = await store({ default: "hide", rules: [{ user: "bob", decision: "allow" }] });
  for (const url of [hidden, forbidden, shared]) assert.ok((await ingest(url, as(alice))).ok);
  assert.equal(await refusalOf(ingest(hidden, as(bob))), "file_download_error");
  assert.equal(await refusalOf(ingest(forbidden, as(bob))), "file_download_error");
  assert.ok((await ingest(shared, as(bob))).ok);
  assert.ok((await ingest(`${hidden}?identity=good`, as(bob))).ok);
  assert.equal(await refusalOf(ingest(`${hidden}?identity=bad`, as(bob))), "file_download_error");
});

test("a picture that would take gigabytes to decode is refused by its header", async () => {
  await using storage = await openTestStorage();
  const png = Buffer.alloc(64);
  png.write("\x89PNG\r\n\x1a\n\0\0\0\x0dIHDR", "latin1");
  png.writeUInt32BE(100_000, 16);
  png.writeUInt32BE(100_000, 20);
  const uri = (bytes: Buffer): string => `data:image/png;base64,${bytes.toString("base64")}`;
  assert.equal(await refusalOf(open(storage)(uri(png), options)), "image_too_large");
  png.writeUInt32BE(1_000, 16);
  assert.ok((await open(storage)(uri(png), options)).ok);
});
