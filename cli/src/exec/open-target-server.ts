import { resolve } from "node:path";
import { SHIPPED_MODEL_FILES } from "@sluice/models";
import { openServer, parseSettings, sendControlCommand } from "@sluice/server";
import { CliError } from "../cli-error.ts";
import { type Environment, findConnection } from "../connection.ts";
import { createLogger } from "../create-logger.ts";
import { createInstalledModels } from "../models/installed-model-files.ts";
import { readVersion } from "../version.ts";

/** The server that a command is to use. Disposing stops it when it was started for the command. */
export interface TargetServer extends AsyncDisposable {
  /** Origin without a trailing slash. */
  readonly url: string;
  /** Key of the data folder's first start, when there is one. */
  readonly firstKey: string | undefined;
  readonly isOwn: boolean;
}

/**
 * The server at `SLUICE_URL`; else the one that holds the data folder, when it is at the default address; else one
 * on a free port of loopback that lives as long as the command.
 *
 * @throws CliError when none answers, or the folder's server is somewhere else
 */
export async function openTargetServer(environment: Environment, dataDir: string): Promise<TargetServer> {
  const { FAL_KEY: _, FAL_KEY_ID: __, FAL_KEY_SECRET: ___, ...withoutKeys } = environment;
  const { url, credentials: firstKey } = findConnection(withoutKeys, dataDir);
  const existing: TargetServer = { url, firstKey, isOwn: false, async [Symbol.asyncDispose]() {} };
  if (environment["SLUICE_URL"]) {
    await checkHealth(url);
    return existing;
  }
  const holder = await sendControlCommand(dataDir, { command: "keys.list" });
  if (holder !== undefined) {
    if (firstKey !== undefined && (await isKeyKnown(url, firstKey).catch(() => false))) return existing;
    throw new CliError(`A server already holds ${dataDir}, and it is not at ${url}.`, {
      next: ["Say where it is with SLUICE_URL=http://host:port, or choose another folder with --data DIR."],
    });
  }
  return await startServer(environment, dataDir);
}

/** @throws CliError when the server cannot be asked */
export async function isKeyKnown(url: string, key: string): Promise<boolean> {
  const response = await fetch(`${url}/v1/sluice/session`, {
    headers: { authorization: `Key ${key}` },
    signal: AbortSignal.timeout(ANSWER_TIMEOUT_MS),
  }).catch((cause: unknown) => {
    throw describeSilence(url, cause);
  });
  await response.body?.cancel();
  if (response.ok) return true;
  if (response.status === 401 || response.status === 403) return false;
  throw new CliError(`The server at ${url} answered ${response.status} when asked about a key.`, {
    next: ["SLUICE_URL must be the origin of a Sluice server, without a path."],
  });
}

const ANSWER_TIMEOUT_MS = 15_000;

async function startServer(environment: Environment, dataDir: string): Promise<TargetServer> {
  const settings = parseSettings(environment, {
    dataDir,
    host: "127.0.0.1",
    port: "0",
    logLevel: environment["SLUICE_LOG_LEVEL"] ?? "warn",
  });
  const server = await openServer({
    settings,
    modelFiles: [...SHIPPED_MODEL_FILES, ...settings.models.map((file) => resolve(file))],
    replaceableFiles: SHIPPED_MODEL_FILES,
    installedModels: createInstalledModels(settings),
    logger: createLogger(settings.logLevel),
    version: readVersion(),
  });
  const firstKey = server.createdKey ?? findConnection({}, dataDir).credentials;
  return {
    url: server.url,
    firstKey,
    isOwn: true,
    [Symbol.asyncDispose]: () => server[Symbol.asyncDispose](),
  };
}

async function checkHealth(url: string): Promise<void> {
  const response = await fetch(`${url}/health`, { signal: AbortSignal.timeout(ANSWER_TIMEOUT_MS) }).catch(
    (cause: unknown) => {
      throw describeSilence(url, cause);
    },
  );
  await response.body?.cancel();
}

function describeSilence(url: string, cause: unknown): CliError {
  return new CliError(`No server answers at ${url}.`, {
    next: ["Start one with `sluice serve`, or leave SLUICE_URL unset: then one is started for the command."],
    cause,
  });
}
