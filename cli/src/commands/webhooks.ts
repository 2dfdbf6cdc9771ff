import type { Command } from "commander";
import { CliError } from "../cli-error.ts";
import { createClient, findConnection } from "../connection.ts";
import { addDataOption, resolveDataDir } from "../data-dir.ts";
import { openInbox, type Received } from "../webhooks/open-inbox.ts";

interface Options {
  readonly data?: string;
  readonly host: string;
  readonly port: string;
  readonly forward?: string;
  readonly json?: boolean;
}

/** `sluice webhooks listen`: an inbox on this machine that shows and verifies what a server delivers. */
export function addWebhooksCommands(program: Command): void {
  const webhooks = program
    .command("webhooks")
    .description("receive webhooks on this machine")
    .addHelpText("after", "\nExample:\n  sluice webhooks listen");
  webhooks.exitOverride();

  addDataOption(webhooks.command("listen"))
    .description("print deliveries, verify their signatures by the server's keys, and pass them on")
    .option("--port <port>", "port to listen on; 0 picks a free one", "7778")
    .option("--host <address>", "address to listen on", "127.0.0.1")
    .option("--forward <url>", "pass genuine deliveries on to this address and answer as it answers")
    .option("--json", "print one JSON object per delivery")
    .addHelpText(
      "after",
      `
A server that listens beyond this machine calls private addresses only with SLUICE_WEBHOOK_ALLOW_PRIVATE=true.

Example:
  sluice webhooks listen --forward http://127.0.0.1:3000/api/fal/webhook`,
    )
    .action(async (options: Options) => {
      const connection = findConnection(process.env, resolveDataDir(options));
      await using inbox = await openInbox({
        host: options.host,
        port: parsePort(options.port),
        client: createClient(connection),
        forwardUrl: parseForwardUrl(options.forward),
        onReceived: (received) =>
          void process.stdout.write(options.json ? formatJson(received) : formatReceived(received)),
      });
      const greeting = [
        `listening on ${inbox.url}`,
        `give it as a webhook: fal_webhook=${encodeURIComponent(inbox.url)}`,
        `signatures are verified by the keys of ${connection.url}`,
        "",
      ];
      // With --json, standard output is for programs.
      (options.json ? process.stderr : process.stdout).write(`${greeting.join("\n")}\n`);
      await waitForSignal();
    });
}

function parsePort(text: string): number {
  if (/^\d{1,5}$/.test(text) && Number(text) <= 65_535) return Number(text);
  throw new CliError(`--port must be 0 to 65535, not "${text}".`);
}

function parseForwardUrl(text: string | undefined): URL | undefined {
  if (text === undefined) return undefined;
  const url = URL.canParse(text) ? new URL(text) : undefined;
  if (url !== undefined && /^https?:$/.test(url.protocol)) return url;
  throw new CliError(`--forward must be an http(s) URL, not "${text}".`, {
    next: ["For example --forward http://127.0.0.1:3000/api/webhook"],
  });
}

function waitForSignal(): Promise<void> {
  return new Promise((resolve) => {
    process.once("SIGINT", () => resolve());
    process.once("SIGTERM", () => resolve());
  });
}

function formatReceived(received: Received): string {
  const { at, requestId, problem, forwarded, status } = received;
  const body = parseBody(received);
  const words = [
    at.toTimeString().slice(0, 8),
    requestId ?? "no request id",
    readStatus(body),
    problem === null ? "verified" : `NOT VERIFIED: ${problem}`,
    ...(forwarded === null
      ? []
      : ["status" in forwarded ? `forwarded: ${forwarded.status}` : `not forwarded: ${forwarded.error}`]),
    `answered ${status}`,
  ];
  const text = body === undefined ? "(not JSON)" : JSON.stringify(body, shorten, 2);
  return clean(`${words.join("  ")}\n${text.replaceAll(/^/gm, "  ")}\n\n`);
}

function formatJson(received: Received): string {
  const { at, requestId, problem, forwarded, status } = received;
  const line = {
    received_at: at.toISOString(),
    request_id: requestId,
    is_verified: problem === null,
    problem,
    forwarded,
    status,
    body: parseBody(received) ?? null,
  };
  return `${JSON.stringify(line)}\n`;
}

function parseBody({ body }: Received): unknown {
  try {
    return JSON.parse(new TextDecoder().decode(body));
  } catch {
    return undefined;
  }
}

function readStatus(body: unknown): string {
  const { status } = (body ?? {}) as { readonly status?: unknown };
  return status === "OK" || status === "ERROR" ? status : "?";
}

/** A picture inside the text would fill the screen. */
function shorten(_key: string, value: unknown): unknown {
  return typeof value === "string" && value.length > 500
    ? `${value.slice(0, 200)}… (${value.length} characters)`
    : value;
}

/** Whoever can reach the port writes this text: it must not steer the terminal. */
function clean(text: string): string {
  // biome-ignore lint/suspicious/noControlCharactersInRegex: that is what is taken out
  return text.replaceAll(/[\u0000-\u0009\u000b-\u001f\u007f-\u009f]/g, "");
}
