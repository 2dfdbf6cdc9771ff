import type { Logger } from "@sluice/server";
import { pino } from "pino";
import pretty from "pino-pretty";

/** Structured lines on standard error: for people on a terminal, JSON otherwise. */
export function createLogger(level: string): Logger {
  const stream = process.stderr.isTTY
    ? pretty({
        destination: 2,
        colorize: true,
        ignore: "pid,hostname",
        translateTime: "SYS:HH:MM:ss.l",
        sync: true,
      })
    : process.stderr;
  return pino({ level, base: null, redact: ["authorization", "*.authorization"] }, stream);
}
