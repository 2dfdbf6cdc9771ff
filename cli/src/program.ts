import { Command, CommanderError } from "commander";
import { CliError } from "./cli-error.ts";
import { addBackupCommands } from "./commands/backup.ts";
import { addDoctorCommand } from "./commands/doctor.ts";
import { addEndpointsCommand } from "./commands/endpoints.ts";
import { addExecCommand } from "./commands/exec.ts";
import { addKeysCommands } from "./commands/keys.ts";
import { addModelsCommands } from "./commands/models.ts";
import { addRequestsCommand } from "./commands/requests.ts";
import { addRunCommand } from "./commands/run.ts";
import { addServeCommand } from "./commands/serve.ts";
import { addTypesCommand } from "./commands/types.ts";
import { addWebhooksCommands } from "./commands/webhooks.ts";
import { nameProgram } from "./shell/format-command.ts";
import { readColumns } from "./terminal/read-columns.ts";
import { wrapHelp } from "./terminal/wrap-help.ts";
import { readVersion } from "./version.ts";

/** Runs the `sluice` command with these words; gives back its exit code. */
export async function runProgram(argv: readonly string[]): Promise<number> {
  const program = new Command("sluice")
    .description("The fal model API on your own machines.")
    .version(readVersion(), "-V, --version", "print the version")
    .showHelpAfterError("(add --help for what this command takes)")
    .configureHelp({ showGlobalOptions: false, minWidthToWrap: 20 })
    .configureOutput({
      getOutHelpWidth: () => readColumns(80),
      writeOut: (text) => void process.stdout.write(wrapHelp(text, readColumns(80))),
    })
    .enablePositionalOptions()
    .addHelpText(
      "after",
      `
Environment:
  FAL_KEY              the caller's key, id:secret (else FAL_KEY_ID and FAL_KEY_SECRET, else DIR/first-key)
  SLUICE_URL           the server that commands talk to (default http://127.0.0.1:7777)
  SLUICE_…             every setting of the server: see \`sluice serve --help\`

Examples:
  sluice serve
  sluice run fal-ai/flux-pro prompt="a red apple on a white background"
  sluice keys create --name my-app`,
    );

  addServeCommand(program);
  addRunCommand(program);
  addExecCommand(program);
  addKeysCommands(program);
  addEndpointsCommand(program);
  addModelsCommands(program);
  addRequestsCommand(program);
  addTypesCommand(program);
  addWebhooksCommands(program);
  addBackupCommands(program);
  addDoctorCommand(program);

  program.exitOverride();
  for (const command of program.commands) command.exitOverride();

  try {
    await program.parseAsync(argv);
    return Number(process.exitCode ?? 0);
  } catch (error) {
    return report(error);
  }
}

function report(error: unknown): number {
  // Commander has already printed its own message (or the help that was asked for).
  if (error instanceof CommanderError) return error.exitCode;
  if (error instanceof CliError) {
    process.stderr.write(`sluice: ${nameProgram(error.message)}\n`);
    for (const line of error.next) process.stderr.write(`  ${nameProgram(line)}\n`);
    return error.exitCode;
  }
  const text =
    error instanceof Error ? (process.env["SLUICE_DEBUG"] ? error.stack : error.message) : String(error);
  process.stderr.write(`sluice: ${text}\n`);
  return 1;
}
