import { mkdirSync } from "node:fs";
import { dirname } from "node:path";
import { backup, DatabaseSync } from "node:sqlite";
import type { Clock } from "../clock.ts";
import type { Logger } from "../logger.ts";
import { type Database, DatabaseError, type Statements } from "./database.ts";
import { describeSqliteFailure } from "./sqlite-errors.ts";
import { createSqliteStatements } from "./sqlite-statements.ts";

export interface SqliteDatabaseOptions {
  /** The database file; its folder is made when absent. */
  readonly path: string;
  readonly clock: Clock;
  readonly logger: Logger;
}

/**
 * Opens the embedded database and takes its folder: one process at a time.
 *
 * @throws DatabaseError `locked` when another process holds the folder, `read_only`, `corrupt`, `full`.
 */
export async function openSqliteDatabase(options: SqliteDatabaseOptions): Promise<Database> {
  try {
    mkdirSync(dirname(options.path), { recursive: true });
    const lock = acquireFolderLock(options.path);
    try {
      return new SqliteDatabase(options, lock);
    } catch (error) {
      lock.close();
      throw error;
    }
  } catch (error) {
    throw describeSqliteFailure(error, options.path);
  }
}

/**
 * A lock of the operating system on a file of its own, held by an open exclusive transaction: it dies with the
 * process, however that dies, and it also works between two opens in one process.
 */
function acquireFolderLock(path: string): DatabaseSync {
  const lock = new DatabaseSync(`${path}.lock`, { timeout: 0 });
  try {
    lock.exec("BEGIN EXCLUSIVE");
    return lock;
  } catch (error) {
    lock.close();
    const failure = describeSqliteFailure(error, path);
    if (!(failure instanceof DatabaseError) || failure.kind !== "locked") throw failure;
    const folder = dirname(path);
    throw new DatabaseError(
      "locked",
      `Another Sluice server is using the data folder ${folder}. Stop it first, or choose another folder with --data.`,
      { cause: error },
    );
  }
}

class SqliteDatabase implements Database {
  readonly dialect = "sqlite";
  readonly #path: string;
  readonly #connection: DatabaseSync;
  readonly #lock: DatabaseSync;
  readonly #statements: Statements;
  #tail: Promise<unknown> = Promise.resolve();
  #isClosed = false;

  constructor(options: SqliteDatabaseOptions, lock: DatabaseSync) {
    this.#path = options.path;
    this.#lock = lock;
    this.#connection = new DatabaseSync(options.path, { timeout: 5_000 });
    this.#connection.exec("PRAGMA journal_mode=WAL; PRAGMA synchronous=FULL; PRAGMA foreign_keys=ON;");
    this.#statements = createSqliteStatements(this.#connection);
  }

  transaction<T>(work: (tx: Statements) => Promise<T>): Promise<T> {
    return this.#enqueue(async () => {
      this.#connection.exec("BEGIN IMMEDIATE");
      try {
        const value = await work(this.#statements);
        this.#connection.exec("COMMIT");
        return value;
      } catch (error) {
        if (this.#connection.isTransaction) this.#connection.exec("ROLLBACK");
        throw error;
      }
    });
  }

  read<T>(work: (tx: Statements) => Promise<T>): Promise<T> {
    return this.#enqueue(() => work(this.#statements));
  }

  async backup(path: string): Promise<void> {
    await backup(this.#connection, path);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    if (this.#isClosed) return;
    this.#isClosed = true;
    await this.#tail.catch(() => {});
    this.#connection.close();
    this.#lock.close();
  }

  #enqueue<T>(run: () => Promise<T>): Promise<T> {
    if (this.#isClosed) return Promise.reject(new DatabaseError("failed", "The database is closed."));
    const result = this.#tail.then(run).catch((error: unknown) => {
      throw describeSqliteFailure(error, this.#path);
    });
    this.#tail = result.catch(() => {});
    return result;
  }
}
