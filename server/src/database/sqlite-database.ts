import { mkdirSync, statSync } from "node:fs";
import { type FileHandle, open } from "node:fs/promises";
import { dirname } from "node:path";
import { DatabaseSync } from "node:sqlite";
import type { Clock } from "../clock.ts";
import type { Logger } from "../logger.ts";
import { type Checkpointer, createCheckpointer } from "./checkpointer.ts";
import { type Database, DatabaseError, type Statements } from "./database.ts";
import { acquireFolderLock } from "./folder-lock.ts";
import { describeSqliteFailure } from "./sqlite-errors.ts";
import { createSqliteStatements } from "./sqlite-statements.ts";
import { hasWalFrame } from "./wal-file.ts";

export interface SqliteDatabaseOptions {
  /** The database file; its folder is made when absent. */
  readonly path: string;
  readonly clock: Clock;
  readonly logger: Logger;
  /** Default {@link DEFAULT_CHECKPOINT_FRAMES}. */
  readonly checkpointFrames?: number;
  /** Puts what was written to the file on the disk. Default `fdatasync`; tests stand in for the disk here. */
  readonly syncFile?: (file: FileHandle) => Promise<void>;
  readonly createCheckpointer?: (path: string) => Checkpointer;
}

/** Pages in the write-ahead log at which it is copied into the database file: 16 MB. */
const DEFAULT_CHECKPOINT_FRAMES = 4_096;
/** A group stops taking transactions after this long, so that the event loop keeps turning. */
const GROUP_MS = 8;
/** How often the length of the log is looked at, in commits. */
const COMMITS_PER_LOOK = 16;
/** Up to this size the whole file is checked at start. */
const CHECKED_BYTES = 64 * 2 ** 20;

/**
 * Opens the embedded database and takes its folder: one process at a time.
 *
 * @throws DatabaseError `locked` when another process holds the folder, `read_only`, `corrupt`, `full`.
 */
export async function openSqliteDatabase(options: SqliteDatabaseOptions): Promise<Database> {
  let lock: Disposable | undefined;
  let connection: DatabaseSync | undefined;
  try {
    mkdirSync(dirname(options.path), { recursive: true });
    lock = acquireFolderLock(options.path);
    connection = openConnection(options.path);
    const wal = await open(`${options.path}-wal`, "r+");
    return new SqliteDatabase(options, { lock, connection, wal });
  } catch (error) {
    connection?.close();
    lock?.[Symbol.dispose]();
    throw describeSqliteFailure(error, options.path);
  }
}

/**
 * The connection of the event loop. What an earlier process left in the log is put into the database file and
 * synced first; then the log is started, synced too, so that no later write of this connection has to wait for the
 * disk.
 */
function openConnection(path: string): DatabaseSync {
  const connection = new DatabaseSync(path, { timeout: 1_000 });
  try {
    connection.exec("PRAGMA journal_mode=WAL; PRAGMA synchronous=FULL; PRAGMA wal_autocheckpoint=0;");
    connection.exec("PRAGMA wal_checkpoint(TRUNCATE)");
    if (statSync(path).size <= CHECKED_BYTES) {
      const problem = connection.prepare("PRAGMA quick_check(1)").get()?.["quick_check"];
      if (problem !== "ok") {
        throw new DatabaseError(
          "corrupt",
          `The database file ${path} is damaged (${String(problem)}). Move it away and restore a backup with \`sluice restore\`.`,
        );
      }
    }
    const version = Number(connection.prepare("PRAGMA user_version").get()?.["user_version"]);
    connection.exec(`PRAGMA user_version=${(version + 1) % 0x40000000}`);
    connection.exec("PRAGMA synchronous=NORMAL; PRAGMA cache_size=-32768; PRAGMA temp_store=MEMORY;");
    return connection;
  } catch (error) {
    connection.close();
    throw error;
  }
}

interface Job {
  readonly work: (tx: Statements) => Promise<unknown>;
  readonly resolve: (value: unknown) => void;
  readonly reject: (reason: unknown) => void;
}

interface OpenFiles {
  readonly lock: Disposable;
  readonly connection: DatabaseSync;
  /** A handle of our own on the write-ahead log. (One on the database file would drop SQLite's locks when closed.) */
  readonly wal: FileHandle;
}

/**
 * Group commit. Transactions that arrive in one turn of the event loop, and those that arrive while the disk is
 * busy with the group before, share one SQLite transaction. Its commit only writes to the
 * operating system (`synchronous=NORMAL`); the group's promises settle after an `fdatasync` of the log in the
 * thread pool, so the event loop never waits for the disk. At most one group is committed and not yet synced; reads
 * that may have seen it resolve after it.
 */
class SqliteDatabase implements Database {
  readonly dialect = "sqlite";
  readonly #options: SqliteDatabaseOptions;
  readonly #files: OpenFiles;
  readonly #statements: Statements;
  readonly #checkpointer: Checkpointer;
  readonly #begin;
  readonly #commit;
  readonly #savepoint;
  readonly #release;
  #waiting: Job[] = [];
  #isScheduled = false;
  /** Set while a group runs and until its commit is synced. */
  #group: Promise<void> | undefined;
  /** True between BEGIN and COMMIT: a read would see what may still be undone. */
  #isOpen = false;
  /** True from COMMIT until it is synced. */
  #isUnsynced = false;
  #activeReads = 0;
  #waitingForReads: (() => void) | undefined;
  #checkpoint: Promise<void> | undefined;
  #isHeld = false;
  #commits = 0;
  #failure: DatabaseError | undefined;
  #isClosed = false;

  constructor(options: SqliteDatabaseOptions, files: OpenFiles) {
    this.#options = options;
    this.#files = files;
    this.#statements = createSqliteStatements(files.connection);
    this.#checkpointer = (options.createCheckpointer ?? createCheckpointer)(options.path);
    this.#begin = files.connection.prepare("BEGIN IMMEDIATE");
    this.#commit = files.connection.prepare("COMMIT");
    this.#savepoint = files.connection.prepare("SAVEPOINT job");
    this.#release = files.connection.prepare("RELEASE job");
  }

  transaction<T>(work: (tx: Statements) => Promise<T>): Promise<T> {
    return new Promise<T>((resolve, reject) => {
      const refusal = this.#refusal();
      if (refusal !== undefined) return reject(refusal);
      this.#waiting.push({ work, resolve: resolve as (value: unknown) => void, reject });
      this.#schedule();
    });
  }

  async read<T>(work: (tx: Statements) => Promise<T>): Promise<T> {
    while (this.#isOpen) await this.#group;
    const refusal = this.#refusal();
    if (refusal !== undefined) throw refusal;
    const unsynced = this.#isUnsynced ? this.#group : undefined;
    this.#activeReads++;
    let value: T;
    try {
      value = await work(this.#statements);
    } catch (error) {
      throw describeSqliteFailure(error, this.#options.path);
    } finally {
      if (--this.#activeReads === 0) this.#waitingForReads?.();
    }
    if (unsynced !== undefined) {
      await unsynced;
      if (this.#failure !== undefined) throw this.#failure;
    }
    return value;
  }

  async backup(path: string): Promise<void> {
    const refusal = this.#refusal();
    if (refusal !== undefined) throw refusal;
    try {
      await this.#checkpointer.backup(path);
    } catch (error) {
      throw describeSqliteFailure(error, path);
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    if (this.#isClosed) return;
    while (this.#waiting.length > 0 || this.#group !== undefined || this.#checkpoint !== undefined) {
      await (this.#group ?? this.#checkpoint ?? new Promise(setImmediate));
    }
    this.#isClosed = true;
    await this.#checkpointer.close();
    await this.#files.wal.close();
    this.#files.connection.close();
    this.#files.lock[Symbol.dispose]();
  }

  #refusal(): DatabaseError | undefined {
    return this.#isClosed ? new DatabaseError("failed", "The database is closed.") : this.#failure;
  }

  #schedule(): void {
    if (this.#isScheduled || this.#group !== undefined || this.#isHeld) return;
    this.#isScheduled = true;
    // Not a microtask: everything that this turn of the event loop still brings joins the group.
    setImmediate(() => {
      this.#isScheduled = false;
      if (this.#isHeld || this.#waiting.length === 0) return;
      this.#group = this.#runGroup().finally(() => {
        this.#group = undefined;
        if (this.#waiting.length > 0) this.#schedule();
      });
    });
  }

  /** Never rejects: every failure goes to the jobs. */
  async #runGroup(): Promise<void> {
    if (this.#activeReads > 0) {
      // A read that waits for something else than statements; rare, but it must not see half a group.
      await new Promise<void>((resolve) => {
        this.#waitingForReads = resolve;
      });
      this.#waitingForReads = undefined;
    }
    const jobs: Job[] = [];
    this.#isOpen = true;
    try {
      const settle = (await this.#runTogether(jobs)) ?? (await this.#runApart(jobs));
      this.#commit.run();
      this.#isOpen = false;
      this.#isUnsynced = true;
      await this.#sync();
      this.#isUnsynced = false;
      for (const done of settle) done();
    } catch (error) {
      // Nothing of the group was kept, or the disk cannot say what was.
      this.#rollBack();
      const failure = describeSqliteFailure(error, this.#options.path);
      this.#options.logger.error({ err: failure, transactions: jobs.length }, "could not commit");
      for (const job of jobs.length > 0 ? jobs : this.#waiting.splice(0)) job.reject(failure);
    } finally {
      this.#isOpen = false;
      this.#isUnsynced = false;
    }
    this.#commits++;
    if (this.#commits % COMMITS_PER_LOOK === 0) await this.#look();
  }

  /**
   * Runs what waits, as `jobs`, without a savepoint for each: SQLite would copy every page that a savepoint changes.
   * Undefined, with nothing kept, when one of them throws: then they run apart.
   */
  async #runTogether(jobs: Job[]): Promise<(() => void)[] | undefined> {
    const settle: (() => void)[] = [];
    const until = this.#options.clock.monotonic() + GROUP_MS;
    this.#begin.run();
    try {
      // What arrives meanwhile joins.
      for (let job = this.#waiting[jobs.length]; job !== undefined; job = this.#waiting[jobs.length]) {
        const { work, resolve } = job;
        jobs.push(job);
        const value = await work(this.#statements);
        settle.push(() => resolve(value));
        if (this.#options.clock.monotonic() > until) break;
      }
      return settle;
    } catch {
      this.#rollBack();
      return undefined;
    } finally {
      this.#waiting.splice(0, jobs.length);
    }
  }

  /** Runs the jobs again, each in a savepoint, so that the one that throws takes nothing with it. */
  async #runApart(jobs: readonly Job[]): Promise<(() => void)[]> {
    const settle: (() => void)[] = [];
    this.#begin.run();
    for (const job of jobs) {
      this.#savepoint.run();
      try {
        const value = await job.work(this.#statements);
        this.#release.run();
        settle.push(() => job.resolve(value));
      } catch (error) {
        // A full disk can make SQLite undo the whole transaction: then it is the whole group that failed.
        if (!this.#files.connection.isTransaction) throw error;
        this.#files.connection.exec("ROLLBACK TO job; RELEASE job");
        const reason = describeSqliteFailure(error, this.#options.path);
        settle.push(() => job.reject(reason));
      }
    }
    return settle;
  }

  #rollBack(): void {
    if (this.#files.connection.isTransaction) this.#files.connection.exec("ROLLBACK");
  }

  /**
   * A failed sync leaves nobody knowing what is on the disk (the system may have dropped the pages), while this
   * process would go on seeing the commit: nothing is answered any more until a restart reads the disk again.
   */
  async #sync(): Promise<void> {
    try {
      await (this.#options.syncFile ?? ((file) => file.datasync()))(this.#files.wal);
    } catch (error) {
      this.#failure = new DatabaseError(
        "failed",
        `The disk under ${this.#options.path} did not take a write. Check the disk, then start the server again; everything that was answered is kept.`,
        { cause: error },
      );
      throw this.#failure;
    }
  }

  async #look(): Promise<void> {
    if (this.#checkpoint !== undefined) return;
    const frames = this.#options.checkpointFrames ?? DEFAULT_CHECKPOINT_FRAMES;
    try {
      if (!(await hasWalFrame(this.#files.wal, frames))) return;
    } catch (error) {
      this.#options.logger.warn({ err: error }, "could not read the length of the write-ahead log");
      return;
    }
    this.#checkpoint = this.#runCheckpoint().finally(() => {
      this.#checkpoint = undefined;
    });
  }

  /** After this, what is in the log is on the disk. */
  async #settleGroup(): Promise<void> {
    await this.#group;
    if (this.#failure !== undefined) throw this.#failure;
  }

  async #runCheckpoint(): Promise<void> {
    try {
      await this.#checkpointer.anchor();
      await this.#settleGroup();
      await this.#checkpointer.copy();
      // Writes wait here (the event loop does not) while the rest, what was committed meanwhile, is copied.
      this.#isHeld = true;
      await this.#settleGroup();
      if (await this.#checkpointer.copyRest()) await this.#checkpointer.startOver();
    } catch (error) {
      // The log only grows; the next commits try again.
      this.#options.logger.error(
        { err: describeSqliteFailure(error, this.#options.path) },
        "could not copy the write-ahead log into the database file",
      );
    } finally {
      this.#isHeld = false;
      if (this.#waiting.length > 0) this.#schedule();
    }
  }
}
