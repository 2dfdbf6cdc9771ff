import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { EngineError } from "../engines/engine.ts";

/** A JSON object from a tokenizer's folder. @throws EngineError naming the file */
export async function readTokenizerJson(folder: string, name: string): Promise<Record<string, unknown>> {
  const text = await readTokenizerText(folder, name);
  try {
    const value: unknown = JSON.parse(text);
    if (typeof value === "object" && value !== null && !Array.isArray(value))
      return value as Record<string, unknown>;
    throw new TypeError("not an object");
  } catch (cause) {
    throw new EngineError("failed", `The tokenizer file ${join(folder, name)} is damaged. ${RESTORE}`, {
      cause,
    });
  }
}

/** The same, or undefined when there is no such file. */
export async function findTokenizerJson(
  folder: string,
  name: string,
): Promise<Record<string, unknown> | undefined> {
  try {
    return await readTokenizerJson(folder, name);
  } catch (error) {
    const cause = error instanceof EngineError ? error.cause : undefined;
    if ((cause as { code?: unknown } | undefined)?.code === "ENOENT") return undefined;
    throw error;
  }
}

/** A text file from a tokenizer's folder. @throws EngineError naming the file */
export async function readTokenizerText(folder: string, name: string): Promise<string> {
  const path = join(folder, name);
  try {
    return await readFile(path, "utf8");
  } catch (cause) {
    throw new EngineError("failed", `The tokenizer file ${path} is missing or cannot be read. ${RESTORE}`, {
      cause,
    });
  }
}

const RESTORE = "Pull the model again.";
