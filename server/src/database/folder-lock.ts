import { dirname } from "node:path";
import { DatabaseSync } from "node:sqlite";
import { DatabaseError } from "./database.ts";
import { describeSqliteFailure } from "./sqlite-errors.ts";

/**
 * Takes the folder of a database for this process: a lock of the operating system on a small file of its own, held
 * by an open exclusive transaction. It dies with the process, however that dies; it also keeps two opens in one
 * process apart.
 *
 * @throws DatabaseError `locked`, with the folder's name, when it is taken.
 */
export function acquireFolderLock(databasePath: string): Disposable {
  const lock = new DatabaseSync(`${databasePath}.lock`, { timeout: 0 });
  try {
    lock.exec("BEGIN EXCLUSIVE");
  } catch (error) {
    lock.close();
    const failure = describeSqliteFailure(error, databasePath);
    if (!(failure instanceof DatabaseError) || failure.kind !== "locked") throw failure;
    throw new DatabaseError(
      "locked",
      `Another Sluice server is using the data folder ${dirname(databasePath)}. Stop it first, or choose another folder with --data.`,
      { cause: error },
    );
  }
  return { [Symbol.dispose]: () => lock.close() };
}
