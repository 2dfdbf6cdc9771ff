import { decode } from "@msgpack/msgpack";
import { WebSocket } from "ws";

/** A socket to a test server, with everything that came over it. */
export interface TestSocket {
  readonly socket: WebSocket;
  /** Decoded: text as JSON, binary as msgpack. */
  readonly messages: Message[];
  /** How it was closed, once it was. */
  readonly closed: Promise<{ readonly code: number; readonly reason: string }>;
  /** The next message, in order; rejects after ten seconds. */
  next(): Promise<Message>;
}

export interface Message {
  readonly isBinary: boolean;
  readonly data: Buffer;
  // biome-ignore lint/suspicious/noExplicitAny: messages are read by path
  readonly json: any;
}

/** The handshake was answered with HTTP. */
export class Refused extends Error {
  readonly status: number;
  readonly text: string;
  constructor(status: number, text: string) {
    super(`refused with ${status}: ${text}`);
    this.status = status;
    this.text = text;
  }
}

/**
 * @param url http(s) URL
 * @throws Refused
 */
export async function openSocket(
  url: string,
  headers: Readonly<Record<string, string>> = {},
): Promise<TestSocket> {
  const socket = new WebSocket(url.replace(/^http/, "ws"), { headers });
  const messages: Message[] = [];
  let read = 0;
  let wake = (): void => {};
  socket.on("message", (raw, isBinary) => {
    const data = raw as Buffer;
    messages.push({ isBinary, data, json: isBinary ? readMsgpack(data) : readJson(data) });
    wake();
  });
  const closed = new Promise<{ code: number; reason: string }>((resolve) =>
    socket.on("close", (code, reason) => {
      resolve({ code, reason: reason.toString() });
      wake();
    }),
  );
  await new Promise<void>((resolve, reject) => {
    socket.on("open", resolve);
    socket.on("error", reject);
    socket.on("unexpected-response", (_request, response) => {
      let text = "";
      response.on("data", (chunk: Buffer) => {
        text += chunk.toString();
      });
      response.on("end", () => reject(new Refused(response.statusCode ?? 0, text)));
    });
  });
  return {
    socket,
    messages,
    closed,
    async next() {
      const until = Date.now() + 10_000;
      for (;;) {
        const message = messages[read];
        if (message !== undefined) {
          read += 1;
          return message;
        }
        if (socket.readyState === socket.CLOSED) throw new Error("the socket was closed");
        if (Date.now() > until) throw new Error("no message came");
        await new Promise<void>((resolve) => {
          wake = resolve;
          setTimeout(resolve, 50);
        });
      }
    },
  };
}

function readJson(data: Buffer): unknown {
  try {
    return JSON.parse(data.toString("utf8"));
  } catch {
    return undefined;
  }
}

function readMsgpack(data: Buffer): unknown {
  try {
    return decode(data);
  } catch {
    return undefined;
  }
}
