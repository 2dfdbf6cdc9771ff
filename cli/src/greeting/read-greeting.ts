import type { ChildProcess } from "node:child_process";
import { createInterface } from "node:readline";

export interface Greeting {
  /** Where the server listens. */
  readonly url: string;
  /** Everything it printed, up to the line that says what to try. */
  readonly lines: readonly string[];
}

/** A server that is not up after this long is ended. */
const START_MS = 60_000;

/**
 * Waits until a `sluice serve` with piped output takes requests, and goes on reading so that it never waits for a
 * reader.
 * @throws Error with what it wrote to standard error, when that is piped too, when it ends before that
 */
export async function readGreeting(server: ChildProcess): Promise<Greeting> {
  const { stdout, stderr } = server;
  if (stdout === null) throw new Error("The server's output is not piped.");
  let errors = "";
  stderr?.on("data", (chunk: Buffer) => {
    errors = (errors + chunk.toString()).slice(-4_000);
  });
  const timer = setTimeout(() => server.kill("SIGKILL"), START_MS);
  const lines: string[] = [];
  for await (const line of createInterface({ input: stdout })) {
    lines.push(line);
    if (line.trimStart().startsWith("try")) break;
  }
  clearTimeout(timer);
  stdout.resume();
  for (const line of lines) {
    const url = /^listening on (\S+)$/.exec(line)?.[1];
    if (url !== undefined) return { url, lines };
  }
  throw new Error(`The server did not start: ${errors}`);
}
