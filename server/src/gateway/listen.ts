import { randomUUID } from "node:crypto";
import { readFile } from "node:fs/promises";
import {
  createServer as createHttpServer,
  type IncomingMessage,
  type Server,
  type ServerOptions,
  ServerResponse,
} from "node:http";
import { createServer as createHttpsServer } from "node:https";
import type { AddressInfo, Socket } from "node:net";
import type { Duplex } from "node:stream";
import { createSecureContext, type TLSSocket } from "node:tls";
import { getRequestListener, RequestError } from "@hono/node-server";
import type { Logger } from "../logger.ts";
import type { Settings } from "../settings.ts";
import type { Connection } from "./call.ts";
import type { Gateway } from "./gateway.ts";
import { CORS_HEADERS } from "./respond.ts";
import { acceptUpgrades, type OpenSockets, type SocketLimits } from "./ws/accept-upgrades.ts";

/** An open port. Closing it stops new connections and ends those that do nothing. */
export interface Listener {
  /** `http://127.0.0.1:7777`: where this machine reaches it. */
  readonly url: string;
  readonly port: number;
  /** Takes no new connections, waits for running answers at most `graceMs`, then ends them. */
  close(graceMs: number): Promise<void>;
}

/** The port cannot be opened, or the certificate cannot be read: says which setting to change. */
export class ListenError extends Error {
  readonly kind: "in_use" | "no_permission" | "no_such_address" | "certificate" | "failed";
  constructor(kind: ListenError["kind"], message: string, cause: unknown) {
    super(message, { cause });
    this.name = "ListenError";
    this.kind = kind;
  }
}

/**
 * Opens the port of the settings and answers with the gateway. Prints nothing.
 * @throws ListenError
 */
export async function listen(parts: {
  readonly gateway: Gateway;
  readonly settings: Settings;
  readonly logger: Logger;
  readonly patience?: Partial<Patience>;
  readonly socketLimits?: Partial<SocketLimits>;
}): Promise<Listener> {
  const { gateway, settings, logger } = parts;
  const server = await createServer(settings, gateway, logger, { ...PATIENCE, ...parts.patience });
  const sockets = acceptUpgrades({
    server,
    upgrade: gateway.upgrade,
    describeConnection: (incoming) => describeConnection(incoming.socket),
    logger,
    limits: parts.socketLimits ?? {},
  });
  await open(server, settings);
  const { port } = server.address() as AddressInfo; // a TCP port was opened
  const scheme = settings.tlsCert === null ? "http" : "https";
  return {
    url: `${scheme}://${formatHost(settings.host)}:${port}`,
    port,
    close: (graceMs) => close(server, sockets, graceMs),
  };
}

/** How long a caller may take over what, in milliseconds. The wait for an answer has no limit here. */
export interface Patience {
  /** The head of a request. */
  readonly headersMs: number;
  /** A quiet moment within its body. */
  readonly quietBodyMs: number;
  /** The whole request: large uploads over slow lines take long. */
  readonly requestMs: number;
  /** An idle connection: longer than common load balancers keep one, so that they close first. */
  readonly keepAliveMs: number;
}

const PATIENCE: Patience = {
  headersMs: 30_000,
  quietBodyMs: 60_000,
  requestMs: 6 * 3_600_000,
  keepAliveMs: 75_000,
};

class GatewayResponse<Request extends IncomingMessage = IncomingMessage> extends ServerResponse<Request> {
  // 499 has no phrase in Node's table; clients show phrases to people.
  override writeHead(status: number, ...rest: never[]): this {
    if (status === 499) this.statusMessage = "Client Closed Request";
    return super.writeHead(status, ...rest);
  }
}

async function createServer(
  settings: Settings,
  gateway: Gateway,
  logger: Logger,
  patience: Patience,
): Promise<Server> {
  const answer = getRequestListener(
    (request, { incoming }) => gateway.fetch(request, describeConnection(incoming.socket as Socket)),
    { hostname: "localhost", errorHandler: (error) => answerBroken(error, logger) },
  );
  const options: ServerOptions = {
    headersTimeout: patience.headersMs,
    requestTimeout: patience.requestMs,
    keepAliveTimeout: patience.keepAliveMs,
    connectionsCheckingInterval: Math.min(5_000, patience.headersMs),
    // Notices callers that vanished without a word.
    keepAlive: true,
    keepAliveInitialDelay: 60_000,
    // Offers of other protocols (h2c) are declined by answering as if they had not been made.
    shouldUpgradeCallback: (incoming) => incoming.headers.upgrade?.toLowerCase() === "websocket",
    ServerResponse: GatewayResponse as never, // the types leave no room for a subclass's own parameters
  };
  const handle = (incoming: IncomingMessage, outgoing: ServerResponse): void => {
    watchBody(incoming, patience.quietBodyMs);
    void answer(incoming, outgoing);
  };
  const server =
    settings.tlsCert === null || settings.tlsKey === null
      ? createHttpServer(options, handle)
      : createHttpsServer(
          { ...options, ...(await readCertificate(settings.tlsCert, settings.tlsKey)) },
          handle,
        );
  server.on("clientError", answerUnreadable);
  server.on("checkExpectation", (_incoming, outgoing) => {
    const detail = "The Expect header asks for something this server does not do; leave it out.";
    outgoing.writeHead(417, { "content-type": "application/json", ...CORS_HEADERS });
    outgoing.end(JSON.stringify({ detail }));
  });
  return server;
}

function describeConnection(socket: Socket): Connection {
  return {
    remoteAddress: socket.remoteAddress,
    isTls: (socket as TLSSocket).encrypted === true,
    localAddress: socket.localAddress,
    localPort: socket.localPort,
  };
}

/** Ends a connection whose request body stops arriving; the wait for an answer may be as long as it takes. */
function watchBody(incoming: IncomingMessage, quietMs: number): void {
  if (incoming.method === "GET" || incoming.method === "HEAD") return;
  const { socket } = incoming;
  socket.setTimeout(quietMs);
  incoming.once("end", () => socket.setTimeout(0));
}

/** What the listener itself could not turn into a request, for example a Host header that is none. */
function answerBroken(error: unknown, logger: Logger): Response {
  const isCallers = error instanceof RequestError;
  if (!isCallers) logger.error({ err: error }, "a call failed before it reached the gateway");
  const detail = isCallers ? `The request cannot be read: ${error.message}.` : "Internal Server Error";
  return new Response(JSON.stringify({ detail }), {
    status: isCallers ? 400 : 500,
    headers: { "content-type": "application/json", "x-fal-request-id": randomUUID(), ...CORS_HEADERS },
  });
}

const UNREADABLE: Readonly<Record<string, readonly [string, string]>> = {
  HPE_HEADER_OVERFLOW: ["431 Request Header Fields Too Large", "The request's headers are too large."],
  ERR_HTTP_REQUEST_TIMEOUT: ["408 Request Timeout", "The request did not arrive in time."],
};

/** What Node's parser refuses: there is no request to answer, only a socket. */
function answerUnreadable(error: Error & { readonly code?: string }, socket: Duplex): void {
  if (error.code === "ECONNRESET" || !socket.writable) {
    socket.destroy();
    return;
  }
  const [status, detail] = UNREADABLE[error.code ?? ""] ?? [
    "400 Bad Request",
    "The request is not valid HTTP.",
  ];
  const body = JSON.stringify({ detail });
  socket.end(
    `HTTP/1.1 ${status}\r\ncontent-type: application/json\r\ncontent-length: ${Buffer.byteLength(body)}\r\nx-fal-request-id: ${randomUUID()}\r\nconnection: close\r\n\r\n${body}`,
  );
}

async function readCertificate(certPath: string, keyPath: string): Promise<{ cert: Buffer; key: Buffer }> {
  try {
    const [cert, key] = await Promise.all([readFile(certPath), readFile(keyPath)]);
    createSecureContext({ cert, key });
    return { cert, key };
  } catch (cause) {
    throw new ListenError(
      "certificate",
      `The certificate cannot be used: ${(cause as Error).message}. Check SLUICE_TLS_CERT (${certPath}) and SLUICE_TLS_KEY (${keyPath}).`,
      cause,
    );
  }
}

function open(server: Server, { host, port }: Settings): Promise<void> {
  return new Promise((resolve, reject) => {
    server.once("error", (cause: Error & { readonly code?: string }) =>
      reject(describeFailure(cause, host, port)),
    );
    server.listen({ host, port }, () => {
      server.removeAllListeners("error");
      resolve();
    });
  });
}

function describeFailure(cause: Error & { readonly code?: string }, host: string, port: number): ListenError {
  switch (cause.code) {
    case "EADDRINUSE":
      return new ListenError(
        "in_use",
        `Port ${port} on ${host} is in use. Stop what listens there, or choose another with --port (0 picks a free one).`,
        cause,
      );
    case "EACCES":
      return new ListenError(
        "no_permission",
        `Port ${port} may not be opened by this user. Choose a port above 1023 with --port.`,
        cause,
      );
    case "EADDRNOTAVAIL":
    case "ENOTFOUND":
    case "EAI_AGAIN":
      return new ListenError(
        "no_such_address",
        `${host} is no address of this machine. Choose another with --host, for example 127.0.0.1 or 0.0.0.0.`,
        cause,
      );
    default:
      return new ListenError("failed", `Port ${port} on ${host} cannot be opened: ${cause.message}.`, cause);
  }
}

async function close(server: Server, sockets: OpenSockets, graceMs: number): Promise<void> {
  const closed = new Promise<void>((resolve) => {
    server.close(() => resolve());
  });
  void sockets.close(graceMs);
  server.closeIdleConnections();
  const timer = setTimeout(() => server.closeAllConnections(), graceMs);
  await closed;
  clearTimeout(timer);
}

/** An address that a browser on this machine can open. */
function formatHost(host: string): string {
  if (host === "0.0.0.0") return "127.0.0.1";
  if (host === "::") return "[::1]";
  return host.includes(":") ? `[${host}]` : host;
}
