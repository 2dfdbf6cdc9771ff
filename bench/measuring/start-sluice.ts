import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { type MeasuredProcess, startProcess } from "./start-process.ts";

/** `sluice serve` as people run it. */
export interface MeasuredSluice extends MeasuredProcess {
  /** `id:secret` of the key of its first start. */
  readonly credential: string;
}

export interface SluiceOptions {
  readonly dataFolder: string;
  /** Model files beside the shipped ones, or in their place. */
  readonly modelFiles?: readonly string[];
  readonly hasShippedModels?: boolean;
  readonly environment?: Readonly<Record<string, string>>;
}

const MAIN = fileURLToPath(new URL("../../cli/src/main.ts", import.meta.url));
export const NOOP_MODEL: string = fileURLToPath(new URL("../models/noop.ts", import.meta.url));

/** @param options its defaults: no shipped models, the no-op model of `bench/models` */
export async function startSluice(options: SluiceOptions): Promise<MeasuredSluice> {
  const { dataFolder, modelFiles = [NOOP_MODEL], hasShippedModels = false, environment = {} } = options;
  const server = await startProcess({
    arguments: [
      ...["--disable-warning=ExperimentalWarning", MAIN, "serve", "--port", "0", "--data", dataFolder],
      ...(hasShippedModels ? [] : ["--no-shipped"]),
      ...modelFiles,
    ],
    environment,
  });
  const credential = (await readFile(join(dataFolder, "first-key"), "utf8")).trim();
  return { ...server, credential };
}
