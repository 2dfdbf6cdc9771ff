import type { Logger } from "@sluice/server";
import { pino } from "pino";

// Only people need it, and a server that starts under a service manager is up the sooner without it.
const pretty = process.stderr.isTTY ? (await import("pino-pretty")).default : undefined;

/** Structured lines on standard error: for people on a terminal, JSON otherwise. */
export function createLogger(level: string): Logger {
  const stream =
    pretty?.({
      destination: 2,
      colorize: true,
      ignore: "pid,hostname",
      translateTime: "SYS:HH:MM:ss.l",
      sync: true,
    }) ?? process.stderr;
  return pino({ level, base: null, redact: ["authorization", "*.authorization"] }, stream);
}
