import { cp, readdir, rename, rm, stat } from "node:fs/promises";
import { join, resolve } from "node:path";
import {
  backupStore,
  createFirstKey,
  DatabaseError,
  openStore,
  parseSettings,
  type Settings,
  sendControlCommand,
  silentLogger,
} from "@sluice/server";
import type { Command } from "commander";
import { CliError } from "../cli-error.ts";
import { addDataOption, resolveDataDir } from "../data-dir.ts";

/** `sluice backup` and `sluice restore`: the whole embedded store in a folder, while the server runs. */
export function addBackupCommands(program: Command): void {
  addDataOption(program.command("backup"))
    .description("copy the whole store (requests, keys, files) into a new folder; a running server goes on")
    .argument("<folder>", "must not exist yet")
    .addHelpText("after", "\nExample:\n  sluice backup /backups/sluice-$(date +%F)")
    .action(async (folder: string, options: { data?: string }) => {
      const dataDir = resolveDataDir(options);
      const target = resolve(folder);
      if (await exists(target))
        throw new CliError(`${target} exists.`, { next: ["Name a folder that does not exist yet."] });
      const reply = await sendControlCommand(dataDir, { command: "backup", folder: target });
      if (reply === undefined) {
        await requireStore(dataDir);
        await using store = await openStore({
          settings: parseSettings(process.env, { dataDir }),
          logger: silentLogger,
        });
        await backupStore(store, target);
      }
      process.stdout.write(`${target}\n`);
    });

  addDataOption(program.command("restore"))
    .description("make a data folder from a backup; the folder must be empty or absent")
    .argument("<folder>", "what `sluice backup` wrote")
    .addHelpText("after", "\nExample:\n  sluice restore /backups/sluice-2026-11-23 --data /var/lib/sluice")
    .action(async (folder: string, options: { data?: string }) => {
      const dataDir = resolveDataDir(options);
      const source = resolve(folder);
      if (!(await exists(join(source, "sluice.db")))) {
        throw new CliError(`${source} is not a backup: it has no sluice.db.`);
      }
      if ((await listFolder(dataDir)).length > 0) {
        throw new CliError(`${dataDir} is not empty.`, {
          next: ["Stop its server and move the folder away first, or name another with --data DIR."],
        });
      }
      // Made beside and renamed, so that a restore that is interrupted leaves no half store.
      const partial = `${dataDir}.restoring-${process.pid}`;
      // What is copied is the embedded store, whatever the server of this machine is set to.
      const settings = {
        ...parseSettings(process.env, { dataDir: partial }),
        databaseUrl: null,
        storageUrl: null,
      };
      try {
        await cp(source, partial, { recursive: true, errorOnExist: true, preserveTimestamps: true });
        await createKeyOf(settings);
        await rename(partial, dataDir);
      } catch (error) {
        await rm(partial, { recursive: true, force: true });
        if (!(error instanceof DatabaseError) || error.kind !== "corrupt") throw error;
        throw new CliError(`${join(source, "sluice.db")} is damaged.`, {
          next: ["Restore another backup. Nothing was made of this one."],
          cause: error,
        });
      }
      process.stdout.write(`${dataDir}\n`);
      process.stderr.write(
        "Its keys work as before. A backup has none in plain text, so this machine got a new ADMIN key,\n" +
          `kept in ${join(dataDir, "first-key")} as after a first start.\n`,
      );
    });
}

/** The key of the machine that a store is restored on, in that store. */
async function createKeyOf(settings: Settings): Promise<void> {
  await using store = await openStore({ settings, logger: silentLogger });
  await createFirstKey(store, "key of a restore");
}

async function requireStore(dataDir: string): Promise<void> {
  if (!(await exists(join(dataDir, "sluice.db"))))
    throw new CliError(`There is no store in ${dataDir}.`, { next: ["Name its folder with --data DIR."] });
}

async function exists(path: string): Promise<boolean> {
  return stat(path).then(
    () => true,
    () => false,
  );
}

async function listFolder(path: string): Promise<string[]> {
  return readdir(path).catch(() => []);
}
