import { execFile } from "node:child_process";
import { constants } from "node:fs";
import { access, mkdir } from "node:fs/promises";
import { totalmem } from "node:os";
import { delimiter, join } from "node:path";
import { promisify } from "node:util";
import type { EngineKind } from "@sluice/runtime/weights";

/** What this machine has for models. */
export interface Machine {
  readonly memoryBytes: number;
  readonly freeMemoryBytes: number;
  /** Of the largest NVIDIA card; undefined when none was found. */
  readonly graphicsBytes: number | undefined;
  readonly graphicsName: string | undefined;
  /** In the folder of weights. */
  readonly freeDiskBytes: number;
  /** Engines that can be started here. */
  readonly engines: readonly EngineKind[];
}

const ASK_MS = 5_000;

export async function inspectMachine(options: {
  readonly weightsDir: string;
  /** Path or name of sd-server; default `sd-server`. */
  readonly sdServer: string | undefined;
  readonly readFreeBytes: (folder: string) => Promise<number>;
}): Promise<Machine> {
  const { weightsDir, sdServer = "sd-server", readFreeBytes } = options;
  await mkdir(weightsDir, { recursive: true }).catch(() => {}); // The disk above it is the same one.
  const [graphics, hasServer, freeDiskBytes] = await Promise.all([
    askGraphics(),
    isProgram(sdServer),
    readFreeBytes(weightsDir).catch(() => 0),
  ]);
  return {
    memoryBytes:
      process.constrainedMemory() > 0 ? Math.min(totalmem(), process.constrainedMemory()) : totalmem(),
    freeMemoryBytes: process.availableMemory(),
    graphicsBytes: graphics?.bytes,
    graphicsName: graphics?.name,
    freeDiskBytes,
    engines: hasServer ? ["onnx", "sd-server"] : ["onnx"],
  };
}

async function askGraphics(): Promise<{ readonly name: string; readonly bytes: number } | undefined> {
  try {
    const query = ["--query-gpu=name,memory.total", "--format=csv,noheader,nounits"];
    const { stdout } = await promisify(execFile)("nvidia-smi", query, { timeout: ASK_MS });
    const cards = stdout
      .trim()
      .split("\n")
      .map((line) => {
        const [name = "", memory = ""] = line.split(", ");
        return { name, bytes: Number(memory) * 2 ** 20 };
      });
    return cards.filter(({ bytes }) => bytes > 0).sort((a, b) => b.bytes - a.bytes)[0];
  } catch {
    return undefined; // No such card, or no driver.
  }
}

/** Whether a program of this path, or of this name on the PATH, can be started. */
export async function isProgram(name: string): Promise<boolean> {
  const folders = /[/\\]/.test(name) ? [""] : (process.env["PATH"] ?? "").split(delimiter).filter(Boolean);
  const endings = process.platform === "win32" ? ["", ".exe"] : [""];
  for (const folder of folders)
    for (const ending of endings) {
      const path = `${folder === "" ? name : join(folder, name)}${ending}`;
      if (
        await access(path, constants.X_OK).then(
          () => true,
          () => false,
        )
      )
        return true;
    }
  return false;
}
