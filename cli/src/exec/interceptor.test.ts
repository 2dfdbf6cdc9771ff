import assert from "node:assert/strict";
import { once } from "node:events";
import { mkdtemp, rm } from "node:fs/promises";
import { createServer as createHttpServer, request as requestHttp } from "node:http";
import { get } from "node:https";
import { type AddressInfo, connect, createServer, type Socket } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, type TestContext, test } from "node:test";
import { connect as connectTls, type TLSSocket } from "node:tls";
import { type Interceptor, startInterceptor } from "./interceptor.ts";
import { openPrivateAuthority, type PrivateAuthority } from "./private-authority.ts";
import { createUpstreamProxy } from "./upstream-proxy.ts";

const timeout = 30_000;
let folder: string;
let authority: PrivateAuthority;

before(async () => {
  folder = await mkdtemp(join(tmpdir(), "sluice-interceptor-"));
  authority = await openPrivateAuthority(folder, Date.now());
});
after(() => rm(folder, { recursive: true, force: true }));

async function start(
  t: TestContext,
  serverUrl: string,
  environment: Record<string, string> = {},
): Promise<Interceptor> {
  const upstream = createUpstreamProxy(environment);
  const interceptor = await startInterceptor({ serverUrl, ...(await authority.issue()), upstream });
  t.after(() => interceptor[Symbol.asyncDispose]());
  return interceptor;
}

async function listen(t: TestContext, server: ReturnType<typeof createServer>): Promise<number> {
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  t.after(() => server.close());
  return (server.address() as AddressInfo).port;
}

/** A connection to the official host, as a redirected program has it. */
async function open(interceptor: Interceptor): Promise<TLSSocket> {
  const socket = connectTls({
    host: "127.0.0.1",
    port: interceptor.port,
    servername: "fal.run",
    ca: authority.certificate,
  });
  await once(socket, "secureConnect");
  return socket;
}

/** Sends a proxy's CONNECT; gives the status and the socket. */
async function sendConnect(
  interceptor: Interceptor,
  target: string,
): Promise<{ readonly status: number | undefined; readonly socket: Socket }> {
  const { username, password } = new URL(interceptor.proxyUrl);
  const call = requestHttp({
    host: "127.0.0.1",
    port: interceptor.port,
    method: "CONNECT",
    path: target,
    headers: { "proxy-authorization": `Basic ${Buffer.from(`${username}:${password}`).toString("base64")}` },
  });
  call.end();
  const [response, socket, head] = (await once(call, "connect")) as [{ statusCode?: number }, Socket, Buffer];
  if (head.length > 0) socket.unshift(head);
  return { status: response.statusCode, socket };
}

test("bytes go both ways unchanged, and an end on either side ends the other", { timeout }, async (t) => {
  const ended: string[] = [];
  const port = await listen(
    t,
    createServer((socket) => {
      socket.on("data", (chunk) => socket.write(chunk)).on("end", () => ended.push("server heard the end"));
    }),
  );
  const interceptor = await start(t, `http://127.0.0.1:${port}`);
  const socket = await open(interceptor);
  const sent = Buffer.alloc(3_000_000, "0123456789abcdef\u0000");
  socket.write(sent);
  const chunks: Buffer[] = [];
  let size = 0;
  for await (const chunk of socket) {
    chunks.push(chunk as Buffer);
    size += (chunk as Buffer).length;
    if (size === sent.length) break; // Leaving the loop destroys the socket.
  }
  assert.ok(Buffer.concat(chunks).equals(sent));
  while (ended.length === 0) await new Promise((resolve) => setTimeout(resolve, 10));
});

test("when the server is gone the caller gets a 502 that says so", { timeout }, async (t) => {
  const interceptor = await start(t, "http://127.0.0.1:9");
  const call = get({
    host: "127.0.0.1",
    port: interceptor.port,
    servername: "queue.fal.run",
    ca: authority.certificate,
    headers: { host: "queue.fal.run" },
    agent: false,
  });
  const [response] = await once(call, "response");
  assert.equal(response.statusCode, 502);
  const text = (await response.toArray()).join("");
  assert.match(JSON.parse(text).detail, /no server answers at http:\/\/127\.0\.0\.1:9/);
});

test("other hosts and other ports get a blind tunnel, unreachable ones a 502", { timeout }, async (t) => {
  const port = await listen(
    t,
    createServer((socket) => socket.end("outside")),
  );
  const interceptor = await start(t, "http://127.0.0.1:9");
  const { status, socket } = await sendConnect(interceptor, `127.0.0.1:${port}`);
  assert.equal(status, 200);
  assert.equal((await socket.toArray()).join(""), "outside");
  assert.equal((await sendConnect(interceptor, "127.0.0.1:9")).status, 502);
});

test("a proxy that refuses, or that is of another kind, is reported", { timeout }, async (t) => {
  const refusing = createHttpServer().on("connect", (_, socket: Socket) =>
    socket.end("HTTP/1.1 403 Forbidden\r\n\r\n"),
  );
  const port = await listen(t, refusing);
  const forbidden = await start(t, "http://127.0.0.1:9", { HTTPS_PROXY: `http://127.0.0.1:${port}` });
  assert.equal((await sendConnect(forbidden, "outside.example:443")).status, 502);
  const socks = createUpstreamProxy({ all_proxy: "socks5://127.0.0.1:1" });
  await assert.rejects(socks.connect("outside.example", 443), /kind that sluice exec cannot pass on to/);
});

test("the port closes with everything that was open on it", { timeout }, async (t) => {
  const port = await listen(
    t,
    createServer((socket) => socket.on("error", () => {})),
  );
  const interceptor = await start(t, `http://127.0.0.1:${port}`);
  const socket = await open(interceptor);
  socket.on("error", () => {});
  await interceptor[Symbol.asyncDispose]();
  if (!socket.destroyed) await once(socket, "close");
  const [error] = await once(connect(interceptor.port, "127.0.0.1"), "error");
  assert.equal((error as NodeJS.ErrnoException).code, "ECONNREFUSED");
});
