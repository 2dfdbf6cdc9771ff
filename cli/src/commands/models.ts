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
      readonly license_type?: string;
    };
  }[];
  readonly next_cursor: string | null;
}

/** `sluice models list`: what the server offers. */
export function addModelsCommands(program: Command): void {
  const models = program.command("models").description("what a server offers");
  models.exitOverride();
  addDataOption(models.command("list"))
    .description("list the endpoints of the server at SLUICE_URL")
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
      const rows = all.map((model) => [
        model.endpoint_id,
        model.metadata.category,
        model.metadata.description,
      ]);
      const width = process.stdout.columns ?? 120;
      process.stdout.write(`${formatTable(["ENDPOINT", "KIND", "WHAT IT DOES"], rows, width)}\n`);
    });
}
