/**
 * Durable, transactional rows. One contract, two implementations: embedded SQLite with group commit, and
 * PostgreSQL. Everything that must survive a crash goes through here.
 *
 * SQL texts use `$1`, `$2`, … for parameters on both. Values are strings, numbers (integers up to 2^53 and
 * doubles), booleans (stored as 0/1 in SQLite and given back as numbers there: compare with `=== 1 ||`, or
 * store integers), null, and bytes. Times are epoch milliseconds in BIGINT columns, given back as numbers.
 */
export interface Database extends AsyncDisposable {
  readonly dialect: Dialect;
  /**
   * Runs `work` in one transaction and resolves once the commit is on disk (power-safe). When `work` throws,
   * nothing of it is kept and the promise rejects with what it threw.
   *
   * `work` must wait for nothing but `tx`: on SQLite, transactions run one after another, and those of one turn
   * of the event loop share one commit. It may be run again, so it must have no effects but its statements: on
   * SQLite after another transaction of the same commit threw, on PostgreSQL after a serialization failure or
   * deadlock.
   */
  transaction<T>(work: (tx: Statements) => Promise<T>): Promise<T>;
  /** Reads. Never shows what a crash could still take back: resolves when every commit it could see is synced. */
  read<T>(work: (tx: Statements) => Promise<T>): Promise<T>;
  /** A consistent copy of the whole database into `path` while it is in use (SQLite only; else throws). */
  backup(path: string): Promise<void>;
}

export type Dialect = "sqlite" | "postgres";

export type SqlValue = string | number | bigint | boolean | null | Uint8Array;

export interface Statements {
  /** All rows. Column names as in the statement. */
  all<Row extends object>(sql: string, parameters?: readonly SqlValue[]): Promise<Row[]>;
  /** First row or undefined. */
  get<Row extends object>(sql: string, parameters?: readonly SqlValue[]): Promise<Row | undefined>;
  /** Number of rows changed. */
  run(sql: string, parameters?: readonly SqlValue[]): Promise<number>;
}

/** The store cannot take writes: disk full, folder read-only, file corrupt, connection lost. */
export class DatabaseError extends Error {
  readonly kind: "full" | "read_only" | "corrupt" | "locked" | "newer" | "unreachable" | "failed";
  constructor(kind: DatabaseError["kind"], message: string, options: { cause?: unknown } = {}) {
    super(message, options);
    this.name = "DatabaseError";
    this.kind = kind;
  }
}
