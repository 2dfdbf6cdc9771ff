import { createHash } from "node:crypto";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { TINY_PIPELINE_REVISION } from "../diffusion/tiny-pipeline.ts";
import { EngineError } from "../engines/engine.ts";
import { GRAPH_OPTIMIZATION } from "../sessions/open-onnx-session.ts";

/** The release of onnxruntime-node that this package is built on: another one may give other last bits. */
export const ONNX_RUNTIME = "1.30.0";

/**
 * Names what decides the bytes of an answer besides its input: the description of the weights (which holds their
 * hashes), the ONNX runtime with its optimisation level, and the revision of the code around them. Twelve
 * hexadecimal digits. Synchronous, because a model file states its version while it is imported.
 * @throws EngineError when the folder has no `config.json`
 */
export function getModelVersion(folder: string, revision: number): string {
  const path = join(folder, "config.json");
  try {
    return createHash("sha256")
      .update(readFileSync(path))
      .update(`\n${revision}\n${ONNX_RUNTIME}\n${GRAPH_OPTIMIZATION}`)
      .digest("hex")
      .slice(0, 12);
  } catch (cause) {
    throw new EngineError("failed", `Cannot read ${path}, which describes the model. Restore the folder.`, {
      cause,
    });
  }
}

/** The version of a model of the tiny-flux family. */
export function getTinyModelVersion(folder: string): string {
  return getModelVersion(folder, TINY_PIPELINE_REVISION);
}
