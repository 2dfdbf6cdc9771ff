import { createHash, type Hash } from "node:crypto";
import { closeSync, fstatSync, openSync, readdirSync, readFileSync, readSync } from "node:fs";
import { join } from "node:path";
import { EngineError } from "../engines/engine.ts";
import { GRAPH_OPTIMIZATION } from "../sessions/open-onnx-session.ts";
import { RECEIPT } from "./installed-models.ts";
import { ONNX_RUNTIME } from "./model-version.ts";

/**
 * Names what decides the bytes that an open model answers: its folder, the runtime, and `facts` (the revision of
 * the pipelines, the provider). Configurations are read whole, weights at their ends and by their size, because they
 * are too large to be read whenever a model file is described.
 * Twelve hexadecimal digits.
 * @throws EngineError when the folder cannot be read
 */
export function getFolderVersion(folder: string, facts: readonly (string | number)[]): string {
  const hash = createHash("sha256").update([...facts, ONNX_RUNTIME, GRAPH_OPTIMIZATION].join("\n"));
  try {
    const names = readdirSync(folder, { recursive: true, encoding: "utf8", withFileTypes: true })
      .filter((entry) => !entry.isDirectory() && RELEVANT.test(entry.name) && entry.name !== RECEIPT)
      .map((entry) => join(entry.parentPath, entry.name))
      .sort();
    for (const path of names) addFile(hash, path.slice(folder.length).replaceAll("\\", "/"), path);
  } catch (cause) {
    throw new EngineError("failed", `There is no model folder ${folder}, or it cannot be read.`, { cause });
  }
  return hash.digest("hex").slice(0, 12);
}

/** Graphs with their weights, configurations, vocabularies. */
const RELEVANT = /\.(onnx|onnx_data|data|pb|json|txt|model|bin)$/;
const END_BYTES = 65_536;

/** Configurations are added whole, weights by their ends and their size. */
export function addFile(hash: Hash, label: string, path: string): void {
  hash.update(`\n${label}\n`);
  if (/\.(json|txt)$/.test(path)) {
    hash.update(readFileSync(path));
    return;
  }
  const file = openSync(path, "r");
  try {
    const { size } = fstatSync(file);
    hash.update(`${size}\n`);
    const bytes = Buffer.alloc(END_BYTES);
    for (const at of [0, Math.max(0, size - END_BYTES)])
      hash.update(bytes.subarray(0, readSync(file, bytes, 0, END_BYTES, at)));
  } finally {
    closeSync(file);
  }
}
