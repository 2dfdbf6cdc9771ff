import type { DatabaseSync, SQLInputValue, SQLOutputValue, StatementSync } from "node:sqlite";
import type { SqlValue, Statements } from "./database.ts";

/** Statements kept compiled; texts that are put together per query (history filters) push out the oldest. */
const CACHE_SIZE = 300;

/** Runs SQL on one connection, compiling each text once. */
export function createSqliteStatements(connection: DatabaseSync): Statements {
  const cache = new Map<string, Prepared>();

  function prepare(sql: string): Prepared {
    const known = cache.get(sql);
    if (known !== undefined) return known;
    const prepared = compile(connection, sql);
    if (cache.size >= CACHE_SIZE) {
      for (const oldest of cache.keys()) {
        cache.delete(oldest);
        break;
      }
    }
    cache.set(sql, prepared);
    return prepared;
  }

  // The functions are async so that a failing statement is a rejection, as it is on a database far away.
  return {
    async all<Row extends object>(sql: string, parameters: readonly SqlValue[] = []): Promise<Row[]> {
      const prepared = prepare(sql);
      const rows = prepared.statement.all(...bind(prepared.order, parameters));
      return rows.map((values) => toRow(prepared, values as unknown as SQLOutputValue[]) as Row);
    },
    async get<Row extends object>(
      sql: string,
      parameters: readonly SqlValue[] = [],
    ): Promise<Row | undefined> {
      const prepared = prepare(sql);
      const values = prepared.statement.get(...bind(prepared.order, parameters));
      return values === undefined
        ? undefined
        : (toRow(prepared, values as unknown as SQLOutputValue[]) as Row);
    },
    async run(sql: string, parameters: readonly SqlValue[] = []): Promise<number> {
      const { statement, order } = prepare(sql);
      return Number(statement.run(...bind(order, parameters)).changes);
    },
  };
}

interface Prepared {
  readonly statement: StatementSync;
  /** For each `?` of the compiled text, the index of its value. */
  readonly order: readonly number[];
  names: readonly string[];
  /** A row with every column null. */
  empty: Readonly<Record<string, SQLOutputValue>>;
}

/** SQLite binds by position: `$2, $1, $2` becomes `?, ?, ?` with the values given in that order. */
function compile(connection: DatabaseSync, sql: string): Prepared {
  const order: number[] = [];
  const text = sql.replace(/\$(\d+)/g, (_, digits: string) => {
    order.push(Number(digits) - 1);
    return "?";
  });
  const statement = connection.prepare(text);
  statement.setReturnArrays(true);
  return { statement, order, ...describeColumns(statement) };
}

function describeColumns(statement: StatementSync): Pick<Prepared, "names" | "empty"> {
  const names = statement.columns().map((column) => column.name);
  return { names, empty: Object.fromEntries(names.map((name) => [name, null])) };
}

/** Arrays from SQLite made into objects here, all of one shape: half the time of letting Node make the objects. */
function toRow(prepared: Prepared, values: readonly SQLOutputValue[]): object {
  // The table of a `SELECT *` may have got a column since.
  if (values.length !== prepared.names.length) Object.assign(prepared, describeColumns(prepared.statement));
  const row: Record<string, SQLOutputValue> = { ...prepared.empty };
  for (let i = 0; i < values.length; i++) {
    const name = prepared.names[i];
    if (name !== undefined) row[name] = values[i] ?? null;
  }
  return row;
}

function bind(order: readonly number[], parameters: readonly SqlValue[]): SQLInputValue[] {
  const values = new Array<SQLInputValue>(order.length);
  for (let i = 0; i < order.length; i++) {
    const value = parameters[order[i] as number];
    if (value === undefined)
      throw new TypeError(`The statement's parameter $${(order[i] as number) + 1} is missing.`);
    values[i] = typeof value === "boolean" ? (value ? 1 : 0) : value;
  }
  return values;
}
