import { createServer, type IncomingMessage, type Server, type ServerResponse } from "node:http";
import type { AddressInfo, Socket } from "node:net";
import type { Duplex } from "node:stream";

/** What one call to the server looked like. */
export interface SeenCall {
  readonly method: string;
  readonly path: string;
  readonly query: URLSearchParams;
  readonly headers: IncomingMessage["headers"];
  readonly body: Buffer;
}

export type Handler = (
  call: SeenCall,
  response: ServerResponse,
  request: IncomingMessage,
) => void | Promise<void>;

/** A plain HTTP server on loopback that remembers its calls and can be stopped and started on the same port. */
export interface TestServer {
  readonly url: string;
  readonly calls: SeenCall[];
  /** Open connections. */
  readonly sockets: ReadonlySet<Socket>;
  /** Calls that are neither answered nor given up by the client. */
  readonly pending: ReadonlySet<ServerResponse>;
  handler: Handler;
  onUpgrade: (request: IncomingMessage, socket: Duplex, head: Buffer) => void;
  /** Ends every connection at once, as a killed process would. */
  stop(): Promise<void>;
  start(): Promise<void>;
  [Symbol.asyncDispose](): Promise<void>;
}

export async function startTestServer(handler: Handler): Promise<TestServer> {
  const sockets = new Set<Socket>();
  const calls: SeenCall[] = [];
  const pending = new Set<ServerResponse>();
  let server: Server;
  let port = 0;
  const start = () =>
    new Promise<void>((resolve, reject) => {
      server = createServer((request, response) => {
        const chunks: Buffer[] = [];
        pending.add(response);
        response.on("close", () => pending.delete(response));
        request.on("data", (chunk: Buffer) => chunks.push(chunk));
        request.on("error", () => undefined);
        request.on("end", () => {
          const url = new URL(request.url ?? "/", "http://test");
          const call: SeenCall = {
            method: request.method ?? "",
            path: url.pathname,
            query: url.searchParams,
            headers: request.headers,
            body: Buffer.concat(chunks),
          };
          calls.push(call);
          void (async () => self.handler(call, response, request))().catch((error: unknown) => {
            response.destroy(error as Error);
          });
        });
      });
      server.on("upgrade", (request, socket, head) => self.onUpgrade(request, socket, head));
      server.on("connection", (socket) => {
        sockets.add(socket);
        socket.on("error", () => undefined);
        socket.on("close", () => sockets.delete(socket));
      });
      server.on("error", reject);
      server.listen(port, "127.0.0.1", () => {
        port = (server.address() as AddressInfo).port;
        resolve();
      });
    });
  const stop = () =>
    new Promise<void>((resolve) => {
      server.close(() => resolve());
      for (const socket of sockets) socket.destroy();
    });
  const self: TestServer = {
    get url() {
      return `http://127.0.0.1:${port}`;
    },
    calls,
    sockets,
    pending,
    handler,
    onUpgrade: (_request, socket) => socket.destroy(),
    start,
    stop,
    [Symbol.asyncDispose]: stop,
  };
  await start();
  return self;
}

export function sendJson(
  response: ServerResponse,
  status: number,
  body: unknown,
  headers: Record<string, string> = {},
): void {
  response.writeHead(status, { "content-type": "application/json", ...headers });
  response.end(JSON.stringify(body));
}
