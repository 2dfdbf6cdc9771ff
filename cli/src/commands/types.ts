import { writeFile } from "node:fs/promises";
import { generateTypes } from "@sluice/server";
import type { Command } from "commander";
import { CliError } from "../cli-error.ts";
import { callServer, findConnection } from "../connection.ts";
import { addDataOption, resolveDataDir } from "../data-dir.ts";
import { listEndpoints } from "../list-endpoints.ts";

/** `sluice types`: TypeScript types of the endpoints of a server, into the caller's own project. */
export function addTypesCommand(program: Command): void {
  addDataOption(program.command("types"))
    .description("write TypeScript types for the endpoints of the server at SLUICE_URL")
    .argument("[endpoints...]", "endpoint ids (default: all)")
    .option("--out <file>", "file to write (default: standard output)")
    .addHelpText("after", "\nExample:\n  sluice types --out src/fal-endpoints.d.ts")
    .action(async (endpoints: string[], options: { data?: string; out?: string }) => {
      const connection = findConnection(process.env, resolveDataDir(options));
      const offered = (await listEndpoints(connection)).map(({ endpoint_id }) => endpoint_id);
      const unknown = endpoints.find((id) => !offered.includes(id));
      if (unknown !== undefined) {
        throw new CliError(`The server at ${connection.url} has no endpoint "${unknown}".`, {
          next: [`It has ${offered.join(", ")}.`],
        });
      }
      const ids = endpoints.length > 0 ? endpoints : offered;
      const documents = [];
      for (const id of ids) {
        const path = `/api/openapi/queue/openapi.json?endpoint_id=${encodeURIComponent(id)}`;
        documents.push((await callServer(connection, path)) as Record<string, unknown>);
      }
      const text = generateTypes(documents);
      if (options.out === undefined) return void process.stdout.write(text);
      await writeFile(options.out, text).catch((cause: unknown) => {
        throw new CliError(`${options.out} cannot be written.`, {
          next: ["Its folder has to exist and be writable."],
          cause,
        });
      });
      process.stdout.write(`${options.out}: ${ids.length} endpoints\n`);
    });
}
