import pg from "pg";
import type { Logger } from "../logger.ts";
import { type Database, DatabaseError, type SqlValue, type Statements } from "./database.ts";
import { describePostgresFailure, isWorthAnotherRun } from "./postgres-errors.ts";

export interface PostgresDatabaseOptions {
  /** `postgres://user:password@host:port/database`, with the parameters that `pg` knows (`sslmode`, …). */
  readonly url: string;
  readonly logger: Logger;
  /** Connections at most; default 10. */
  readonly connections?: number;
}

/** Runs of one transaction, including the first. */
const MAX_RUNS = 10;
const CONNECT_MS = 10_000;

/**
 * Opens a database of a PostgreSQL server (14 or later). Commits are durable as the server is set up: leave
 * `synchronous_commit` on.
 *
 * @throws DatabaseError `unreachable` when the server does not answer.
 */
export async function openPostgresDatabase(options: PostgresDatabaseOptions): Promise<Database> {
  const pool = new pg.Pool({
    connectionString: options.url,
    max: options.connections ?? 10,
    connectionTimeoutMillis: CONNECT_MS,
    keepAlive: true,
    types: { getTypeParser },
    // A serialization failure is answered by running again; a forgotten transaction must not hold rows for ever.
    idle_in_transaction_session_timeout: 60_000,
  });
  // A connection that breaks while idle is replaced at the next use.
  pool.on("error", (error) => options.logger.warn({ err: error }, "lost an idle database connection"));
  const database = new PostgresDatabase(pool, options.logger);
  try {
    await database.read((tx) => tx.get("SELECT 1 AS one"));
    return database;
  } catch (error) {
    await pool.end();
    throw error;
  }
}

/** BIGINT, and what count() and sum() over integers give, arrive as text: ours all fit a number. */
function getTypeParser(oid: number, format?: "text" | "binary"): (value: string) => unknown {
  if (oid === pg.types.builtins.INT8 || oid === pg.types.builtins.NUMERIC) return Number;
  return pg.types.getTypeParser(oid, format as "text");
}

class PostgresDatabase implements Database {
  readonly dialect = "postgres";
  readonly #pool: pg.Pool;
  readonly #logger: Logger;
  /** Statement texts and their names on the server: the same on every connection. */
  readonly #names = new Map<string, string>();
  #isClosed = false;

  constructor(pool: pg.Pool, logger: Logger) {
    this.#pool = pool;
    this.#logger = logger;
  }

  async transaction<T>(work: (tx: Statements) => Promise<T>): Promise<T> {
    for (let run = 1; ; run++) {
      try {
        return await this.#withClient(async (client) => {
          await client.query("BEGIN");
          try {
            const value = await work(createStatements(client, this.#names));
            await client.query("COMMIT");
            return value;
          } catch (error) {
            await client.query("ROLLBACK").catch(() => {
              // The connection is gone, and the transaction with it.
            });
            throw error;
          }
        });
      } catch (error) {
        if (run >= MAX_RUNS || !isWorthAnotherRun(error)) throw describePostgresFailure(error);
        this.#logger.debug({ err: error, run }, "running a transaction again");
      }
    }
  }

  /** Each statement sees what is committed, and on this server what is committed is on disk. */
  async read<T>(work: (tx: Statements) => Promise<T>): Promise<T> {
    try {
      return await this.#withClient((client) => work(createStatements(client, this.#names)));
    } catch (error) {
      throw describePostgresFailure(error);
    }
  }

  backup(): Promise<void> {
    return Promise.reject(
      new DatabaseError(
        "failed",
        "A PostgreSQL database is backed up with the tools of PostgreSQL, pg_dump for example.",
      ),
    );
  }

  async [Symbol.asyncDispose](): Promise<void> {
    if (this.#isClosed) return;
    this.#isClosed = true;
    await this.#pool.end();
  }

  async #withClient<T>(use: (client: pg.PoolClient) => Promise<T>): Promise<T> {
    if (this.#isClosed) throw new DatabaseError("failed", "The database is closed.");
    const client = await this.#pool.connect();
    let failure: unknown;
    // The pool listens to idle connections only.
    const onError = (error: Error): void => {
      failure = error;
    };
    client.on("error", onError);
    try {
      return await use(client);
    } catch (error) {
      if (describePostgresFailure(error) instanceof DatabaseError) failure = error;
      throw error;
    } finally {
      client.off("error", onError);
      // A connection that may be broken is not used again.
      client.release(failure !== undefined);
    }
  }
}

/** Texts prepared on the server, at most; those put together per query (history filters) come and go unprepared. */
const MAX_PREPARED = 200;

function createStatements(client: pg.PoolClient, names: Map<string, string>): Statements {
  const query = (sql: string, parameters: readonly SqlValue[] = []): Promise<pg.QueryResult> => {
    const values = parameters.map((value) => (typeof value === "boolean" ? Number(value) : value));
    let name = names.get(sql);
    if (name === undefined && values.length > 0 && names.size < MAX_PREPARED) {
      name = `s${names.size}`;
      names.set(sql, name);
    }
    return client.query({ text: sql, values, ...(name === undefined ? {} : { name }) });
  };
  return {
    all: async <Row extends object>(sql: string, parameters?: readonly SqlValue[]) =>
      (await query(sql, parameters)).rows as Row[],
    get: async <Row extends object>(sql: string, parameters?: readonly SqlValue[]) =>
      (await query(sql, parameters)).rows[0] as Row | undefined,
    run: async (sql, parameters) => (await query(sql, parameters)).rowCount ?? 0,
  };
}
