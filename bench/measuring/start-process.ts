import { type ChildProcess, spawn } from "node:child_process";
import { readFileSync } from "node:fs";
import { createInterface } from "node:readline";

/** A program under measurement that prints `listening on URL`. */
export interface MeasuredProcess extends AsyncDisposable {
  readonly pid: number;
  readonly url: string;
  /** From start to the line, in milliseconds. */
  readonly startMs: number;
  readonly child: ChildProcess;
  /** CPU time of all its threads so far, in milliseconds. Linux only. */
  readCpuMs(): number;
  /** Resident memory in bytes. Linux only. */
  readResidentBytes(): number;
}

export interface ProcessOptions {
  readonly arguments: readonly string[];
  readonly environment?: Readonly<Record<string, string>>;
  /** Default: this Node. */
  readonly program?: string;
  /** Default 30,000. */
  readonly timeoutMs?: number;
}

const STOP_MS = 10_000;
/** Linux counts CPU time in hundredths of a second, on every architecture that Node runs on. */
const TICK_MS = 10;

/** Starts a program and waits until it listens. It is ended with the value's disposal. */
export async function startProcess(options: ProcessOptions): Promise<MeasuredProcess> {
  const startedAt = performance.now();
  const child = spawn(options.program ?? process.execPath, options.arguments, {
    stdio: ["ignore", "pipe", "inherit"],
    env: { ...process.env, SLUICE_LOG_LEVEL: "error", ...options.environment },
  });
  const exited = new Promise<void>((resolve) => child.once("exit", () => resolve()));
  const stop = async (): Promise<void> => {
    child.kill("SIGTERM");
    const timer = setTimeout(() => child.kill("SIGKILL"), STOP_MS);
    await exited;
    clearTimeout(timer);
  };
  try {
    const url = await waitForUrl(child, options.timeoutMs ?? 30_000);
    const { pid } = child;
    if (pid === undefined) throw new Error("The program has no process id.");
    return {
      pid,
      url,
      startMs: performance.now() - startedAt,
      child,
      readCpuMs: () => readCpuMs(pid),
      readResidentBytes: () => readResidentBytes(pid),
      [Symbol.asyncDispose]: stop,
    };
  } catch (error) {
    await stop();
    throw error;
  }
}

function waitForUrl(child: ChildProcess, timeoutMs: number): Promise<string> {
  return new Promise((resolve, reject) => {
    const timer = setTimeout(
      () => reject(new Error(`The server did not listen within ${timeoutMs} ms.`)),
      timeoutMs,
    );
    child.once("error", reject);
    child.once("exit", (code) => reject(new Error(`The server ended with exit code ${code}.`)));
    if (child.stdout === null) throw new Error("The server's output is not piped.");
    createInterface(child.stdout).on("line", (line) => {
      const url = /listening on (http\S+)/.exec(line)?.[1];
      if (url === undefined) return;
      clearTimeout(timer);
      resolve(url);
    });
  });
}

export function readCpuMs(pid: number): number {
  const fields = readFileSync(`/proc/${pid}/stat`, "latin1").split(") ")[1]?.split(" ") ?? [];
  return (Number(fields[11]) + Number(fields[12])) * TICK_MS;
}

export function readResidentBytes(pid: number): number {
  const kibibytes = /^VmRSS:\s+(\d+) kB$/m.exec(readFileSync(`/proc/${pid}/status`, "latin1"))?.[1];
  return Number(kibibytes) * 1_024;
}
