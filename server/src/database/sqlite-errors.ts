import { DatabaseError } from "./database.ts";

/**
 * A failure of SQLite or of the file system under it, told as what an operator can do about it. Anything else
 * (a constraint, a mistake in a statement, what a transaction threw itself) is given back as it is.
 */
export function describeSqliteFailure(error: unknown, path: string): unknown {
  if (error instanceof DatabaseError || !(error instanceof Error)) return error;
  const failure = error as Error & { errcode?: unknown; code?: unknown };
  if (typeof failure.errcode === "number") return fromResultCode(failure.errcode, failure, path);
  switch (failure.code) {
    case "ENOSPC":
    case "EDQUOT":
      return new DatabaseError("full", fullText(path), { cause: error });
    case "EROFS":
    case "EACCES":
    case "EPERM":
      return new DatabaseError("read_only", readOnlyText(path), { cause: error });
    case "EIO":
      return new DatabaseError("failed", failedText(path, failure), { cause: error });
    default:
      return error;
  }
}

/** Result codes: https://sqlite.org/rescode.html; the low byte is the family, the rest the detail. */
function fromResultCode(code: number, error: Error, path: string): unknown {
  switch (code & 0xff) {
    case 13: // SQLITE_FULL
      return new DatabaseError("full", fullText(path), { cause: error });
    case 8: // SQLITE_READONLY
    case 3: // SQLITE_PERM
    case 14: // SQLITE_CANTOPEN
      return new DatabaseError("read_only", readOnlyText(path), { cause: error });
    case 11: // SQLITE_CORRUPT
    case 26: // SQLITE_NOTADB
      return new DatabaseError(
        "corrupt",
        `The database file ${path} is damaged (${error.message}). Move it away and restore a backup with \`sluice restore\`.`,
        { cause: error },
      );
    case 5: // SQLITE_BUSY
    case 6: // SQLITE_LOCKED
      return new DatabaseError(
        "locked",
        `Another program is writing to the database file ${path}. Stop it and try again.`,
        { cause: error },
      );
    case 10: // SQLITE_IOERR
      return new DatabaseError("failed", failedText(path, error), { cause: error });
    default:
      return error;
  }
}

const fullText = (path: string): string =>
  `The disk is full: nothing can be written to ${path}. Free some space; what was accepted before is kept.`;

const readOnlyText = (path: string): string =>
  `The database file ${path} cannot be written. Make its folder exist and be writable for the user that runs the server, or choose another with --data.`;

const failedText = (path: string, error: Error): string =>
  `The disk under ${path} reports a failure (${error.message}). Check the disk, then start the server again.`;
