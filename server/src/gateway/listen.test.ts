import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { once } from "node:events";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { get as httpsGet } from "node:https";
import { connect } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, test } from "node:test";
import { promisify } from "node:util";
import { WebSocket } from "ws";
import { ListenError } from "./listen.ts";
import { createResult, openGateway, type TestGateway } from "./testing/open-gateway.ts";

let gateway: TestGateway;
before(async () => {
  gateway = await openGateway();
});
after(() => gateway[Symbol.asyncDispose]());

/** Sends bytes and gives everything that came back until the other side closed. */
function exchange(bytes: string | Uint8Array, port = gateway.port, timeoutMs = 5_000): Promise<string> {
  return new Promise((resolve, reject) => {
    const socket = connect(port, "127.0.0.1");
    let text = "";
    const timer = setTimeout(() => socket.destroy(new Error(`still open, after: ${text}`)), timeoutMs);
    socket.setEncoding("latin1");
    socket.on("data", (chunk) => {
      text += chunk;
    });
    socket.on("error", reject);
    socket.on("close", () => {
      clearTimeout(timer);
      resolve(text);
    });
    socket.write(bytes);
  });
}

test("what is not HTTP is answered 400 with a reason and closed, and the server goes on", async () => {
  for (const bytes of [
    "nonsense\r\n\r\n",
    "GET / HTTP/9.9\r\n\r\n",
    "\x16\x03\x01\x02\x00\x01",
    "GET /\0 HTTP/1.1\r\nhost: x\r\n\r\n",
  ]) {
    const answer = await exchange(bytes);
    assert.match(answer, /^HTTP\/1\.1 400 Bad Request\r\n/, JSON.stringify(bytes));
    assert.match(answer, /\{"detail":/);
  }
  assert.equal((await gateway.call("/health")).status, 200);
});

test("a missing or malformed Host is 400", async () => {
  for (const host of ["", "host: a b\r\n", "host: <x>\r\n", "host: x/y\r\n", "host: user@x\r\n"]) {
    const answer = await exchange(`GET /health HTTP/1.1\r\n${host}connection: close\r\n\r\n`);
    assert.match(answer, /^HTTP\/1\.1 400 /, JSON.stringify(host));
  }
});

test("headers over the limit are 431", async () => {
  const answer = await exchange(`GET /health HTTP/1.1\r\nhost: x\r\nx-big: ${"a".repeat(40_000)}\r\n\r\n`);
  assert.match(answer, /^HTTP\/1\.1 431 Request Header Fields Too Large\r\n/);
});

test("a body shorter than declared ends the call, not the server", async () => {
  const socket = connect(gateway.port, "127.0.0.1");
  socket.on("error", () => {});
  socket.write(
    `POST /queue/test/echo HTTP/1.1\r\nhost: x\r\nauthorization: ${gateway.authorization}\r\ncontent-length: 100\r\n\r\n{"prompt"`,
  );
  await new Promise((resolve) => setTimeout(resolve, 50));
  socket.destroy();
  await new Promise((resolve) => setTimeout(resolve, 50));
  assert.equal((await gateway.call("/health")).status, 200);
});

test("a caller who stops in the middle of head or body is hung up on; a slow answer is waited for", async () => {
  await using strict = await openGateway({ patience: { headersMs: 200, quietBodyMs: 200 } });
  const head = `POST /run/test/echo HTTP/1.1\r\nhost: x\r\nauthorization: ${strict.authorization}\r\n`;
  assert.match(await exchange(head, strict.port), /^(HTTP\/1\.1 408 |$)/);
  assert.equal(await exchange(`${head}content-length: 20\r\n\r\n{"prompt"`, strict.port), "");
  strict.directRun = async () => {
    await new Promise((resolve) => setTimeout(resolve, 800));
    return createResult({ slow: true });
  };
  const body = '{"prompt":"x"}';
  const answer = await exchange(
    `${head}connection: close\r\ncontent-length: ${body.length}\r\n\r\n${body}`,
    strict.port,
  );
  assert.match(answer, /^HTTP\/1\.1 200 OK/);
});

test("several calls on one connection are answered in order", async () => {
  const one = "GET /health HTTP/1.1\r\nhost: x\r\n\r\n";
  const answer = await exchange(`${one}${one}GET /nowhere HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n`);
  assert.deepEqual(
    [...answer.matchAll(/HTTP\/1\.1 (\d+)/g)].map((match) => match[1]),
    ["200", "200", "404"],
  );
});

test("a status without a phrase of its own gets the usual one", async () => {
  gateway.directRun = async () => createResult(null, { state: "cancelled", statusCode: 499 });
  const body = '{"prompt":"x"}';
  const answer = await exchange(
    `POST /run/test/echo HTTP/1.1\r\nhost: x\r\nauthorization: ${gateway.authorization}\r\ncontent-length: ${body.length}\r\nconnection: close\r\n\r\n${body}`,
  );
  assert.match(answer, /^HTTP\/1\.1 499 Client Closed Request\r\n/);
});

test("HEAD is answered without a body", async () => {
  const { json } = await gateway.call("/queue/test/echo", { json: { prompt: "x" } });
  const { pathname } = new URL(json.status_url);
  const answer = await exchange(
    `HEAD ${pathname} HTTP/1.1\r\nhost: x\r\nauthorization: ${gateway.authorization}\r\nconnection: close\r\n\r\n`,
  );
  assert.match(answer, /^HTTP\/1\.1 202 Accepted\r\n/);
  assert.match(answer, /\r\n\r\n$/);
});

test("a port in use is an error that says what to do", async () => {
  await assert.rejects(openGateway({ settings: { port: gateway.port } }), (error: unknown) => {
    assert.ok(error instanceof ListenError);
    assert.equal(error.kind, "in_use");
    assert.match(error.message, new RegExp(`Port ${gateway.port} .* in use.*--port`));
    return true;
  });
});

test("an address that this machine does not have is an error that says what to do", async () => {
  await assert.rejects(
    openGateway({ settings: { host: "192.0.2.1" } }),
    (error: unknown) => error instanceof ListenError && error.kind === "no_such_address",
  );
});

test("closing ends streams that would go on, within the time given", async () => {
  const other = await openGateway();
  const { json } = await other.call("/queue/test/echo", { json: { prompt: "x" } });
  const stream = await fetch(`${json.status_url}/stream`, {
    headers: { authorization: other.authorization },
  });
  const reading = stream.text().then(
    () => "ended",
    () => "cut",
  );
  const startedAt = performance.now();
  await other[Symbol.asyncDispose]();
  assert.ok(performance.now() - startedAt < 3_000);
  assert.match(await reading, /ended|cut/);
});

test("with a certificate it speaks https and wss, and hands out https URLs", async () => {
  const folder = await mkdtemp(join(tmpdir(), "sluice-tls-"));
  try {
    const [key, cert] = [join(folder, "key.pem"), join(folder, "cert.pem")];
    await promisify(execFile)("openssl", [
      ...[
        "req",
        "-x509",
        "-newkey",
        "ec",
        "-pkeyopt",
        "ec_paramgen_curve:prime256v1",
        "-nodes",
        "-days",
        "1",
      ],
      ...["-subj", "/CN=localhost", "-keyout", key, "-out", cert],
    ]);
    await using secure = await openGateway({ settings: { tlsCert: cert, tlsKey: key } });
    assert.match(secure.origin, /^https:\/\/127\.0\.0\.1:\d+$/);
    const body = await new Promise<string>((resolve, reject) => {
      httpsGet(`${secure.origin}/llms.txt`, { rejectUnauthorized: false }, (response) => {
        let text = "";
        response.on("data", (chunk) => {
          text += chunk;
        });
        response.on("end", () => resolve(text));
      }).on("error", reject);
    });
    assert.ok(body.includes(secure.origin));
    const { authorization } = secure;
    const socket = new WebSocket(`${secure.origin.replace(/^http/, "ws")}/run/test/echo/realtime`, {
      headers: { authorization },
      rejectUnauthorized: false,
    });
    socket.on("open", () => socket.send('{"prompt":"a"}'));
    const [data] = (await once(socket, "message")) as [Buffer];
    assert.deepEqual(JSON.parse(data.toString()), { echo: { prompt: "a" } });
    socket.close();
    await writeFile(cert, "no certificate");
    await assert.rejects(
      openGateway({ settings: { tlsCert: cert, tlsKey: key } }),
      (error: unknown) => error instanceof ListenError && /SLUICE_TLS_CERT/.test(error.message),
    );
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
});
