import { constants } from "node:fs";
import { access, mkdir, stat, writeFile } from "node:fs/promises";
import { basename, dirname, extname, join, resolve } from "node:path";
import { stripVTControlCharacters } from "node:util";
import { ApiError } from "@sluice/client";
import type { QueueStatus } from "@sluice/protocol";
import type { Command } from "commander";
import { CliError } from "../cli-error.ts";
import {
  adviseOnKey,
  type Connection,
  createClient,
  describeFailure,
  findConnection,
} from "../connection.ts";
import { addDataOption, resolveDataDir } from "../data-dir.ts";
import { findExisting } from "../find-existing.ts";
import { parseFields, uploadFiles } from "../input-fields.ts";
import { findFiles, type OutputFile } from "../output-files.ts";
import { nameProgram } from "../shell/format-command.ts";
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
    .option("--quiet", "no progress, no warnings, no picture in the terminal")
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
  words: readonly string[],
  options: Options,
): Promise<void> {
  const fields = await parseFields(words);
  if (options.out !== undefined) await checkOut(options.out);
  const client = createClient(connection);
  const showsProgress = options.quiet !== true && options.json !== true;
  // Its symbols are coloured for a terminal named in TERM, also where standard error is a file.
  if (!process.stderr.isTTY) process.env["NO_COLOR"] ??= "1";
  const { default: ora } = await import("ora");
  // It would read the terminal's input without passing Ctrl-C on.
  const spinner = ora({
    discardStdin: false,
    isSilent: !showsProgress,
    stream: process.stderr,
    text: "sending",
  });
  const stop = new AbortController();
  // Stays until the end: what gives the cursor back at a signal ends the process when nobody else listens.
  const interrupt = (): void => {
    if (stop.signal.aborted) process.exit(130);
    stop.abort(new Error("interrupted"));
  };
  process.on("SIGINT", interrupt);
  const startedAt = performance.now();
  const showWarnings = createWarnings((line) => {
    if (options.quiet) return;
    spinner.clear();
    process.stderr.write(`${line}\n`);
  });
  // What an interrupt has done, for its message.
  let cut = "no request was made";
  spinner.start();
  try {
    const input = await uploadFiles(client, fields, {
      signal: stop.signal,
      onUpload: (name) => {
        spinner.text = `uploading ${name}`;
      },
    });
    cut = "the request was cancelled";
    const { data, requestId } = await client.subscribe(endpoint, {
      input,
      logs: true,
      abortSignal: stop.signal,
      onQueueUpdate: (status: QueueStatus) => {
        spinner.text = describeStatus(status);
        showWarnings(status);
      },
    });
    cut = `request ${requestId} is done, and not all of its files are saved`;
    const took = formatDuration(performance.now() - startedAt);
    spinner.succeed(`${endpoint} in ${took} (request ${requestId})`);
    if (options.json) return void process.stdout.write(`${JSON.stringify(data)}\n`);
    await saveFiles(data, requestId, options, { showsProgress, signal: stop.signal });
  } catch (error) {
    spinner.fail(`${endpoint} failed`);
    if (stop.signal.aborted) throw new CliError(`Interrupted; ${cut}.`, { exitCode: 130, cause: error });
    throw explain(error, connection);
  } finally {
    process.off("SIGINT", interrupt);
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

/** Shows each warning and error of a request's logs once, as soon as a status has it. */
function createWarnings(show: (line: string) => void): (status: QueueStatus) => void {
  const shown = new Set<string>();
  return (status) => {
    if (status.status === "IN_QUEUE") return;
    for (const { level, message } of status.logs ?? []) {
      if (level !== "WARN" && level !== "ERROR") continue;
      if (shown.has(message)) continue;
      shown.add(message);
      show(nameProgram(`${level === "WARN" ? "⚠" : "✖"} ${stripVTControlCharacters(message)}`));
    }
  };
}

async function saveFiles(
  data: unknown,
  requestId: string,
  options: Options,
  { showsProgress, signal }: { readonly showsProgress: boolean; readonly signal: AbortSignal },
): Promise<void> {
  const files = findFiles(data);
  if (files.length === 0) return void process.stdout.write(`${JSON.stringify(data, null, 2)}\n`);
  for (const [index, file] of files.entries()) {
    const path = choosePath(options.out, requestId, file, index, files.length);
    await mkdir(dirname(path), { recursive: true });
    const bytes = await download(file, signal);
    await writeFile(path, bytes);
    if (showsProgress) await showPicture(bytes, basename(path)).catch(() => false); // The file is saved; a terminal that cannot show it is no failure.
    process.stdout.write(`${path}\n`);
    if (!options.quiet && isAnotherKind(path, file))
      process.stderr.write(
        `⚠ ${basename(path)} holds a ${file.extension.slice(1)} file: name it so, or ask for another output_format\n`,
      );
  }
}

/** Whether the name promises another kind of file than it holds. */
function isAnotherKind(path: string, { extension }: OutputFile): boolean {
  const [promised, held] = [extname(path), extension].map((end) =>
    end.toLowerCase().replace(".jpeg", ".jpg"),
  );
  return held !== ".bin" && promised !== held;
}

/**
 * Finds out before the request is made what would keep its files from being saved after it.
 * @throws CliError
 */
async function checkOut(out: string): Promise<void> {
  const path = resolve(out);
  const found = await stat(path).catch(() => undefined);
  if (found?.isDirectory()) {
    throw new CliError(`--out ${out} is a folder.`, { next: [`Name a file: --out ${join(out, "picture")}`] });
  }
  // Missing folders are made when a file is saved.
  const folder = await findExisting(dirname(path));
  if (!(await stat(folder)).isDirectory()) throw new CliError(`--out ${out}: ${folder} is not a folder.`);
  await access(folder, constants.W_OK | constants.X_OK).catch((cause: unknown) => {
    throw new CliError(`--out ${out}: nothing may be written into ${folder}.`, { cause });
  });
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

async function download(file: OutputFile, signal: AbortSignal): Promise<Uint8Array> {
  const response = await fetch(file.url, { signal });
  if (!response.ok) throw new CliError(`The file ${file.url} answered ${response.status}.`);
  return new Uint8Array(await response.arrayBuffer());
}

function explain(error: unknown, connection: Connection): unknown {
  if (error instanceof ApiError) {
    const next =
      error.status === 401
        ? adviseOnKey(connection)
        : error.status === 404
          ? ["`sluice endpoints` shows the endpoints of this server."]
          : [];
    return new CliError(error.message, { next, cause: error });
  }
  if (error instanceof TypeError && error.message.includes("fetch"))
    return describeFailure(connection, error);
  return error;
}
