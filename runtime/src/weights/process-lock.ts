import { mkdirSync } from "node:fs";
import { dirname } from "node:path";
import { DatabaseSync } from "node:sqlite";

/**
 * Takes a lock of the operating system that dies with its holder, however that dies: an exclusive transaction on a small
 * file of its own, which is left where it is.
 * @returns undefined when another process holds it
 */
export function takeProcessLock(path: string): Disposable | undefined {
  mkdirSync(dirname(path), { recursive: true });
  const lock = new DatabaseSync(path, { timeout: 0 });
  try {
    lock.exec("BEGIN EXCLUSIVE");
  } catch (error) {
    lock.close();
    if ((error as { errcode?: number }).errcode === SQLITE_BUSY) return undefined;
    throw error;
  }
  return { [Symbol.dispose]: () => lock.close() };
}

const SQLITE_BUSY = 5;
