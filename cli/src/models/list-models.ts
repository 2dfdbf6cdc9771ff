import { stripVTControlCharacters, styleText } from "node:util";
import {
  type CatalogModel,
  listInstalledModels,
  listUnfinishedPulls,
  readModelBindings,
  readModelCatalog,
  realDisk,
  resolveBinding,
} from "@sluice/runtime/weights";
import { formatCommand } from "../shell/format-command.ts";
import { formatBytes } from "../terminal/format-bytes.ts";
import { formatTable } from "../terminal/format-table.ts";
import { readColumns } from "../terminal/read-columns.ts";
import { type Fit, fitsMachine } from "./fits-machine.ts";
import { inspectMachine, type Machine } from "./machine.ts";
import type { WeightsSettings } from "./weights-settings.ts";

interface ListedModel {
  readonly name: string;
  readonly title: string;
  readonly engine: string | null;
  readonly family: string | null;
  readonly license: string | null;
  readonly terms: string | null;
  readonly bytes: number;
  readonly endpoints: readonly string[];
  /** Where it lies when it was not pulled. */
  readonly path: string | null;
  readonly source: string | null;
  readonly problem: string | null;
}

interface Listing {
  readonly installed: readonly ListedModel[];
  readonly unfinished: readonly { readonly name: string; readonly bytes: number }[];
  readonly available: readonly (CatalogModel & { readonly name: string; readonly fit: Fit })[];
  readonly machine: Machine;
}

/** `sluice models list`: what is installed and what it answers, what can be pulled and whether it fits here. */
export async function listModels(
  settings: WeightsSettings,
  options: { readonly json?: boolean; readonly all?: boolean },
): Promise<void> {
  const listing = await readListing(settings);
  if (options.json === true) return void process.stdout.write(`${JSON.stringify(listing, null, 2)}\n`);
  process.stdout.write(`${formatListing(listing, settings, options.all === true, readColumns(100))}\n`);
}

async function readListing({ dataDir, weightsDir, settings }: WeightsSettings): Promise<Listing> {
  const [bindings, pulled, unfinished, machine] = await Promise.all([
    readModelBindings(dataDir),
    listInstalledModels(weightsDir),
    listUnfinishedPulls(weightsDir),
    inspectMachine({
      weightsDir,
      readFreeBytes: realDisk.readFreeBytes,
      sdServer: settings.modelSettings["sd_server"],
    }),
  ]);
  const bound = await Promise.all(
    bindings.map(async (binding): Promise<ListedModel> => {
      const { name, endpoints, path = null } = binding;
      const source = pulled.find((model) => model.name === name)?.source.asked ?? null;
      try {
        const { description } = await resolveBinding(binding, weightsDir);
        const { title, engine, family, license, terms, bytes } = description;
        return { name, title, engine, family, license, terms, bytes, endpoints, path, source, problem: null };
      } catch (error) {
        const facts = { title: name, engine: null, family: null, license: null, terms: null, bytes: 0 };
        return { name, ...facts, endpoints, path, source, problem: (error as Error).message };
      }
    }),
  );
  const names = new Set(bindings.map(({ name }) => name));
  const free = pulled
    .filter(({ name }) => !names.has(name))
    .map(({ name, title, engine, family, license, terms, bytes, source }): ListedModel => {
      const facts = { name, title, engine, family, license, terms, bytes };
      return { ...facts, endpoints: [], path: null, source: source.asked, problem: null };
    });
  const installed = [...bound, ...free];
  const available = [...readModelCatalog()].flatMap(([name, model]) =>
    installed.some((each) => each.source === name)
      ? []
      : [{ name, ...model, fit: fitsMachine(model, machine) }],
  );
  return { installed, unfinished, available, machine };
}

function formatListing(
  { installed, unfinished, available, machine }: Listing,
  { dataDir, weightsDir }: WeightsSettings,
  isAll: boolean,
  columns: number,
): string {
  const lines: string[] = [];
  const add = (table: string) => lines.push(...colorHead(table));
  if (installed.length > 0) {
    const rows = installed.map(({ name, engine, bytes, license, endpoints, problem }) => [
      name,
      engine ?? "?",
      bytes === 0 ? "" : formatBytes(bytes),
      shorten(license ?? "not stated", LICENSE_WIDTH),
      problem !== null ? "cannot be served" : endpoints.length === 0 ? "not bound" : endpoints.join(", "),
    ]);
    add(formatTable(["INSTALLED", "ENGINE", "ON DISK", "LICENCE", "ANSWERS"], rows, columns));
    for (const { name, problem } of installed)
      if (problem !== null) lines.push("", styleText("red", `${name}: ${problem}`));
    lines.push("");
  }
  for (const { name, bytes } of unfinished)
    lines.push(`${name} is not whole yet (${formatBytes(bytes)} are here): pull it again to go on.`, "");
  const shown = available.filter(({ fit }) => isAll || fit.verdict !== "no");
  if (shown.length > 0) {
    const rows = shown.map(({ name, engine, memoryBytes, license, fit }) => [
      name,
      engine ?? "none",
      memoryBytes === null ? "?" : formatBytes(memoryBytes),
      shorten(license, LICENSE_WIDTH),
      fit.reason,
    ]);
    add(formatTable(["CAN BE PULLED", "ENGINE", "MEMORY", "LICENCE", "FITS HERE"], rows, columns));
    lines.push("");
  }
  const hidden = available.length - shown.length;
  if (hidden > 0) lines.push(`${hidden} more do not run here (--all shows them and why).`);
  const card =
    machine.graphicsBytes === undefined
      ? "no NVIDIA card"
      : `${machine.graphicsName} with ${formatBytes(machine.graphicsBytes)}`;
  lines.push(
    `This machine: ${formatBytes(machine.memoryBytes)} of memory, ${card}, ${formatBytes(machine.freeDiskBytes)} of disk free.`,
    `Weights are kept in ${weightsDir}.`,
  );
  if (!machine.engines.includes("sd-server"))
    lines.push(
      "sd-server (stable-diffusion.cpp) is not on the PATH, nor named by",
      "SLUICE_MODEL_SD_SERVER.",
    );
  const example = shown.find(({ fit }) => fit.verdict === "yes") ?? shown[0];
  if (installed.length === 0 && example !== undefined)
    lines.push("", `Try: ${formatCommand(["models", "add", example.name], { dataDir })}`);
  return lines.join("\n");
}

const LICENSE_WIDTH = 20;

function shorten(text: string, width: number): string {
  const plain = stripVTControlCharacters(text)
    .replace("Non-Commercial License", "non-commercial")
    .replace("Community License", "community")
    .replace(/ \(.*\)$/, "");
  return plain.length <= width ? plain : `${plain.slice(0, width - 1)}…`;
}

function colorHead(table: string): string[] {
  const [head = "", ...rows] = table.split("\n");
  return [process.stdout.isTTY ? styleText("bold", head) : head, ...rows];
}
