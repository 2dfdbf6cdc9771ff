import type { Dialect } from "../database/database.ts";

/** What a statement needs to say differently. */
export interface Wording {
  readonly dialect: Dialect;
  /** After a SELECT: holds the rows until the commit. SQLite has one writer anyway. */
  readonly lock: string;
  /** Likewise, and passes over rows that another transaction holds. */
  readonly lockFree: string;
}

/** A statement in the words of each dialect, put together once. */
export function perDialect(format: (wording: Wording) => string): Readonly<Record<Dialect, string>> {
  return {
    sqlite: format({ dialect: "sqlite", lock: "", lockFree: "" }),
    postgres: format({ dialect: "postgres", lock: " FOR UPDATE", lockFree: " FOR UPDATE SKIP LOCKED" }),
  };
}
