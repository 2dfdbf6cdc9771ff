import type { Command } from "commander";
import { callServer, findConnection } from "../connection.ts";
import { addDataOption, resolveDataDir } from "../data-dir.ts";
import { formatTable } from "../terminal/format-table.ts";

interface ModelsPage {
  readonly models: readonly {
    readonly endpoint_id: string;
    readonly metadata: {
      readonly display_name: string;
      readonly category: string;
      readonly description: string;
      readonly model?: { readonly name: string; readonly version: string };
    };
  }[];
  readonly next_cursor: string | null;
}

/** `sluice endpoints`: what a server offers, and which model answers. */
export function addEndpointsCommand(program: Command): void {
  addDataOption(program.command("endpoints"))
    .description("list the endpoints of the server at SLUICE_URL, and which model answers")
    .option("--json", "print a JSON list")
    .action(async (options: { data?: string; json?: boolean }) => {
      const connection = findConnection(process.env, resolveDataDir(options));
      const all: ModelsPage["models"][number][] = [];
      let cursor: string | null = null;
      do {
        const query: string = cursor === null ? "" : `&cursor=${encodeURIComponent(cursor)}`;
        const page = (await callServer(connection, `/v1/models?limit=100${query}`)) as ModelsPage;
        all.push(...page.models);
        cursor = page.next_cursor;
      } while (cursor !== null && all.length < 10_000);
      if (options.json) return void process.stdout.write(`${JSON.stringify(all)}\n`);
      const rows = all.map(({ endpoint_id, metadata }) => [
        endpoint_id,
        metadata.model?.name ?? "",
        metadata.description,
      ]);
      const width = process.stdout.columns ?? 120;
      process.stdout.write(`${formatTable(["ENDPOINT", "ANSWERED BY", "WHAT IT DOES"], rows, width)}\n`);
    });
}
