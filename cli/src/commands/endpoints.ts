import type { Command } from "commander";
import { findConnection } from "../connection.ts";
import { addDataOption, resolveDataDir } from "../data-dir.ts";
import { listEndpoints } from "../list-endpoints.ts";
import { formatTable } from "../terminal/format-table.ts";
import { readColumns } from "../terminal/read-columns.ts";

/** `sluice endpoints`: what a server offers, and which model answers. */
export function addEndpointsCommand(program: Command): void {
  addDataOption(program.command("endpoints"))
    .description("list the endpoints of the server at SLUICE_URL, and which model answers")
    .option("--json", "print a JSON list")
    .addHelpText("after", "\nExample:\n  SLUICE_URL=http://gpu-box:7777 sluice endpoints")
    .action(async (options: { data?: string; json?: boolean }) => {
      const connection = findConnection(process.env, resolveDataDir(options));
      const all = await listEndpoints(connection);
      if (options.json) return void process.stdout.write(`${JSON.stringify(all)}\n`);
      const rows = all.map(({ endpoint_id, metadata }) => [
        endpoint_id,
        metadata.model?.name ?? "",
        metadata.description,
      ]);
      const width = readColumns(120);
      process.stdout.write(`${formatTable(["ENDPOINT", "ANSWERED BY", "WHAT IT DOES"], rows, width)}\n`);
    });
}
