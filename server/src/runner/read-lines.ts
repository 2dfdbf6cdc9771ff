import type { Readable } from "node:stream";

const MAX_LINE_LENGTH = 16_384;

/** Calls `onLine` for every line of a text stream, the unfinished last one included. Overlong lines are cut into pieces. */
export function readLines(stream: Readable, onLine: (line: string) => void): void {
  let rest = "";
  stream.setEncoding("utf8");
  stream.on("data", (text: string) => {
    const lines = (rest + text).split("\n");
    rest = lines.pop() ?? "";
    for (const line of lines) onLine(line.replace(/\r$/, ""));
    if (rest.length > MAX_LINE_LENGTH) flush();
  });
  stream.on("end", () => flush());
  const flush = (): void => {
    if (rest !== "") onLine(rest);
    rest = "";
  };
}
