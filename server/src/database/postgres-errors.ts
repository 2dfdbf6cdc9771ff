import { DatabaseError } from "./database.ts";

/** Error codes: https://www.postgresql.org/docs/current/errcodes-appendix.html; those of Node for the connection. */
const CONNECTION_CODES: ReadonlySet<string> = new Set([
  ...["ECONNREFUSED", "ECONNRESET", "ENOTFOUND", "ETIMEDOUT", "EPIPE", "EAI_AGAIN", "EHOSTUNREACH"],
  // admin_shutdown, crash_shutdown, cannot_connect_now, too_many_connections
  ...["57P01", "57P02", "57P03", "53300"],
]);

/** What an operator can do something about as DatabaseError; anything else as it is. */
export function describePostgresFailure(error: unknown): unknown {
  if (error instanceof DatabaseError || !(error instanceof Error)) return error;
  const code = String((error as { code?: unknown }).code ?? "");
  if (
    CONNECTION_CODES.has(code) ||
    code.startsWith("08") ||
    /^(Connection terminated|timeout exceeded when)/.test(error.message)
  ) {
    return new DatabaseError(
      "unreachable",
      `The database server does not answer (${error.message}). Check SLUICE_DATABASE_URL and that the server runs.`,
      { cause: error },
    );
  }
  if (code === "53100") {
    return new DatabaseError("full", "The database server's disk is full. Free some space there.", {
      cause: error,
    });
  }
  if (code === "25006") {
    return new DatabaseError(
      "read_only",
      "The database server takes no writes (a standby, or set read-only). Point SLUICE_DATABASE_URL at the primary.",
      { cause: error },
    );
  }
  if (code === "XX001" || code === "XX002") {
    return new DatabaseError("corrupt", `The database is damaged (${error.message}).`, { cause: error });
  }
  if (code.startsWith("28") || code === "3D000") {
    return new DatabaseError(
      "unreachable",
      `The database server refuses this user or database (${error.message}). Check SLUICE_DATABASE_URL.`,
      { cause: error },
    );
  }
  return error;
}

/** serialization_failure and deadlock_detected: nothing was kept, and the next run may well succeed. */
export function isWorthAnotherRun(error: unknown): boolean {
  const code = (error as { code?: unknown } | null)?.code;
  return code === "40001" || code === "40P01";
}
