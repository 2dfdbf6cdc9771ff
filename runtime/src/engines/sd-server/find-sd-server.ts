import { execFile } from "node:child_process";
import { access, constants } from "node:fs/promises";
import { delimiter, join, resolve } from "node:path";
import { promisify } from "node:util";
import { EngineError } from "../engine.ts";

export interface SdServerBinary {
  readonly path: string;
  /** As the program says it: `master-827-97d2990`. */
  readonly version: string;
  /** It takes `--eager-load`. Without it the first request waits for the weights. */
  readonly loadsEagerly: boolean;
}

/** The first release with the native API that is spoken here (April 2026). */
export const OLDEST_RELEASE = 563;
/** The first with `--eager-load` (June 2026). */
const EAGER_RELEASE = 715;

const ANSWER_MS = 10_000;
const INSTALL =
  "Get a release of stable-diffusion.cpp for your graphics card, and put sd-server on the PATH or its path into SLUICE_MODEL_SD_SERVER";

/**
 * Finds the program and asks it for its version.
 * @param wanted path, or a name to look for on the PATH; default `sd-server`
 * @throws EngineError `unavailable` saying what to install
 */
export async function findSdServer(
  wanted: string | undefined,
  { searchPath, signal }: { readonly searchPath: string; readonly signal?: AbortSignal | undefined },
): Promise<SdServerBinary> {
  const path = await findBinary(wanted ?? "sd-server", searchPath);
  if (path === undefined) {
    const place = wanted === undefined ? "sd-server is not on the PATH" : `there is no program ${wanted}`;
    throw new EngineError(
      "unavailable",
      `This model runs in stable-diffusion.cpp, but ${place}. ${INSTALL}.`,
    );
  }
  const output = await ask(path, "--version", signal);
  const version = /^stable-diffusion\.cpp version (\S+?),? commit (\S+)/m.exec(output)?.[1];
  if (version === undefined)
    throw new EngineError(
      "unavailable",
      `${path} does not say that it is stable-diffusion.cpp; it says ${JSON.stringify(output.trim().slice(0, 200))}. ${INSTALL}.`,
    );
  // Commits before it; builds from an archive do not know.
  const release = /^master-(\d+)-/.exec(version)?.[1];
  if (release !== undefined && Number(release) < OLDEST_RELEASE)
    throw new EngineError(
      "unavailable",
      `${path} is release ${version} of stable-diffusion.cpp, which lacks the API that is needed; use ${OLDEST_RELEASE} or later.`,
    );
  const loadsEagerly =
    release === undefined
      ? (await ask(path, "-h", signal)).includes("--eager-load")
      : Number(release) >= EAGER_RELEASE;
  return { path, version, loadsEagerly };
}

async function findBinary(wanted: string, searchPath: string): Promise<string | undefined> {
  const isPath = /[/\\]/.test(wanted);
  const folders = isPath ? [""] : searchPath.split(delimiter).filter((folder) => folder !== "");
  const endings = process.platform === "win32" ? ["", ".exe"] : [""];
  for (const folder of folders)
    for (const ending of endings) {
      const path = resolve(join(folder, `${wanted}${ending}`));
      if (await isExecutable(path)) return path;
    }
  return undefined;
}

function isExecutable(path: string): Promise<boolean> {
  return access(path, constants.X_OK).then(
    () => true,
    () => false,
  );
}

async function ask(
  path: string,
  option: "--version" | "-h",
  signal: AbortSignal | undefined,
): Promise<string> {
  try {
    const { stdout } = await promisify(execFile)(path, [option], {
      timeout: ANSWER_MS,
      killSignal: "SIGKILL",
      maxBuffer: 1_000_000,
      ...(signal === undefined ? {} : { signal }),
    });
    return stdout;
  } catch (cause) {
    signal?.throwIfAborted();
    const { stderr = "", message } = cause as Error & { stderr?: string };
    const said = (stderr.trim() || message).split("\n").slice(-3).join(" ").slice(0, 300);
    throw new EngineError("unavailable", `${path} ${option} does not work: ${said}. ${INSTALL}.`, { cause });
  }
}
