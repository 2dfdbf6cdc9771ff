import { constants } from "node:fs";
import { access, statfs } from "node:fs/promises";
import { availableParallelism, totalmem } from "node:os";
import { sendControlCommand } from "@sluice/server";
import type { Command } from "commander";
import { findConnection } from "../connection.ts";
import { addDataOption, resolveDataDir } from "../data-dir.ts";
import { findExisting } from "../find-existing.ts";
import { nameProgram } from "../shell/format-command.ts";
import { readVersion } from "../version.ts";

interface Finding {
  readonly what: string;
  readonly state: "ok" | "warning" | "failed";
  readonly said: string;
  /** What to do about it. */
  readonly next?: string;
}

/** `sluice doctor`: is this install healthy, and if not, what to do. Exits with 1 when something failed. */
export function addDoctorCommand(program: Command): void {
  addDataOption(program.command("doctor"))
    .description("check the install, the data folder and the server")
    .option("--json", "print a JSON list")
    .addHelpText("after", "\nExample:\n  sluice doctor --data /var/lib/sluice")
    .action(async (options: { data?: string; json?: boolean }) => {
      const dataDir = resolveDataDir(options);
      const findings = [
        checkNode(),
        checkMachine(),
        await checkPackage("onnxruntime-node", "the embedded engine", "npm install onnxruntime-node"),
        await checkPackage("sharp", "pictures", "npm install sharp"),
        await checkFolder(dataDir),
        await checkSpace(dataDir),
        await checkServer(dataDir),
      ];
      if (options.json) process.stdout.write(`${JSON.stringify(findings)}\n`);
      else process.stdout.write(`sluice ${readVersion()}\n\n${findings.map(format).join("\n")}\n`);
      if (findings.some((finding) => finding.state === "failed")) process.exitCode = 1;
    });
}

function format(finding: Finding): string {
  const mark = { ok: "✔", warning: "!", failed: "✘" }[finding.state];
  const line = `  ${mark} ${finding.what.padEnd(18)} ${finding.said}`;
  return finding.next === undefined ? line : `${line}\n    ${" ".repeat(18)} ${nameProgram(finding.next)}`;
}

function checkNode(): Finding {
  const major = Number(process.versions.node.split(".")[0]);
  if (major >= 24) return { what: "Node", state: "ok", said: process.versions.node };
  return {
    what: "Node",
    state: "failed",
    said: process.versions.node,
    next: "The server needs Node 24 or newer.",
  };
}

function checkMachine(): Finding {
  const gib = (totalmem() / 2 ** 30).toFixed(1);
  return {
    what: "machine",
    state: "ok",
    said: `${availableParallelism()} cores, ${gib} GiB memory, ${process.platform}-${process.arch}`,
  };
}

async function checkPackage(name: string, use: string, install: string): Promise<Finding> {
  try {
    const loaded = (await import(name)) as { default?: { versions?: { sharp?: string } } };
    return { what: name, state: "ok", said: loaded.default?.versions?.sharp ?? "loads" };
  } catch (error) {
    const said = `does not load: ${(error as Error).message.split("\n")[0]}`;
    return { what: name, state: "failed", said, next: `Needed for ${use}: ${install}` };
  }
}

async function checkFolder(dataDir: string): Promise<Finding> {
  try {
    const folder = await findExisting(dataDir);
    await access(folder, constants.R_OK | constants.W_OK | constants.X_OK);
    const said = folder === dataDir ? dataDir : `${dataDir} (the first start makes it)`;
    return { what: "data folder", state: "ok", said };
  } catch (error) {
    return {
      what: "data folder",
      state: "failed",
      said: (error as Error).message,
      next: "Name a folder you may write with --data DIR or SLUICE_DATA.",
    };
  }
}

async function checkSpace(dataDir: string): Promise<Finding> {
  try {
    const { bavail, bsize } = await statfs(await findExisting(dataDir));
    const gib = (bavail * bsize) / 2 ** 30;
    const said = `${gib.toFixed(1)} GiB free`;
    if (gib > 2) return { what: "disk", state: "ok", said };
    return {
      what: "disk",
      state: "warning",
      said,
      next: "Submits are refused under SLUICE_MIN_FREE (512 MiB by default).",
    };
  } catch {
    return { what: "disk", state: "warning", said: "free space is unknown" };
  }
}

async function checkServer(dataDir: string): Promise<Finding> {
  const connection = findConnection(process.env, dataDir);
  const held = await sendControlCommand(dataDir, { command: "keys.list" }).catch(() => undefined);
  const health = await fetch(`${connection.url}/health`, { signal: AbortSignal.timeout(3000) })
    .then(async (response) => (await response.json()) as { status?: string; version?: string })
    .catch(() => undefined);
  if (health?.status === "ok")
    return {
      what: "server",
      state: "ok",
      said: `${connection.url} answers, version ${health.version ?? "unknown"}`,
    };
  const next = "Start one with `sluice serve`, or name another with SLUICE_URL.";
  if (held !== undefined)
    return {
      what: "server",
      state: "warning",
      said: `runs on this folder, but not at ${connection.url}`,
      next: "Set SLUICE_URL to the address it printed.",
    };
  return { what: "server", state: "warning", said: `none at ${connection.url}`, next };
}
