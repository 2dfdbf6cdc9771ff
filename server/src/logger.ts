/** Structured logging, passed in. Pino satisfies it. `error` means that someone must act. */
export interface Logger {
  debug(fields: object, message?: string): void;
  info(fields: object, message?: string): void;
  warn(fields: object, message?: string): void;
  error(fields: object, message?: string): void;
}

/** Says nothing; for tests. */
export const silentLogger: Logger = { debug() {}, info() {}, warn() {}, error() {} };
