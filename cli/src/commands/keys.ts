import { existsSync } from "node:fs";
import { join } from "node:path";
import {
  type ControlCommand,
  type CreatedKey,
  type Key,
  listAllKeys,
  openStore,
  parseSettings,
  type Scope,
  sendControlCommand,
  silentLogger,
} from "@sluice/server";
import type { Command } from "commander";
import { CliError } from "../cli-error.ts";
import { addDataOption, resolveDataDir } from "../data-dir.ts";
import { formatTable } from "../terminal/format-table.ts";

interface DataOptions {
  readonly data?: string;
  readonly json?: boolean;
}

/** `sluice keys create|list|revoke`: callers' credentials, whether a server is running or not. */
export function addKeysCommands(program: Command): void {
  const keys = program.command("keys").description("make, list and revoke callers' keys");
  keys.exitOverride();

  addDataOption(keys.command("create"))
    .description("make a key and print it once: id:secret, alone on standard output")
    .option("--name <name>", "a name to know it by", "unnamed")
    .option("--scope <scope>", "API (call models) or ADMIN (everything)", "API")
    .option("--concurrency <n>", "most requests running at once")
    .option("--queued <n>", "most requests waiting at once")
    .option("--requests-per-day <n>", "most requests a day")
    .option("--json", "print a JSON object")
    .addHelpText("after", "\nExample:\n  export FAL_KEY=$(sluice keys create --name my-app)")
    .action(async (options: CreateOptions) => {
      const created = (await command(options, {
        command: "keys.create",
        alias: options.name,
        scope: parseScope(options.scope),
        limits: {
          ...parseLimit("concurrency", "--concurrency", options.concurrency),
          ...parseLimit("queued", "--queued", options.queued),
          ...parseLimit("requestsPerDay", "--requests-per-day", options.requestsPerDay),
        },
      })) as CreatedKey;
      process.stdout.write(options.json ? `${JSON.stringify(created)}\n` : `${created.credential}\n`);
    });

  addDataOption(keys.command("list"))
    .description("list keys (secrets are never shown again)")
    .option("--json", "print a JSON list")
    .action(async (options: DataOptions) => {
      const list = (await command(options, { command: "keys.list" })) as Key[];
      if (options.json) return void process.stdout.write(`${JSON.stringify(list)}\n`);
      if (list.length === 0)
        return void process.stdout.write("There are no keys. Make one with `sluice keys create`.\n");
      const rows = list.map((key) => [
        key.id,
        key.scope,
        key.revokedAt === null ? "active" : `revoked ${formatDate(key.revokedAt)}`,
        formatDate(key.createdAt),
        key.lastUsedAt === null ? "never" : formatDate(key.lastUsedAt),
        key.alias,
      ]);
      process.stdout.write(
        `${formatTable(["KEY ID", "SCOPE", "STATE", "CREATED", "LAST USED", "NAME"], rows)}\n`,
      );
    });

  addDataOption(keys.command("revoke"))
    .description("revoke a key; it is refused from now on")
    .argument("<key-id>", "the part of the key before the colon")
    .action(async (keyId: string, options: DataOptions) => {
      const { revoked } = (await command(options, { command: "keys.revoke", keyId })) as { revoked: boolean };
      if (!revoked) {
        throw new CliError(`There is no active key with the id ${keyId}.`, {
          next: ["`sluice keys list` shows the ids."],
        });
      }
      process.stdout.write(`revoked ${keyId}\n`);
    });
}

interface CreateOptions extends DataOptions {
  readonly name: string;
  readonly scope: string;
  readonly concurrency?: string;
  readonly queued?: string;
  readonly requestsPerDay?: string;
}

/** Asks the server that holds the folder, else opens the store itself. */
async function command(options: DataOptions, sent: ControlCommand): Promise<unknown> {
  const dataDir = resolveDataDir(options);
  const reply = await sendControlCommand(dataDir, sent);
  if (reply !== undefined) return reply.answer;
  const settings = parseSettings(process.env, { dataDir });
  const isEmbedded = settings.databaseUrl === null;
  if (isEmbedded && sent.command !== "keys.create" && !existsSync(join(dataDir, "sluice.db"))) {
    throw new CliError(`There is no store in ${dataDir}.`, {
      next: ["Name its folder with --data DIR, or start a server there with `sluice serve`."],
    });
  }
  await using store = await openStore({ settings, logger: silentLogger });
  switch (sent.command) {
    case "keys.create":
      return store.keys.create(sent);
    case "keys.list":
      return listAllKeys(store.keys);
    case "keys.revoke":
      return { revoked: await store.keys.revoke(sent.keyId) };
    default:
      throw new CliError(`No server holds ${dataDir}.`);
  }
}

function parseScope(text: string): Scope {
  const scope = text.toUpperCase();
  if (scope === "API" || scope === "ADMIN") return scope;
  throw new CliError(`--scope must be API or ADMIN, not "${text}".`);
}

function parseLimit(name: string, flag: string, text: string | undefined): Record<string, number> {
  if (text === undefined) return {};
  if (!/^[1-9]\d{0,9}$/.test(text))
    throw new CliError(`${flag} must be a whole number above 0, not "${text}".`);
  return { [name]: Number(text) };
}

function formatDate(at: number): string {
  return new Date(at).toISOString().slice(0, 16).replace("T", " ");
}
