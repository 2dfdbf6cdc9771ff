import { createHash } from "node:crypto";
import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { EngineError } from "../engines/engine.ts";

/** Size and hash by file name, as a model folder lists them. */
export type WeightsManifest = Readonly<Record<string, { readonly bytes: number; readonly sha256: string }>>;

/**
 * Compares every listed file of a model folder with its size and SHA-256, so that a half-copied or edited
 * file is refused by name instead of making wrong pictures. About 1 ms per megabyte.
 * @throws EngineError `failed`
 */
export async function verifyWeights(folder: string, files: WeightsManifest): Promise<void> {
  await Promise.all(Object.entries(files).map(([name, entry]) => verifyFile(join(folder, name), entry)));
}

async function verifyFile(
  path: string,
  entry: { readonly bytes: number; readonly sha256: string },
): Promise<void> {
  let bytes: Uint8Array;
  try {
    bytes = await readFile(path);
  } catch (cause) {
    throw new EngineError("failed", `The model file ${path} is missing or cannot be read. ${RESTORE}`, {
      cause,
    });
  }
  if (bytes.length !== entry.bytes)
    throw new EngineError(
      "failed",
      `The model file ${path} is damaged: it has ${bytes.length} bytes instead of ${entry.bytes}. ${RESTORE}`,
    );
  if (createHash("sha256").update(bytes).digest("hex") !== entry.sha256)
    throw new EngineError("failed", `The model file ${path} is damaged: its SHA-256 is wrong. ${RESTORE}`);
}

const RESTORE = "Install the package again, or in a clone restore it with `git checkout`.";
