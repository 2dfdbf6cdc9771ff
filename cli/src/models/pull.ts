import { styleText } from "node:util";
import {
  checkModelName,
  type InstalledModel,
  type ModelSource,
  type PulledModel,
  pullModel,
} from "@sluice/runtime/weights";
import { CliError } from "../cli-error.ts";
import { formatBytes } from "../terminal/format-bytes.ts";
import { formatDuration } from "../terminal/format-duration.ts";
import { createTransferProgress, type Transfer } from "../terminal/transfer-progress.ts";
import type { WeightsSettings } from "./weights-settings.ts";

export interface PullRequest {
  readonly asked: string;
  readonly source: ModelSource;
  readonly name: string;
  readonly isLicenseAccepted: boolean;
  readonly isForced: boolean;
  readonly family: string | undefined;
}

/** Pulls a model with bars on a terminal. Ctrl-C stops it; what is there is kept. */
export async function pullWithProgress(
  request: PullRequest,
  { weightsDir, hub }: WeightsSettings,
): Promise<PulledModel> {
  const name = checkModelName(request.name);
  const stopping = new AbortController();
  let last: Transfer | undefined;
  const stop = (): void => {
    process.once("SIGINT", () => process.exit(130));
    stopping.abort(new Error("interrupted"));
  };
  process.once("SIGINT", stop);
  process.once("SIGTERM", stop);
  sayNote(name, request.source);
  const progress = createTransferProgress(name);
  const startedAt = performance.now();
  try {
    const pulled = await pullModel({
      ...request,
      name,
      weightsDir,
      hub,
      signal: stopping.signal,
      onProgress: (transfer) => {
        last = transfer;
        progress.show(transfer);
      },
    });
    progress.end();
    say(pulled, last?.fetchedBytes ?? 0, performance.now() - startedAt);
    return pulled;
  } catch (error) {
    progress.end();
    if (!stopping.signal.aborted) throw error;
    throw new CliError(`Stopped. ${formatBytes(last?.doneBytes ?? 0)} are kept.`, {
      next: ["The same command goes on where it stopped."],
      exitCode: 130,
      cause: error,
    });
  } finally {
    process.off("SIGINT", stop);
    process.off("SIGTERM", stop);
  }
}

/** What the catalog says of a model besides its facts: a token that it needs, a filter that its licence demands. */
function sayNote(name: string, source: ModelSource): void {
  if (source.kind !== "catalog" || source.model.note === undefined) return;
  // One that cannot run is refused with its note.
  if (source.model.engine !== null) process.stderr.write(`${name}: ${source.model.note}\n`);
}

function say({ model, isNew }: PulledModel, fetchedBytes: number, ms: number): void {
  const mark = process.stderr.isTTY ? styleText("green", "✔") : "✔";
  const speed = fetchedBytes === 0 ? "" : `, ${formatBytes(Math.round((1000 * fetchedBytes) / ms))}/s`;
  const how = isNew ? `in ${formatDuration(ms)}${speed}` : "was here already, as the hub has it";
  process.stderr.write(`${mark} ${model.name}: ${formatBytes(model.bytes)} ${how}${formatLicense(model)}\n`);
}

function formatLicense({ license }: InstalledModel): string {
  return license === null ? "; its licence is not stated" : `; ${license}`;
}
