import { randomBytes } from "node:crypto";
import {
  createServer as createHttpServer,
  type IncomingMessage,
  request,
  type ServerResponse,
} from "node:http";
import { type AddressInfo, connect, createServer, type Socket } from "node:net";
import type { Duplex } from "node:stream";
import { connect as connectTls, createServer as createTlsServer } from "node:tls";
import { isOfficialHost } from "./official-hosts.ts";
import type { UpstreamProxy } from "./upstream-proxy.ts";

/**
 * One port on loopback that leads connections to the official hosts to this server. It takes two kinds: TLS right away
 * (from Node programs, whose connections are redirected here) and a proxy's `CONNECT` (from all others). What
 * arrives for an official host is decrypted and handed on byte for byte, so that every way of HTTP works, upgrades
 * and streams included; the server knows the surface by the Host header. Every other host gets a blind tunnel.
 */
export interface Interceptor extends AsyncDisposable {
  readonly port: number;
  /** As the value of `HTTPS_PROXY`; holds a password, so that others on this machine cannot use the proxy. */
  readonly proxyUrl: string;
}

export async function startInterceptor(parts: {
  /** Origin of the server. */
  readonly serverUrl: string;
  /** Certificate for the official hosts, with its key, as PEM. */
  readonly cert: string;
  readonly key: string;
  /** How the other hosts are reached. */
  readonly upstream: UpstreamProxy;
}): Promise<Interceptor> {
  const { serverUrl, cert, key, upstream } = parts;
  const password = randomBytes(18).toString("base64url");
  const expected = `Basic ${Buffer.from(`sluice:${password}`).toString("base64")}`;
  const sockets = new Set<Duplex>();
  const track = <S extends Duplex>(socket: S): S => {
    sockets.add(socket);
    socket.once("close", () => sockets.delete(socket));
    // Resets are the other side's business; `join` ends the pair.
    socket.on("error", () => socket.destroy());
    return socket;
  };

  const official = createTlsServer({ cert, key, ALPNProtocols: ["http/1.1"] }, (socket) => {
    track(socket);
    const server = track(connectServer(serverUrl));
    server.once("error", () => {
      if (server.bytesRead === 0) answerUnreachable(socket, serverUrl);
    });
    join(socket, server);
  });
  official.on("tlsClientError", () => {}); // The client has its own error, and Node ends the socket.

  const proxy = createHttpServer((incoming, outgoing) => {
    if (incoming.headers["proxy-authorization"] !== expected) return refuseWithout(outgoing);
    void forward(incoming, outgoing, { serverUrl, upstream, track });
  });
  proxy.on("connect", (incoming: IncomingMessage, socket: Socket, head: Buffer) => {
    if (incoming.headers["proxy-authorization"] !== expected) {
      socket.end(
        'HTTP/1.1 407 Proxy Authentication Required\r\nProxy-Authenticate: Basic realm="sluice exec"\r\n\r\n',
      );
      return;
    }
    const [, host = "", portText = ""] = /^(.*):(\d+)$/.exec(incoming.url ?? "") ?? [];
    const port = Number(portText);
    if (head.length > 0) socket.unshift(head);
    if (port === 443 && isOfficialHost(host)) {
      socket.write("HTTP/1.1 200 Connection Established\r\n\r\n");
      official.emit("connection", socket);
      return;
    }
    upstream.connect(host, port).then(
      (target) => {
        socket.write("HTTP/1.1 200 Connection Established\r\n\r\n");
        join(socket, track(target));
      },
      (error: Error) => socket.end(`HTTP/1.1 502 Bad Gateway\r\n\r\n${host}: ${error.message}\n`),
    );
  });
  proxy.on("clientError", (_error, socket) => socket.destroy());

  const listener = createServer({ allowHalfOpen: true, noDelay: true }, (socket) => {
    track(socket);
    socket.once("data", (first: Buffer) => {
      socket.pause();
      socket.unshift(first);
      (first[0] === TLS_HANDSHAKE ? official : proxy).emit("connection", socket);
      process.nextTick(() => socket.resume());
    });
  });
  await new Promise<void>((resolve, reject) => {
    listener.once("error", reject);
    listener.listen(0, "127.0.0.1", resolve);
  });
  const { port } = listener.address() as AddressInfo; // a TCP port was opened
  return {
    port,
    proxyUrl: `http://sluice:${password}@127.0.0.1:${port}`,
    async [Symbol.asyncDispose]() {
      const closed = new Promise((resolve) => listener.close(resolve));
      for (const socket of sockets) socket.destroy();
      proxy.closeAllConnections();
      await closed;
    },
  };
}

/** First byte of a TLS record that opens a connection. */
const TLS_HANDSHAKE = 0x16;

function connectServer(serverUrl: string): Socket {
  const url = new URL(serverUrl);
  const host = url.hostname.replace(/^\[|\]$/g, "");
  const port = Number(url.port || (url.protocol === "https:" ? 443 : 80));
  return url.protocol === "https:"
    ? connectTls({ host, port, servername: host, ALPNProtocols: ["http/1.1"] })
    : connect({ host, port, noDelay: true });
}

/** Joins two connections: what one says the other hears, an end is passed on, a break ends both. */
function join(one: Duplex, other: Duplex): void {
  one.pipe(other);
  other.pipe(one);
  one.once("close", () => other.destroy());
  other.once("close", () => one.end());
}

function answerUnreachable(socket: Duplex, serverUrl: string): void {
  const body = JSON.stringify({ detail: `sluice exec: no server answers at ${serverUrl}.` });
  socket.end(
    `HTTP/1.1 502 Bad Gateway\r\ncontent-type: application/json\r\ncontent-length: ${body.length}\r\nconnection: close\r\n\r\n${body}`,
  );
}

function refuseWithout(outgoing: ServerResponse): void {
  outgoing.writeHead(407, { "proxy-authenticate": 'Basic realm="sluice exec"' }).end();
}

/**
 * Some libraries send a whole `https://` address to a proxy and leave TLS to it, in place of CONNECT. What they ask for
 * is done: this side speaks TLS with the host.
 */
async function forward(
  incoming: IncomingMessage,
  outgoing: ServerResponse,
  parts: {
    readonly serverUrl: string;
    readonly upstream: UpstreamProxy;
    readonly track: <S extends Duplex>(socket: S) => S;
  },
): Promise<void> {
  const url = URL.canParse(incoming.url ?? "") ? new URL(incoming.url ?? "") : undefined;
  if (url?.protocol !== "https:") {
    outgoing.writeHead(400, { "content-type": "text/plain" });
    outgoing.end("This port is the proxy of `sluice exec`; it takes CONNECT and https addresses.\n");
    return;
  }
  const fail = (error: Error): void => {
    if (outgoing.headersSent) return void outgoing.destroy(error);
    outgoing.writeHead(502, { "content-type": "text/plain" }).end(`${url.host}: ${error.message}\n`);
  };
  try {
    const port = Number(url.port || 443);
    const socket =
      port === 443 && isOfficialHost(url.hostname)
        ? connectServer(parts.serverUrl)
        : connectTls({
            socket: await parts.upstream.connect(url.hostname, port),
            servername: url.hostname,
            ALPNProtocols: ["http/1.1"],
          });
    parts.track(socket);
    const { "proxy-authorization": _, "proxy-connection": __, ...headers } = incoming.headers;
    const call = request({
      createConnection: () => socket,
      method: incoming.method ?? "GET",
      path: `${url.pathname}${url.search}`,
      headers: { ...headers, host: url.host, connection: "close" },
    });
    call.once("error", fail);
    call.once("response", (response) => {
      outgoing.writeHead(response.statusCode ?? 502, response.rawHeaders);
      response.pipe(outgoing);
    });
    outgoing.once("close", () => call.destroy());
    incoming.pipe(call);
  } catch (error) {
    fail(error as Error);
  }
}
