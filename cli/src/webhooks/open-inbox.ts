import { createServer, type IncomingHttpHeaders, type IncomingMessage, type Server } from "node:http";
import type { AddressInfo } from "node:net";
import { type FalClient, WebhookVerificationError } from "@sluice/client";
import { CliError } from "../cli-error.ts";

/** A delivery that came in, and what was done with it. */
export interface Received {
  readonly at: Date;
  readonly requestId: string | null;
  /** The body as it came. */
  readonly body: Uint8Array;
  /** Null: the server signed it. */
  readonly problem: string | null;
  /** What the address it was passed on to answered; null when it was not passed on. */
  readonly forwarded: { readonly status: number } | { readonly error: string } | null;
  /** The status that the sender got. */
  readonly status: number;
}

export interface InboxOptions {
  readonly host: string;
  /** 0 picks a free one. */
  readonly port: number;
  /** Verifies by the keys of its server. */
  readonly client: Pick<FalClient, "webhooks">;
  /** Where genuine deliveries are passed on to; its answer becomes the answer. */
  readonly forwardUrl: URL | undefined;
  readonly onReceived: (received: Received) => void;
}

export interface Inbox extends AsyncDisposable {
  /** What to give as a webhook. */
  readonly url: string;
}

const MAX_BODY_BYTES = 256 * 2 ** 20;
/** As long as the server itself waits for a retry. */
const FORWARD_TIMEOUT_MS = 120_000;

/**
 * A receiver of webhooks on this machine. A delivery that the server signed is answered 200, or as the address that it
 * is passed on to answers; any other is answered 401 and goes nowhere.
 *
 * @throws CliError when the port cannot be opened
 */
export async function openInbox(options: InboxOptions): Promise<Inbox> {
  const { host, port } = options;
  const server = createServer((incoming, outgoing) => {
    if (incoming.method !== "POST") {
      outgoing.writeHead(405, { allow: "POST", "content-type": "text/plain; charset=utf-8" });
      outgoing.end("This is an inbox for webhooks: POST to it.\n");
      return;
    }
    receive(incoming, options).then(
      (received) => {
        outgoing.writeHead(received.status).end();
        options.onReceived(received);
      },
      () => outgoing.destroy(), // The sender left before its delivery was whole.
    );
  });
  await open(server, host, port);
  const address = server.address() as AddressInfo; // a TCP port was opened
  const shown = host.includes(":") ? `[${host}]` : host;
  return {
    url: `http://${shown}:${address.port}/`,
    async [Symbol.asyncDispose]() {
      const closed = new Promise((resolve) => server.close(resolve));
      server.closeAllConnections();
      await closed;
    },
  };
}

function open(server: Server, host: string, port: number): Promise<void> {
  return new Promise((resolve, reject) => {
    server.once("error", (cause) =>
      reject(
        new CliError(`Port ${port} on ${host} cannot be opened: ${cause.message}`, {
          next: ["Choose another with --port (0 picks a free one) or --host."],
          cause,
        }),
      ),
    );
    server.listen(port, host, resolve);
  });
}

async function receive(incoming: IncomingMessage, options: InboxOptions): Promise<Received> {
  const at = new Date();
  const body = await readBody(incoming);
  const { headers } = incoming;
  const requestId = headers["x-fal-webhook-request-id"];
  const common = { at, body, requestId: typeof requestId === "string" ? requestId : null };
  if (body.byteLength > MAX_BODY_BYTES)
    return { ...common, problem: "the body is too large", forwarded: null, status: 413 };
  try {
    await options.client.webhooks.verify({ headers, body });
  } catch (error) {
    const isForged = error instanceof WebhookVerificationError;
    const problem = error instanceof Error ? error.message : String(error);
    // Without the server's keys nothing can be said; the sender should try again.
    return { ...common, problem, forwarded: null, status: isForged ? 401 : 503 };
  }
  if (options.forwardUrl === undefined) return { ...common, problem: null, forwarded: null, status: 200 };
  const forwarded = await forward(options.forwardUrl, headers, body);
  return { ...common, problem: null, forwarded, status: "status" in forwarded ? forwarded.status : 502 };
}

async function readBody(incoming: IncomingMessage): Promise<Uint8Array<ArrayBuffer>> {
  const chunks: Buffer[] = [];
  let size = 0;
  for await (const chunk of incoming as AsyncIterable<Buffer>) {
    size += chunk.byteLength;
    chunks.push(chunk);
    if (size > MAX_BODY_BYTES) break;
  }
  return new Uint8Array(Buffer.concat(chunks));
}

/** The same bytes with the same signature, so that the address can verify it again. */
async function forward(
  url: URL,
  headers: IncomingHttpHeaders,
  body: Uint8Array<ArrayBuffer>,
): Promise<NonNullable<Received["forwarded"]>> {
  const kept = Object.entries(headers).filter(
    ([name]) => name.startsWith("x-fal-webhook-") || name === "content-type" || name === "user-agent",
  );
  try {
    const response = await fetch(url, {
      method: "POST",
      headers: Object.fromEntries(kept.map(([name, value]) => [name, String(value)])),
      body,
      redirect: "manual",
      signal: AbortSignal.timeout(FORWARD_TIMEOUT_MS),
    });
    await response.body?.cancel();
    return { status: response.status };
  } catch (error) {
    const { cause, message } = error as Error;
    return { error: cause instanceof Error && cause.message !== "" ? cause.message : message };
  }
}
