import type { Command } from "commander";
import { CliError } from "../cli-error.ts";
import { type Connection, callServer, findConnection } from "../connection.ts";
import { addDataOption, resolveDataDir } from "../data-dir.ts";
import { listEndpoints } from "../list-endpoints.ts";
import { nameProgram } from "../shell/format-command.ts";
import { formatTable } from "../terminal/format-table.ts";
import { readColumns } from "../terminal/read-columns.ts";
import { describeError, formatRequest, formatSpan, type RequestDetail, toClock } from "./format-request.ts";

/** One request as `/v1/sluice/requests` tells it. */
interface RequestRow {
  readonly request_id: string;
  readonly endpoint_id: string;
  readonly state: string;
  readonly created_at: string;
  readonly started_at: string | null;
  readonly ended_at: string | null;
  readonly status_code: number | null;
  readonly error: string | null;
  readonly error_type: string | null;
}

interface Options {
  readonly data?: string;
  readonly endpoint?: string;
  readonly state?: string;
  readonly limit: string;
  readonly json?: boolean;
}

/** `sluice requests [id]`: the history of a server, or one request with its timeline. */
export function addRequestsCommand(program: Command): void {
  addDataOption(program.command("requests"))
    .description("list requests, newest first, or show one with its input, timeline and logs")
    .argument("[request-id]", "show this one")
    .option("--endpoint <id>", "only this endpoint")
    .option("--state <state>", "queued, running, succeeded, failed or cancelled")
    .option("--limit <n>", "how many", "20")
    .option("--json", "print JSON")
    .addHelpText(
      "after",
      `
Examples:
  sluice requests --state failed --limit 5
  sluice requests --endpoint fal-ai/flux-pro --json`,
    )
    .action(async (id: string | undefined, options: Options) => {
      const connection = findConnection(process.env, resolveDataDir(options));
      if (id !== undefined) {
        const one = await callServer(
          connection,
          `/v1/sluice/requests/${encodeURIComponent(id)}?expand=payloads`,
        );
        const text = options.json
          ? JSON.stringify(one, null, 2)
          : formatRequest(one as RequestDetail, readColumns(120));
        return void process.stdout.write(`${text}\n`);
      }
      const query = new URLSearchParams({ limit: options.limit });
      if (options.endpoint !== undefined) query.set("endpoint_id", options.endpoint);
      if (options.state !== undefined) query.set("state", options.state);
      const page = (await callServer(connection, `/v1/sluice/requests?${query}`)) as {
        requests: RequestRow[];
      };
      if (page.requests.length === 0) await requireEndpoint(connection, options.endpoint);
      if (options.json) return void process.stdout.write(`${JSON.stringify(page.requests)}\n`);
      if (page.requests.length === 0) return void process.stdout.write(`${describeNone(options)}\n`);
      const rows = page.requests.map((request) => [
        request.request_id,
        request.endpoint_id,
        request.state,
        toClock(request.created_at),
        formatSpan(request.created_at, request.started_at),
        formatSpan(request.started_at, request.ended_at),
        describeError(request),
      ]);
      const header = ["REQUEST", "ENDPOINT", "STATE", "CREATED", "WAITED", "TOOK", "ERROR"];
      process.stdout.write(`${formatTable(header, rows, readColumns(160))}\n`);
    });
}

/** A name that was mistyped is not one without requests; one that is offered no more may have some. */
async function requireEndpoint(connection: Connection, id: string | undefined): Promise<void> {
  if (id === undefined) return;
  const offered = await listEndpoints(connection);
  if (offered.some(({ endpoint_id }) => endpoint_id === id)) return;
  throw new CliError(`The server at ${connection.url} has no endpoint "${id}", and no requests of one.`, {
    next: ["`sluice endpoints` shows those it has."],
  });
}

function describeNone({ endpoint, state }: Options): string {
  if (endpoint === undefined && state === undefined)
    return nameProgram("No requests yet. `sluice run` makes one.");
  const filter = [
    endpoint === undefined ? [] : `--endpoint ${endpoint}`,
    state === undefined ? [] : `--state ${state}`,
  ].flat();
  return nameProgram(`No requests match ${filter.join(" ")}; \`sluice requests\` lists all.`);
}
