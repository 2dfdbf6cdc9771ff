import { execFile } from "node:child_process";
import type { GpuReport } from "../live/machine.ts";

/** GPUs, and which process holds memory of which. */
export interface GpuReading {
  readonly gpus: readonly GpuReport[];
  /** Index of the GPU by process id. */
  readonly processes: ReadonlyMap<number, number>;
}

const NONE: GpuReading = { gpus: [], processes: new Map() };
/** A machine without the program will hardly get it soon. */
const ABSENT_MS = 60_000;
/** Asking costs tens of milliseconds of the driver's time. */
const FRESH_MS = 1_500;
const TIMEOUT_MS = 3_000;

const QUERY = "index,uuid,name,utilization.gpu,memory.used,memory.total,temperature.gpu";
const MIB = 2 ** 20;

/** Asks `nvidia-smi`, when there is one. Never rejects: what is not understood is left out. */
export function createGpuReader(
  options: { readonly command?: string; readonly now?: () => number } = {},
): () => Promise<GpuReading> {
  const { command = "nvidia-smi", now = () => performance.now() } = options;
  let latest: Promise<GpuReading> = Promise.resolve(NONE);
  let goodUntil = Number.NEGATIVE_INFINITY;

  const read = async (): Promise<GpuReading> => {
    const [gpus, processes] = await Promise.all([
      run(command, [`--query-gpu=${QUERY}`, "--format=csv,noheader,nounits"]),
      run(command, ["--query-compute-apps=gpu_uuid,pid", "--format=csv,noheader,nounits"]),
    ]);
    if (gpus === undefined) {
      goodUntil = now() + ABSENT_MS;
      return NONE;
    }
    return parseGpus(gpus, processes ?? "");
  };
  return () => {
    if (now() >= goodUntil) {
      goodUntil = now() + FRESH_MS;
      latest = read();
    }
    return latest;
  };
}

/** What the program wrote, line by line; a field that is no number (`[N/A]`) is null. */
export function parseGpus(gpus: string, processes: string): GpuReading {
  const indexes = new Map<string, number>();
  const found: GpuReport[] = [];
  for (const fields of readRows(gpus)) {
    const [index = "", uuid = "", name = "", usage, used, total, temperature] = fields;
    if (!/^\d{1,3}$/.test(index) || name === "") continue;
    indexes.set(uuid, Number(index));
    const percent = readNumber(usage);
    const [usedMib, totalMib] = [readNumber(used), readNumber(total)];
    found.push({
      index: Number(index),
      name,
      usage: percent === null ? null : Math.min(percent / 100, 1),
      memoryUsedBytes: usedMib === null ? null : usedMib * MIB,
      memoryTotalBytes: totalMib === null ? null : totalMib * MIB,
      temperatureCelsius: readNumber(temperature),
    });
  }
  const holders = new Map<number, number>();
  for (const [uuid = "", pid = ""] of readRows(processes)) {
    const index = indexes.get(uuid);
    if (index !== undefined && /^\d{1,10}$/.test(pid)) holders.set(Number(pid), index);
  }
  return { gpus: found, processes: holders };
}

function readRows(text: string): readonly (readonly string[])[] {
  return text
    .split("\n")
    .filter((line) => line.trim() !== "")
    .map((line) => line.split(",").map((field) => field.trim()));
}

function readNumber(text: string | undefined): number | null {
  return text !== undefined && /^\d{1,9}(?:\.\d+)?$/.test(text) ? Number(text) : null;
}

function run(command: string, args: readonly string[]): Promise<string | undefined> {
  return new Promise((resolve) => {
    execFile(command, [...args], { timeout: TIMEOUT_MS, maxBuffer: MIB }, (error, stdout) =>
      resolve(error === null ? stdout : undefined),
    );
  });
}
