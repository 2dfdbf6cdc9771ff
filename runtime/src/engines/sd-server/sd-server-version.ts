import { createHash } from "node:crypto";
import { addFile } from "../../weights/folder-version.ts";
import { EngineError } from "../engine.ts";
import { resolveSdServerModel, type SdServerModel } from "./sd-server-model.ts";

/** Changes when the driver asks the program for something else with the same job. */
const SD_SERVER_REVISION = 1;

/**
 * Names what decides the bytes that a model gives: its files (their ends and sizes), what its description says, and
 * `facts` (which release of the program, with which options). Twelve hexadecimal digits.
 * @throws EngineError when the description is wrong or a file is not there
 */
export function getSdServerVersion(
  model: SdServerModel,
  folder: string,
  facts: readonly string[] = [],
): string {
  const { files, limits: _, ...settings } = resolveSdServerModel(model, folder);
  const hash = createHash("sha256").update(JSON.stringify([SD_SERVER_REVISION, settings, facts]));
  for (const { role, path } of files)
    try {
      addFile(hash, role, path);
    } catch (cause) {
      throw new EngineError("failed", `There are no weights ${path}, or they cannot be read.`, { cause });
    }
  return hash.digest("hex").slice(0, 12);
}
