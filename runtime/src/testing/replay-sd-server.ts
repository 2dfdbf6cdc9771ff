import { chmod, mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import type { SdServerModel } from "../engines/sd-server/sd-server-model.ts";
import { readFixture } from "./read-fixture.ts";

/** How the stand-in for `sd-server` behaves; nothing of it: well. */
export interface ReplayBehaviour {
  /** What `--version` prints. */
  readonly version?: string;
  /** What `-h` prints; default the options that it takes. */
  readonly help?: string;
  /** Time to load the weights. */
  readonly loadMs?: number;
  readonly stepMs?: number;
  /** What it says when it cannot load the model. */
  readonly failsToLoad?: string;
  /** Starts that work all the same. */
  readonly worksForStarts?: number;
  /** Where it stops answering. */
  readonly hang?: "version" | "start" | "job" | "poll";
  readonly crash?: { readonly step: number; readonly by: "exit" | "SIGSEGV" | "SIGKILL" };
  readonly lastWords?: string;
  /** What it says about a picture that it cannot draw. */
  readonly failure?: string;
  readonly garbage?: "json" | "png" | "size" | "output";
  readonly forgetsJobs?: boolean;
  /** Jobs from the first on that go wrong, over all restarts; default all. */
  readonly badJobs?: number;
  /** Laid over what it says about itself. */
  readonly capabilities?: Readonly<Record<string, unknown>>;
}

export interface ReplayCall {
  readonly pid: number;
  readonly start?: readonly string[];
  readonly body?: Readonly<Record<string, unknown>>;
  readonly cancel?: string;
}

/** A folder with a program that behaves like `sd-server`, and weights for it. Deleted with it. */
export interface ReplaySdServer extends AsyncDisposable {
  readonly folder: string;
  readonly binary: string;
  readonly model: SdServerModel;
  /** What the program was started with and asked for. */
  readCalls(): Promise<readonly ReplayCall[]>;
  change(behaviour: ReplayBehaviour): Promise<void>;
}

export async function createReplaySdServer(behaviour: ReplayBehaviour = {}): Promise<ReplaySdServer> {
  const folder = await mkdtemp(join(tmpdir(), "sluice-sd-server-"));
  const binary = join(folder, "sd-server");
  const program = fileURLToPath(new URL("./replay-sd-server-program.ts", import.meta.url));
  const quoted = [process.execPath, "--disable-warning=ExperimentalWarning", program, folder].map(
    (word) => `'${word.replaceAll("'", "'\\''")}'`,
  );
  const { version = readFixture<{ version: string }>("sd-server.json").version, hang } = behaviour;
  await writeFile(join(folder, "version.txt"), version);
  await writeFile(
    join(folder, "help.txt"),
    behaviour.help ?? "  --eager-load    load all weights at start\n",
  );
  // Asked for these it needs no interpreter, which is what takes the time.
  const say = hang === "version" ? "exec sleep 60" : `exec cat '${folder}/version.txt'`;
  await writeFile(
    binary,
    `#!/bin/sh\nif [ "$1" = --version ]; then ${say}; fi\nif [ "$1" = -h ]; then exec cat '${folder}/help.txt'; fi\nexec ${quoted.join(" ")} "$@"\n`,
  );
  await chmod(binary, 0o755);
  await writeFile(join(folder, "model.gguf"), createGguf());
  await writeFile(join(folder, "vae.safetensors"), createSafetensors());
  const change = (next: ReplayBehaviour) => writeFile(join(folder, "behaviour.json"), JSON.stringify(next));
  await change(behaviour);
  return {
    folder,
    binary,
    model: {
      files: { "diffusion-model": "model.gguf", vae: "vae.safetensors" },
      steps: { min: 1, max: 50, default: 4 },
      guidance: { min: 1, max: 10, default: 4 },
      multipleOf: 16,
    },
    change,
    async readCalls() {
      const text = await readFile(join(folder, "calls.jsonl"), "utf8").catch(() => "");
      return text
        .split("\n")
        .filter((line) => line !== "")
        .map((line) => JSON.parse(line) as ReplayCall);
    },
    [Symbol.asyncDispose]: () => rm(folder, { recursive: true, force: true }),
  };
}

/** The first bytes of one, which is all that is looked at here. */
export function createGguf(version = 3): Uint8Array {
  const bytes = Buffer.alloc(64);
  bytes.write("GGUF", 0, "latin1");
  bytes.writeUInt32LE(version, 4);
  return bytes;
}

/** One tensor of four numbers. */
export function createSafetensors(): Uint8Array {
  const header = JSON.stringify({ weight: { dtype: "F32", shape: [4], data_offsets: [0, 16] } });
  const length = Buffer.alloc(8);
  length.writeBigUInt64LE(BigInt(header.length));
  return Buffer.concat([length, Buffer.from(header), Buffer.alloc(16)]);
}
