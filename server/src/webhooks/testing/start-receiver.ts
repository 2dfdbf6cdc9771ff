import { createServer, type IncomingHttpHeaders, type ServerResponse } from "node:http";
import type { AddressInfo, Socket } from "node:net";

/** What somebody posted. */
export interface Posted {
  readonly path: string;
  readonly headers: IncomingHttpHeaders;
  readonly body: Buffer;
  /** The body as JSON. */
  // biome-ignore lint/suspicious/noExplicitAny: payloads are read by path
  readonly json: any;
}

/** A receiver of webhooks on a loopback port. */
export interface Receiver extends AsyncDisposable {
  readonly url: string;
  readonly posted: Posted[];
  /** What it answers; default 204. */
  answer: (posted: Posted, response: ServerResponse) => void;
  /** Resolves when this many deliveries have come in all; rejects after ten seconds. */
  waitFor(count: number, timeoutMs?: number): Promise<readonly Posted[]>;
}

export async function startReceiver(port = 0): Promise<Receiver> {
  const posted: Posted[] = [];
  let wake = (): void => {};
  const sockets = new Set<Socket>();
  const server = createServer((request, response) => {
    const chunks: Buffer[] = [];
    request.on("data", (chunk: Buffer) => chunks.push(chunk));
    request.on("end", () => {
      const body = Buffer.concat(chunks);
      const { url: path = "", headers } = request;
      const one: Posted = { path, headers, body, json: JSON.parse(body.toString("utf8")) };
      posted.push(one);
      receiver.answer(one, response);
      wake();
    });
  });
  server.on("connection", (socket) => {
    sockets.add(socket);
    socket.on("close", () => sockets.delete(socket));
  });
  await new Promise<void>((resolve) => server.listen(port, "127.0.0.1", resolve));
  const receiver: Receiver = {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    posted,
    answer: (_posted, response) => response.writeHead(204).end(),
    async waitFor(count, timeoutMs = 10_000) {
      const until = Date.now() + timeoutMs;
      while (posted.length < count) {
        if (Date.now() > until) throw new Error(`${posted.length} of ${count} deliveries came`);
        await new Promise<void>((resolve) => {
          wake = resolve;
          setTimeout(resolve, 100);
        });
      }
      return posted;
    },
    async [Symbol.asyncDispose]() {
      for (const socket of sockets) socket.destroy();
      await new Promise((resolve) => server.close(resolve));
    },
  };
  return receiver;
}
