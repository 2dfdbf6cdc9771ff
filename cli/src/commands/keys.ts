import { existsSync } from "node:fs";
import { join } from "node:path";
import {
  type ControlCommand,
  type CreatedKey,
  type Key,
  type KeyLimits,
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
import { nameProgram } from "../shell/format-command.ts";
import { formatTable } from "../terminal/format-table.ts";

interface DataOptions {
  readonly data?: string;
  readonly json?: boolean;
}

/** `sluice keys create|list|update|revoke`: callers' credentials, whether a server is running or not. */
export function addKeysCommands(program: Command): void {
  const keys = program
    .command("keys")
    .description("make, list, change and revoke callers' keys")
    .addHelpText("after", "\nExamples:\n  sluice keys create --name my-app\n  sluice keys list");
  keys.exitOverride();

  addDataOption(keys.command("create"))
    .description("make a key and print it once: id:secret, alone on standard output")
    .option("--name <name>", "a name to know it by", "unnamed")
    .option("--scope <scope>", "API (call models) or ADMIN (everything)", "API")
    .option("--concurrency <n>", "most requests running at once")
    .option("--queued <n>", "most requests waiting at once")
    .option("--requests-per-day <n>", "most requests a day")
    .option("--stored-bytes <n>", "most bytes of files kept")
    .option("--json", "print a JSON object")
    .addHelpText("after", "\nExample:\n  export FAL_KEY=$(sluice keys create --name my-app)")
    .action(async (options: CreateOptions) => {
      const created = (await command(options, {
        command: "keys.create",
        alias: options.name,
        scope: parseScope(options.scope),
        limits: changeLimits({}, options),
      })) as CreatedKey;
      process.stdout.write(options.json ? `${JSON.stringify(created)}\n` : `${created.credential}\n`);
    });

  addDataOption(keys.command("list"))
    .description("list keys (secrets are never shown again)")
    .option("--json", "print a JSON list")
    .addHelpText("after", "\nExample:\n  sluice keys list --json")
    .action(async (options: DataOptions) => {
      const list = (await command(options, { command: "keys.list" })) as Key[];
      if (options.json) return void process.stdout.write(`${JSON.stringify(list)}\n`);
      if (list.length === 0)
        return void process.stdout.write(
          nameProgram("There are no keys. Make one with `sluice keys create`.\n"),
        );
      const rows = list.map((key) => [
        key.id,
        key.scope,
        key.revokedAt === null ? "active" : `revoked ${formatDate(key.revokedAt)}`,
        formatDate(key.createdAt),
        key.lastUsedAt === null ? "never" : formatDate(key.lastUsedAt),
        describeLimits(key.limits),
        key.alias,
      ]);
      process.stdout.write(
        `${formatTable(["KEY ID", "SCOPE", "STATE", "CREATED", "LAST USED", "LIMITS", "NAME"], rows, 160)}\n`,
      );
    });

  addDataOption(keys.command("update"))
    .description("change a key's name or limits; they act at once")
    .argument("<key-id>", "the part of the key before the colon")
    .option("--name <name>", "a new name")
    .option("--concurrency <n>", "most requests running at once, or none")
    .option("--queued <n>", "most requests waiting at once, or none")
    .option("--requests-per-day <n>", "most requests a day, or none")
    .option("--stored-bytes <n>", "most bytes of files kept, or none")
    .option("--json", "print a JSON object")
    .addHelpText("after", "\nExample:\n  sluice keys update 0192… --concurrency 2 --requests-per-day none")
    .action(async (keyId: string, options: LimitOptions & DataOptions & { readonly name?: string }) => {
      const list = (await command(options, { command: "keys.list" })) as Key[];
      const key = list.find((each) => each.id === keyId);
      const limits = changeLimits(key?.limits ?? {}, options);
      const { name: alias } = options;
      const changes = { ...(alias === undefined ? {} : { alias }), limits };
      const sent = { command: "keys.update", keyId, changes } as const;
      const answer = key === undefined ? undefined : ((await command(options, sent)) as { key: Key | null });
      if (answer === undefined || answer.key === null) throw createUnknownKeyError(keyId);
      if (options.json) return void process.stdout.write(`${JSON.stringify(answer.key)}\n`);
      process.stdout.write(`${answer.key.id} ${answer.key.alias}: ${describeLimits(answer.key.limits)}\n`);
    });

  addDataOption(keys.command("revoke"))
    .description("revoke a key; it is refused from now on")
    .argument("<key-id>", "the part of the key before the colon")
    .addHelpText("after", "\nExample:\n  sluice keys revoke 0192…")
    .action(async (keyId: string, options: DataOptions) => {
      const { revoked } = (await command(options, { command: "keys.revoke", keyId })) as { revoked: boolean };
      if (!revoked) throw createUnknownKeyError(keyId);
      process.stdout.write(`revoked ${keyId}\n`);
    });
}

interface LimitOptions {
  readonly concurrency?: string;
  readonly queued?: string;
  readonly requestsPerDay?: string;
  readonly storedBytes?: string;
}

interface CreateOptions extends DataOptions, LimitOptions {
  readonly name: string;
  readonly scope: string;
}

const LIMITS = [
  { name: "concurrency", flag: "--concurrency", words: "running" },
  { name: "queued", flag: "--queued", words: "waiting" },
  { name: "requestsPerDay", flag: "--requests-per-day", words: "a day" },
  { name: "storedBytes", flag: "--stored-bytes", words: "bytes" },
] as const satisfies readonly { readonly name: keyof KeyLimits; readonly [key: string]: string }[];

/** The limits with those that were named changed, or lifted by the word none. */
function changeLimits(limits: KeyLimits, options: LimitOptions): KeyLimits {
  const changed: { -readonly [Name in keyof KeyLimits]: KeyLimits[Name] } = { ...limits };
  for (const { name, flag } of LIMITS) {
    const text = options[name];
    if (text === undefined) continue;
    if (text === "none") delete changed[name];
    else changed[name] = parseLimit(flag, text);
  }
  return changed;
}

function describeLimits(limits: KeyLimits): string {
  const words = LIMITS.flatMap(({ name, words }) =>
    limits[name] === undefined ? [] : `${limits[name]} ${words}`,
  );
  return words.length === 0 ? "none" : words.join(", ");
}

function createUnknownKeyError(keyId: string): CliError {
  return new CliError(`There is no active key with the id ${keyId}.`, {
    next: ["`sluice keys list` shows the ids."],
  });
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
    case "keys.update":
      return { key: (await store.keys.update(sent.keyId, sent.changes)) ?? null };
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

function parseLimit(flag: string, text: string): number {
  if (!/^[1-9]\d{0,14}$/.test(text))
    throw new CliError(`${flag} must be a whole number above 0, not "${text}".`);
  return Number(text);
}

function formatDate(at: number): string {
  return new Date(at).toISOString().slice(0, 16).replace("T", " ");
}
