import { readFileSync } from "node:fs";
import { join } from "node:path";
import { createFalClient, type FalClient } from "@sluice/client";
import { CliError } from "./cli-error.ts";

/** Where the server is and which key to use, as every command that calls it finds out. */
export interface Connection {
  /** Origin without a trailing slash. */
  readonly url: string;
  /** `id:secret`; undefined when none was found. */
  readonly credentials: string | undefined;
  /** Where the key came from, for messages. */
  readonly source: string;
  /** File with this machine's own key that the environment's key goes before. */
  readonly passedOver: string | undefined;
}

export type Environment = Readonly<Record<string, string | undefined>>;

export const DEFAULT_URL = "http://127.0.0.1:7777";

/**
 * `SLUICE_URL` or the default address; `FAL_KEY`, else the key of the first start in the data folder.
 * @throws CliError when `SLUICE_URL` is no address
 */
export function findConnection(environment: Environment, dataDir: string): Connection {
  const url = (environment["SLUICE_URL"] || DEFAULT_URL).replace(/\/+$/, "");
  if (!/^https?:$/.test(URL.parse(url)?.protocol ?? "")) {
    throw new CliError(`SLUICE_URL must be an address like ${DEFAULT_URL}, not "${url}".`);
  }
  const { FAL_KEY: whole, FAL_KEY_ID: id, FAL_KEY_SECRET: secret } = environment;
  const fromEnvironment = whole || (id && secret ? `${id}:${secret}` : undefined);
  const path = join(dataDir, "first-key");
  const first = readFirstKey(path);
  return fromEnvironment === undefined
    ? { url, credentials: first, source: first === undefined ? "none" : path, passedOver: undefined }
    : {
        url,
        credentials: fromEnvironment,
        source: "FAL_KEY",
        passedOver: first === undefined ? undefined : path,
      };
}

/** A client for this connection. */
export function createClient(connection: Connection): FalClient {
  return createFalClient({
    url: connection.url,
    ...(connection.credentials === undefined ? {} : { credentials: connection.credentials }),
  });
}

/**
 * GET or another call of a JSON route of the server.
 * @throws CliError that says how to reach the server or get a key
 */
export async function callServer(
  connection: Connection,
  path: string,
  init: { readonly method?: string; readonly body?: unknown; readonly signal?: AbortSignal } = {},
): Promise<unknown> {
  const response = await fetch(`${connection.url}${path}`, {
    method: init.method ?? "GET",
    headers: {
      ...(connection.credentials === undefined ? {} : { authorization: `Key ${connection.credentials}` }),
      ...(init.body === undefined ? {} : { "content-type": "application/json" }),
    },
    ...(init.body === undefined ? {} : { body: JSON.stringify(init.body) }),
    ...(init.signal === undefined ? {} : { signal: init.signal }),
  }).catch((cause: unknown) => {
    throw describeFailure(connection, cause);
  });
  const text = await response.text();
  if (response.ok) return text === "" ? null : JSON.parse(text);
  throw describeStatus(connection, response.status, text);
}

/** Turns a network failure into words. */
export function describeFailure(connection: Connection, cause: unknown): CliError {
  return new CliError(`No server answers at ${connection.url}.`, {
    next: ["Start one with `sluice serve`, or name another with SLUICE_URL=http://host:port."],
    cause,
  });
}

/** What to do about a key that the server refuses. */
export function adviseOnKey({ passedOver }: Connection): readonly string[] {
  return [
    ...(passedOver === undefined ? [] : [`Unset FAL_KEY, and the key in ${passedOver} is used;`]),
    "Set FAL_KEY=id:secret to a key of this server,",
    "or make one with `sluice keys create` on the machine that serves.",
  ];
}

function describeStatus(connection: Connection, status: number, text: string): CliError {
  const said = readMessage(text);
  if (status === 401 || status === 403) {
    return new CliError(`The server refused the key (${connection.source}): ${said}`, {
      next: adviseOnKey(connection),
    });
  }
  return new CliError(`The server answered ${status}: ${said}`);
}

function readMessage(text: string): string {
  try {
    const body = JSON.parse(text) as { detail?: unknown; error?: { message?: unknown } };
    const said = body.error?.message ?? body.detail ?? body;
    return typeof said === "string" ? said : JSON.stringify(said);
  } catch {
    return text.slice(0, 300);
  }
}

function readFirstKey(path: string): string | undefined {
  try {
    return readFileSync(path, "utf8").trim() || undefined;
  } catch {
    return undefined; // No first key here: another machine, or it was removed.
  }
}
