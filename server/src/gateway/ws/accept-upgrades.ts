import type { IncomingMessage, Server } from "node:http";
import type { Socket } from "node:net";
import type { Duplex } from "node:stream";
import { type WebSocket, WebSocketServer } from "ws";
import type { Logger } from "../../logger.ts";
import type { Connection } from "../call.ts";
import { keepAlive } from "./keep-alive.ts";

/** What becomes of a WebSocket handshake. */
export type Upgrade =
  | { readonly kind: "accepted"; readonly serve: (socket: WebSocket) => void }
  /** Answered with HTTP; there is no socket. */
  | { readonly kind: "refused"; readonly response: Response };

export interface UpgradeOptions {
  readonly server: Server;
  readonly upgrade: (request: Request, connection: Connection) => Promise<Upgrade>;
  readonly describeConnection: (incoming: IncomingMessage) => Connection;
  readonly logger: Logger;
  readonly limits?: Partial<SocketLimits>;
}

export interface SocketLimits {
  /** Time between pings, in milliseconds. */
  readonly pingMs: number;
  /** A socket that shows no sign of life for this long is dropped, in milliseconds. */
  readonly silenceMs: number;
  /** Longest message; a longer one closes the socket with 1009. */
  readonly maxMessageBytes: number;
  /** Sockets beyond this are closed with 1013 as soon as they open. */
  readonly maxSockets: number;
}

const LIMITS: SocketLimits = {
  pingMs: 20_000,
  silenceMs: 60_000,
  maxMessageBytes: 16 * 2 ** 20,
  maxSockets: 2_000,
};

/** Sockets in use. */
export interface OpenSockets {
  /** Closes all with 1001, and after `graceMs` breaks off those that have not followed. */
  close(graceMs: number): Promise<void>;
}

/** Takes the WebSocket handshakes of an HTTP server. Who may open a socket, and what it speaks, `upgrade` decides. */
export function acceptUpgrades(options: UpgradeOptions): OpenSockets {
  const { server, upgrade, describeConnection, logger } = options;
  const limits = { ...LIMITS, ...options.limits };
  const accepting = new WebSocketServer({
    noServer: true,
    perMessageDeflate: false,
    maxPayload: limits.maxMessageBytes,
  });
  const sockets = new Set<WebSocket>();
  let isClosing = false;

  const open = (socket: WebSocket, duplex: Duplex, serve: (socket: WebSocket) => void): void => {
    closeWith1000(socket);
    sockets.add(socket);
    socket.on("close", () => sockets.delete(socket));
    // What an error is about, the close that follows it says.
    socket.on("error", (error) => logger.debug({ err: error }, "a socket failed"));
    if (sockets.size > limits.maxSockets) {
      socket.close(1013, "Too many connections; try again later.");
      return;
    }
    keepAlive(socket, { ...limits, countReceived: () => (duplex as Socket).bytesRead });
    serve(socket);
  };

  server.on("upgrade", (incoming, duplex, head) => {
    duplex.on("error", () => {}); // A caller that leaves during the handshake needs no answer.
    void (async () => {
      const request = createRequest(incoming);
      const outcome: Upgrade =
        request === undefined
          ? { kind: "refused", response: new Response(BROKEN, { status: 400, headers: JSON_BODY }) }
          : await upgrade(request, describeConnection(incoming));
      if (isClosing) return void duplex.destroy();
      if (outcome.kind === "refused") return await writeResponse(duplex, outcome.response);
      accepting.handleUpgrade(incoming, duplex, head, (socket) => open(socket, duplex, outcome.serve));
    })().catch((error: unknown) => {
      logger.error({ err: error }, "a WebSocket handshake failed unexpectedly");
      duplex.destroy();
    });
  });

  return {
    async close(graceMs) {
      isClosing = true;
      const gone = [...sockets].map(
        (socket) => new Promise<void>((resolve) => socket.once("close", () => resolve())),
      );
      for (const socket of sockets) socket.close(1001, "The server is stopping.");
      const timer = setTimeout(() => {
        for (const socket of sockets) socket.terminate();
      }, graceMs);
      await Promise.all(gone);
      clearTimeout(timer);
    },
  };
}

const JSON_BODY = { "content-type": "application/json" };
const BROKEN = JSON.stringify({ detail: "The request cannot be read." });

/**
 * The clients of the fal model API close without a code and take any code but 1000 that comes back for an error: an
 * empty close is answered with 1000.
 */
function closeWith1000(socket: WebSocket): void {
  const close = socket.close.bind(socket);
  socket.close = (code = 1000, reason) => close(code, reason);
}

function createRequest(incoming: IncomingMessage): Request | undefined {
  const { url = "/", headers } = incoming;
  const { host } = headers;
  if (host === undefined || !url.startsWith("/")) return undefined;
  try {
    const target = new URL(`http://${host}${url}`);
    if (target.username !== "" || target.pathname !== new URL(url, "http://x").pathname) return undefined;
    const copied = new Headers();
    for (const [name, value] of Object.entries(headers)) {
      if (value !== undefined) copied.set(name, Array.isArray(value) ? value.join(", ") : value);
    }
    return new Request(target, { headers: copied });
  } catch {
    return undefined; // a Host header that is none
  }
}

async function writeResponse(duplex: Duplex, response: Response): Promise<void> {
  const body = Buffer.from(await response.arrayBuffer());
  const { status } = response;
  const lines = [`HTTP/1.1 ${status} ${PHRASES[status] ?? "Error"}`];
  for (const [name, value] of response.headers) lines.push(`${name}: ${value}`);
  lines.push(`content-length: ${body.byteLength}`, "connection: close", "", "");
  duplex.end(Buffer.concat([Buffer.from(lines.join("\r\n"), "latin1"), body]));
}

const PHRASES: Readonly<Record<number, string>> = {
  400: "Bad Request",
  401: "Unauthorized",
  403: "Forbidden",
  404: "Not Found",
  500: "Internal Server Error",
  503: "Service Unavailable",
};
