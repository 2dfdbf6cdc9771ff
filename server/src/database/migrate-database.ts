import { readdirSync, readFileSync } from "node:fs";
import { type Database, DatabaseError, type Dialect, type Statements } from "./database.ts";

/**
 * Brings the tables to the newest version this program knows. Migrations go forward only, each in one transaction,
 * in the order of their numbers, and each exactly once per database. Safe to call at every start and from several
 * processes at once.
 *
 * A migration is a file `migrations/NNNN-name.sql`, or two, `NNNN-name.sqlite.sql` and `NNNN-name.postgres.sql`,
 * where the dialects differ. A statement ends with a semicolon at the end of a line.
 *
 * @returns the names of the migrations applied now.
 * @throws DatabaseError of kind `newer` when the data was written by a newer program; nothing is changed then.
 */
export async function migrateDatabase(
  database: Database,
  options: { readonly migrations?: readonly Migration[] } = {},
): Promise<readonly string[]> {
  const migrations = options.migrations ?? readMigrations(database.dialect);
  const newest = migrations.at(-1)?.number ?? 0;
  const applied: string[] = [];
  for (;;) {
    // One migration per transaction: what a failing one leaves is the version before it, whole.
    const name = await database.transaction(async (tx) => {
      const done = await findAppliedNumbers(tx, database.dialect);
      const last = Math.max(0, ...done);
      if (last > newest) {
        throw new DatabaseError(
          "newer",
          `The data was written by a newer version of Sluice (its tables are at version ${last}, this program knows ${newest}). ` +
            "Start that version or a later one, or restore a backup made with this one.",
        );
      }
      const next = migrations.find((migration) => !done.has(migration.number));
      if (next === undefined) return undefined;
      for (const statement of splitStatements(next.sql)) await tx.run(statement);
      await tx.run("INSERT INTO migrations (number, name, applied_at) VALUES ($1, $2, $3)", [
        next.number,
        next.name,
        Date.now(),
      ]);
      return next.name;
    });
    if (name === undefined) return applied;
    applied.push(name);
  }
}

export interface Migration {
  readonly number: number;
  /** File name without number, dialect and extension. */
  readonly name: string;
  readonly sql: string;
}

/** The migrations of a folder for one dialect, by number. Default: those shipped beside this file. */
export function readMigrations(
  dialect: Dialect,
  folder: URL = new URL("./migrations/", import.meta.url),
): readonly Migration[] {
  const byNumber = new Map<number, Migration>();
  for (const file of readdirSync(folder).sort()) {
    const match = /^(\d{4})-([a-z0-9-]+?)(?:\.(sqlite|postgres))?\.sql$/.exec(file);
    if (match === null) continue;
    const [, digits = "", name = "", only] = match;
    if (only !== undefined && only !== dialect) continue;
    const number = Number(digits);
    const other = byNumber.get(number);
    if (other !== undefined) {
      throw new Error(`Two migrations have the number ${digits}: ${other.name} and ${name}.`);
    }
    byNumber.set(number, { number, name, sql: readFileSync(new URL(file, folder), "utf8") });
  }
  return [...byNumber.values()].sort((a, b) => a.number - b.number);
}

async function findAppliedNumbers(tx: Statements, dialect: Dialect): Promise<Set<number>> {
  // Serialises several processes that start at once; SQLite has one writer anyway.
  if (dialect === "postgres") await tx.run("SELECT pg_advisory_xact_lock(7242519)");
  await tx.run(
    "CREATE TABLE IF NOT EXISTS migrations (number INTEGER PRIMARY KEY, name TEXT NOT NULL, applied_at BIGINT NOT NULL)",
  );
  const rows = await tx.all<{ number: number }>("SELECT number FROM migrations");
  return new Set(rows.map((row) => row.number));
}

/** The statements of a file: comments on lines of their own go, a semicolon at a line's end divides. */
function splitStatements(sql: string): readonly string[] {
  return sql
    .split("\n")
    .filter((line) => !line.trimStart().startsWith("--"))
    .join("\n")
    .split(/;[ \t]*(?:\n|$)/)
    .map((statement) => statement.trim())
    .filter((statement) => statement !== "");
}
