import { chmod, rm } from "node:fs/promises";
import { createServer, type IncomingMessage, type ServerResponse } from "node:http";
import { isAbsolute } from "node:path";
import type { KeyChanges, KeyLimits, KeyStore, Scope } from "../keys/key-store.ts";
import type { Logger } from "../logger.ts";

/**
 * What the operator's command line may ask of a running server, over a Unix socket in the data folder that only
 * the server's own user can open. It exists because one process holds the data folder: keys made or revoked here
 * act at once.
 */
export interface ControlContext {
  /** Path of the socket; a stale one is replaced (the caller holds the data folder). */
  readonly path: string;
  readonly keys: KeyStore;
  /** Copies database and files into a folder that does not exist yet. */
  readonly backup: (folder: string) => Promise<void>;
  /** Looks at the installed models again and offers what they are bound to now. */
  readonly reloadModels: () => Promise<unknown>;
  readonly logger: Logger;
}

/** Largest command, in bytes. */
const MAX_COMMAND_BYTES = 64 * 1024;

export type ControlCommand =
  | {
      readonly command: "keys.create";
      readonly alias: string;
      readonly scope: Scope;
      readonly limits?: KeyLimits;
    }
  | { readonly command: "keys.list" }
  | { readonly command: "keys.update"; readonly keyId: string; readonly changes: KeyChanges }
  | { readonly command: "keys.revoke"; readonly keyId: string }
  | { readonly command: "backup"; readonly folder: string }
  | { readonly command: "models.reload" };

export async function startControlServer(context: ControlContext): Promise<AsyncDisposable> {
  await rm(context.path, { force: true });
  const server = createServer((request, response) => {
    answer(context, request, response).catch((error: unknown) => {
      context.logger.error({ err: error }, "control command failed");
      respond(response, 500, { error: error instanceof Error ? error.message : String(error) });
    });
  });
  server.requestTimeout = 10_000;
  const mask = process.umask(0o177);
  try {
    await new Promise<void>((resolve, reject) => {
      server.once("error", reject);
      server.listen(context.path, resolve);
    });
  } finally {
    process.umask(mask);
  }
  await chmod(context.path, 0o600);
  return {
    [Symbol.asyncDispose]: async () => {
      server.closeAllConnections();
      await new Promise((resolve) => server.close(resolve));
    },
  };
}

async function answer(
  context: ControlContext,
  request: IncomingMessage,
  response: ServerResponse,
): Promise<void> {
  const command = parseCommand(await readBody(request));
  if (command === undefined)
    return respond(response, 400, {
      error: "This server does not know that command; is the command line of the same version?",
    });
  switch (command.command) {
    case "keys.create":
      return respond(response, 200, await context.keys.create(command));
    case "keys.list":
      return respond(response, 200, await listAllKeys(context.keys));
    case "keys.update":
      return respond(response, 200, {
        key: (await context.keys.update(command.keyId, command.changes)) ?? null,
      });
    case "keys.revoke":
      return respond(response, 200, { revoked: await context.keys.revoke(command.keyId) });
    case "backup":
      await context.backup(command.folder);
      return respond(response, 200, { folder: command.folder });
    case "models.reload":
      return respond(response, 200, { models: await context.reloadModels() });
    default:
      return command satisfies never;
  }
}

/** Every key, revoked ones too, newest last. */
export async function listAllKeys(keys: KeyStore): Promise<readonly unknown[]> {
  const all: unknown[] = [];
  let cursor: string | undefined;
  do {
    const page = await keys.list({ limit: 100, ...(cursor === undefined ? {} : { cursor }) });
    all.push(...page.keys);
    cursor = page.nextCursor ?? undefined;
  } while (cursor !== undefined);
  return all;
}

function parseCommand(text: string): ControlCommand | undefined {
  const value = parseJson(text);
  if (typeof value !== "object" || value === null) return undefined;
  const command = value as Record<string, unknown>;
  switch (command["command"]) {
    case "keys.create":
      if (typeof command["alias"] !== "string") return undefined;
      if (command["scope"] !== "API" && command["scope"] !== "ADMIN") return undefined;
      return {
        command: "keys.create",
        alias: command["alias"],
        scope: command["scope"],
        ...(typeof command["limits"] === "object" && command["limits"] !== null
          ? { limits: command["limits"] }
          : {}),
      };
    case "keys.list":
      return { command: "keys.list" };
    case "keys.update":
      return typeof command["keyId"] === "string" &&
        typeof command["changes"] === "object" &&
        command["changes"] !== null
        ? { command: "keys.update", keyId: command["keyId"], changes: command["changes"] }
        : undefined;
    case "keys.revoke":
      return typeof command["keyId"] === "string"
        ? { command: "keys.revoke", keyId: command["keyId"] }
        : undefined;
    case "backup":
      return typeof command["folder"] === "string" && isAbsolute(command["folder"])
        ? { command: "backup", folder: command["folder"] }
        : undefined;
    case "models.reload":
      return { command: "models.reload" };
    default:
      return undefined;
  }
}

function parseJson(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}

async function readBody(request: IncomingMessage): Promise<string> {
  const chunks: Buffer[] = [];
  let size = 0;
  for await (const chunk of request as AsyncIterable<Buffer>) {
    size += chunk.length;
    if (size > MAX_COMMAND_BYTES) return "";
    chunks.push(chunk);
  }
  return Buffer.concat(chunks).toString("utf8");
}

function respond(response: ServerResponse, status: number, body: unknown): void {
  if (response.headersSent) return;
  response.writeHead(status, { "content-type": "application/json" }).end(JSON.stringify(body));
}
