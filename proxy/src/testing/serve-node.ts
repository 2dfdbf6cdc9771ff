import { createServer, type IncomingMessage, type ServerResponse } from "node:http";
import type { AddressInfo, Socket } from "node:net";
import type { ServedProxy } from "./conformance.ts";

/** Serves a Node handler on loopback; its route is `/api/fal/proxy`. */
export async function serveNode(
  listener: (request: IncomingMessage, response: ServerResponse) => unknown,
): Promise<ServedProxy> {
  const sockets = new Set<Socket>();
  const server = createServer((request, response) => void listener(request, response));
  server.on("connection", (socket) => {
    sockets.add(socket);
    socket.on("close", () => sockets.delete(socket));
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}/api/fal/proxy`,
    close: () =>
      new Promise((resolve) => {
        server.close(() => resolve());
        for (const socket of sockets) socket.destroy();
      }),
  };
}
