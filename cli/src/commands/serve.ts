import { existsSync } from "node:fs";
import { resolve } from "node:path";
import { fileURLToPath } from "node:url";
import { SHIPPED_MODEL_FILES } from "@sluice/models";
import {
  DatabaseError,
  type Logger,
  listSettingsWarnings,
  openServer,
  parseSettings,
  type RunningServer,
  SETTINGS,
  type Settings,
  SettingsError,
} from "@sluice/server";
import { type Command, Option } from "commander";
import { CliError } from "../cli-error.ts";
import { createClientTarball } from "../client-package/client-tarball.ts";
import { createLogger } from "../create-logger.ts";
import { formatGreeting } from "../greeting/format-greeting.ts";
import { createInstalledModels } from "../models/installed-model-files.ts";
import { readVersion } from "../version.ts";

/** `sluice serve`: the server, on embedded defaults. */
export function addServeCommand(program: Command): void {
  const command = program
    .command("serve")
    .description("start the server")
    .argument(
      "[model-files...]",
      "files that define models, served besides the shipped ones or in their place",
    )
    .option("--no-shipped", "leave out the shipped models");
  for (const setting of SETTINGS) {
    if (setting.flag === undefined || setting.name === "models") continue;
    const fallback =
      setting.fallback === null || setting.fallback === "" ? "" : ` (default ${setting.fallback})`;
    command.addOption(
      new Option(`${setting.flag} <value>`, `${setting.help} [${setting.variable}]${fallback}`),
    );
  }
  command
    .addHelpText("after", describeOtherSettings())
    .action(async (files: string[], options: Record<string, string | boolean | undefined>) => {
      await serve(files, options);
    });
}

async function serve(
  files: readonly string[],
  options: Readonly<Record<string, string | boolean | undefined>>,
): Promise<void> {
  const settings = readSettings(options);
  const own = [...settings.models, ...files].map((file) => resolve(file));
  for (const file of own) {
    if (!existsSync(file))
      throw new CliError(`There is no model file ${file}.`, {
        next: ["Give the path of a file whose default export is defineModel({…})."],
      });
  }
  const logger = createLogger(settings.logLevel);
  const version = readVersion();
  const server = await openServer({
    settings,
    modelFiles: [...(options["shipped"] === false ? [] : SHIPPED_MODEL_FILES), ...own],
    replaceableFiles: SHIPPED_MODEL_FILES,
    installedModels: createInstalledModels(settings),
    logger,
    version,
    appFolder: findAppFolder(),
    createClientTarball,
  }).catch((error: unknown) => {
    throw explain(error);
  });
  process.stdout.write(formatGreeting(server, settings, version));
  for (const warning of listSettingsWarnings(settings, process.env)) logger.warn({}, warning);
  await stopOnSignal(server, logger);
}

/** Where the web app is built to: it is a package of its own, files without code for Node. */
function findAppFolder(): string {
  return fileURLToPath(new URL("./dist/", import.meta.resolve("@sluice/dashboard/package.json")));
}

/** Waits for SIGINT or SIGTERM, lets running requests finish, and leaves. A second signal leaves at once. */
async function stopOnSignal(server: RunningServer, logger: Logger): Promise<void> {
  await new Promise<void>((resolve) => {
    const stop = (): void => {
      for (const signal of ["SIGINT", "SIGTERM"] as const) {
        process.off(signal, stop);
        process.on(signal, () => process.exit(130));
      }
      resolve();
    };
    process.on("SIGINT", stop);
    process.on("SIGTERM", stop);
  });
  if (process.stderr.isTTY)
    process.stderr.write("\nstopping: running requests may finish; press again to leave at once\n");
  else logger.info({}, "stopping: running requests may finish; a second signal leaves at once");
  await server.drain();
  await server[Symbol.asyncDispose]();
  process.exit(0);
}

function readSettings(options: Readonly<Record<string, string | boolean | undefined>>): Settings {
  const flags: Partial<Record<keyof Settings, string>> = {};
  for (const setting of SETTINGS) {
    if (setting.flag === undefined) continue;
    const name = setting.flag.slice(2).replace(/-(\w)/g, (_, letter: string) => letter.toUpperCase());
    const value = options[name];
    if (typeof value === "string") flags[setting.name] = value;
  }
  try {
    return parseSettings(process.env, flags);
  } catch (error) {
    if (error instanceof SettingsError)
      throw new CliError(error.message, { next: ["`sluice serve --help` lists every setting."] });
    throw error;
  }
}

function explain(error: unknown): unknown {
  if ((error as { code?: string }).code === "EACCES") {
    return new CliError(`Not allowed: ${(error as Error).message}`, {
      next: ["Ports below 1024 need privileges; the data folder must be writable."],
      cause: error,
    });
  }
  if (error instanceof DatabaseError) return new CliError(error.message, { cause: error });
  return error;
}

function describeOtherSettings(): string {
  const rows = SETTINGS.filter((setting) => setting.flag === undefined).map((setting) => {
    const fallback =
      setting.fallback === null || setting.fallback === "" ? "" : ` (default ${setting.fallback})`;
    return `  ${setting.variable.padEnd(32)} ${setting.help}${fallback}`;
  });
  return `
Further settings, by environment:
${rows.join("\n")}
  ${"SLUICE_MODEL_<NAME>".padEnd(32)} Handed to model code as settings.<name>.

Examples:
  sluice serve
  sluice serve --port 0 --data /var/lib/sluice
  sluice serve ./my-model.ts --no-shipped`;
}
