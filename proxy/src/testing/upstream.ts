import { createServer, type IncomingMessage, type ServerResponse } from "node:http";
import type { AddressInfo, Socket } from "node:net";

export interface SeenCall {
  readonly method: string;
  /** Path and query. */
  readonly url: string;
  readonly headers: IncomingMessage["headers"];
  readonly body: Buffer;
}

export type Handler = (call: SeenCall, response: ServerResponse) => void | Promise<void>;

/** Stands where the API would be: remembers the calls and answers as a test wants. */
export interface Upstream {
  readonly url: string;
  readonly calls: SeenCall[];
  /** Calls that are neither answered nor given up. */
  readonly pending: ReadonlySet<ServerResponse>;
  handler: Handler;
  close(): Promise<void>;
}

export async function startUpstream(): Promise<Upstream> {
  const calls: SeenCall[] = [];
  const pending = new Set<ServerResponse>();
  const sockets = new Set<Socket>();
  const server = createServer((request, response) => {
    pending.add(response);
    response.on("close", () => pending.delete(response));
    const chunks: Buffer[] = [];
    request.on("data", (chunk: Buffer) => chunks.push(chunk));
    request.on("error", () => undefined);
    request.on("end", () => {
      const { method = "", url = "", headers } = request;
      const call = { method, url, headers, body: Buffer.concat(chunks) };
      calls.push(call);
      void (async () => self.handler(call, response))();
    });
  });
  server.on("connection", (socket) => {
    sockets.add(socket);
    socket.on("close", () => sockets.delete(socket));
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const self: Upstream = {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    calls,
    pending,
    handler: (_call, response) => {
      response.writeHead(200, { "content-type": "application/json" }).end('{"ok":true}');
    },
    close: () =>
      new Promise((resolve) => {
        server.close(() => resolve());
        for (const socket of sockets) socket.destroy();
      }),
  };
  return self;
}
