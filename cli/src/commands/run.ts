import { mkdir, readFile, writeFile } from "node:fs/promises";
import { basename, dirname, extname, join, resolve } from "node:path";
import { ApiError, type FalClient } from "@sluice/client";
import type { QueueStatus } from "@sluice/protocol";
import type { Command } from "commander";
import type { Ora } from "ora";
import { CliError } from "../cli-error.ts";
import { type Connection, createClient, describeFailure, findConnection } from "../connection.ts";
import { addDataOption, resolveDataDir } from "../data-dir.ts";
import { findFiles, type OutputFile } from "../output-files.ts";
import { formatDuration } from "../terminal/format-duration.ts";
import { showPicture } from "../terminal/show-picture.ts";

interface Options {
  readonly data?: string;
  readonly out?: string;
  readonly json?: boolean;
  readonly quiet?: boolean;
}

/** `sluice run ENDPOINT key=value …`: one request from the terminal; its files are saved. */
export function addRunCommand(program: Command): void {
  addDataOption(program.command("run"))
    .description("make one request and save the files it makes")
    .argument("<endpoint>", "endpoint id, for example fal-ai/flux-pro")
    .argument(
      "[fields...]",
      "input fields as key=value; key=@FILE uploads a file; values that start with { or [ are JSON",
    )
    .option("--out <file>", "where to save; with several files a number is added (default: ./pictures/…)")
    .option("--json", "print the output as JSON instead of the saved paths")
    .option("--quiet", "no progress, no picture in the terminal")
    .addHelpText(
      "after",
      `
Examples:
  sluice run fal-ai/flux-pro prompt="a red apple" image_size=square seed=7
  sluice run fal-ai/flux-pro prompt="a house" image_size='{"width":640,"height":360}' --out house.jpg
  sluice run fal-ai/esrgan image_url=@house.jpg scale=4`,
    )
    .action(async (endpoint: string, fields: string[], options: Options) => {
      const connection = findConnection(process.env, resolveDataDir(options));
      await runOnce(connection, endpoint, fields, options);
    });
}

async function runOnce(
  connection: Connection,
  endpoint: string,
  fields: readonly string[],
  options: Options,
): Promise<void> {
  const client = createClient(connection);
  const isQuiet = options.quiet === true || options.json === true;
  // Its symbols are coloured for a terminal named in TERM, also where standard error is a file.
  if (!process.stderr.isTTY) process.env["NO_COLOR"] ??= "1";
  const { default: ora } = await import("ora");
  const spinner = ora({ isSilent: isQuiet, stream: process.stderr, text: "sending" });
  const stop = new AbortController();
  process.once("SIGINT", () => stop.abort(new Error("interrupted")));
  const startedAt = performance.now();
  spinner.start();
  try {
    const input = await readInput(client, fields, spinner);
    const { data, requestId } = await client.subscribe(endpoint, {
      input,
      logs: true,
      abortSignal: stop.signal,
      onQueueUpdate: (status: QueueStatus) => {
        spinner.text = describeStatus(status);
      },
    });
    const took = formatDuration(performance.now() - startedAt);
    spinner.succeed(`${endpoint} in ${took} (request ${requestId})`);
    if (options.json) return void process.stdout.write(`${JSON.stringify(data)}\n`);
    await saveFiles(data, requestId, options, isQuiet);
  } catch (error) {
    spinner.fail(`${endpoint} failed`);
    throw explain(error, connection, stop.signal);
  }
}

/** `step 7/28` in the newest log line becomes a bar; other states become a sentence. */
export function describeStatus(status: QueueStatus): string {
  if (status.status === "IN_QUEUE") {
    return status.queue_position === 0 ? "waiting: next in line" : `waiting: ${status.queue_position} ahead`;
  }
  const line = status.logs?.at(-1)?.message ?? "";
  const step = /(\d+)\s*\/\s*(\d+)/.exec(line);
  const done = Number(step?.[1] ?? 0);
  const all = Number(step?.[2] ?? 0);
  if (step === null || all === 0 || done > all) return line === "" ? "running" : line.slice(0, 100);
  const filled = Math.round((20 * done) / all);
  return `${"█".repeat(filled)}${"░".repeat(20 - filled)} ${line.slice(0, 80)}`;
}

/** `key=value` words as an input object. */
export async function readInput(
  client: Pick<FalClient, "storage">,
  fields: readonly string[],
  spinner?: Ora,
): Promise<Record<string, unknown>> {
  const input: Record<string, unknown> = {};
  for (const field of fields) {
    const at = field.indexOf("=");
    if (at < 1) {
      throw new CliError(`"${field}" is not key=value.`, {
        next: ['Quote values with spaces: prompt="a red apple".'],
      });
    }
    const key = field.slice(0, at);
    const text = field.slice(at + 1);
    input[key] = await readValue(client, key, text, spinner);
  }
  return input;
}

async function readValue(
  client: Pick<FalClient, "storage">,
  key: string,
  text: string,
  spinner?: Ora,
): Promise<unknown> {
  if (text.startsWith("@")) {
    const path = text.slice(1);
    const bytes = await readFile(path).catch((cause: unknown) => {
      throw new CliError(`The file for ${key} cannot be read: ${path}`, { cause });
    });
    if (spinner !== undefined) spinner.text = `uploading ${basename(path)}`;
    return client.storage.upload(new File([bytes], basename(path), { type: guessContentType(path) }));
  }
  if (text.startsWith("{") || text.startsWith("[")) {
    try {
      return JSON.parse(text);
    } catch (cause) {
      throw new CliError(`The value of ${key} starts like JSON but is not: ${(cause as Error).message}`, {
        cause,
      });
    }
  }
  return text;
}

const CONTENT_TYPES: Readonly<Record<string, string>> = {
  ".png": "image/png",
  ".jpg": "image/jpeg",
  ".jpeg": "image/jpeg",
  ".webp": "image/webp",
  ".gif": "image/gif",
  ".mp3": "audio/mpeg",
  ".wav": "audio/wav",
  ".mp4": "video/mp4",
  ".json": "application/json",
  ".txt": "text/plain",
};

function guessContentType(path: string): string {
  return CONTENT_TYPES[extname(path).toLowerCase()] ?? "application/octet-stream";
}

async function saveFiles(
  data: unknown,
  requestId: string,
  options: Options,
  isQuiet: boolean,
): Promise<void> {
  const files = findFiles(data);
  if (files.length === 0) return void process.stdout.write(`${JSON.stringify(data, null, 2)}\n`);
  for (const [index, file] of files.entries()) {
    const path = choosePath(options.out, requestId, file, index, files.length);
    await mkdir(dirname(path), { recursive: true });
    const bytes = await download(file);
    await writeFile(path, bytes);
    if (!isQuiet) await showPicture(bytes, basename(path)).catch(() => false); // The file is saved; a terminal that cannot show it is no failure.
    process.stdout.write(`${path}\n`);
  }
}

function choosePath(
  out: string | undefined,
  requestId: string,
  file: OutputFile,
  index: number,
  count: number,
): string {
  const number = count > 1 ? `-${index + 1}` : "";
  if (out === undefined) return resolve("pictures", `${requestId.slice(-12)}${number}${file.extension}`);
  const extension = extname(out);
  const stem = extension === "" ? out : out.slice(0, -extension.length);
  return resolve(
    join(dirname(out), `${basename(stem)}${number}${extension === "" ? file.extension : extension}`),
  );
}

async function download(file: OutputFile): Promise<Uint8Array> {
  const response = await fetch(file.url);
  if (!response.ok) throw new CliError(`The file ${file.url} answered ${response.status}.`);
  return new Uint8Array(await response.arrayBuffer());
}

function explain(error: unknown, connection: Connection, signal: AbortSignal): unknown {
  if (signal.aborted)
    return new CliError("Interrupted; the request was cancelled.", { exitCode: 130, cause: error });
  if (error instanceof ApiError) {
    const next =
      error.status === 401
        ? ["Set FAL_KEY=id:secret, or make a key with `sluice keys create` on the machine that serves."]
        : error.status === 404
          ? ["`sluice endpoints` shows the endpoints of this server."]
          : [];
    return new CliError(error.message, { next, cause: error });
  }
  if (error instanceof TypeError && error.message.includes("fetch"))
    return describeFailure(connection, error);
  return error;
}
