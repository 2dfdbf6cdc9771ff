import type { LogLevel } from "@sluice/protocol";

/** What one piece of the program's output says. */
export type OutputEvent =
  /** A bar: of weights being read, or of steps (and of tiles, where the picture is decoded in tiles). */
  | { readonly kind: "loading" | "steps"; readonly done: number; readonly of: number }
  | { readonly kind: "sampling" | "sampled" | "decoded" | "finished" }
  | { readonly kind: "line"; readonly level: LogLevel; readonly text: string };

const BAR = /\|([=> #]*)\|\s+(\d+)\/(\d+) - [\d.]+(?:s\/it|it\/s|MB\/s|GB\/s)/;
const LINE = /^\[(DEBUG|INFO|WARN|ERROR)\s*\]\s+(?:[\w.-]+:\d+\s+-\s+)?(.*)$/;
const MILESTONES: readonly (readonly [RegExp, "sampling" | "sampled" | "decoded" | "finished"])[] = [
  [/^generating image: /, "sampling"],
  [/^sampling completed/, "sampled"],
  [/^decode_first_stage completed/, "decoded"],
  [/^generate_image completed/, "finished"],
];
/** Longer output without an end of line is no progress and no message. */
const MOST_CHARACTERS = 16_384;

/**
 * Understands what sd-server prints: bars that overwrite each other with carriage returns, and lines with a level.
 * Feed it text as it comes, in pieces of any size. Whatever it does not know comes out as a line.
 */
export function createOutputReader(listener: (event: OutputEvent) => void): {
  push(text: string): void;
  end(): void;
} {
  let rest = "";
  const take = (piece: string): void => {
    // biome-ignore lint/suspicious/noControlCharactersInRegex: colours and "erase to the end of the line"
    const text = piece.replace(/\u001b\[[\d;]*[A-Za-z]/g, "").trim();
    if (text !== "") listener(readPiece(text));
  };
  return {
    push(text) {
      const pieces = (rest + text).split(/[\r\n]/);
      rest = pieces.pop() ?? "";
      for (const piece of pieces) take(piece);
      // The last bar of a row is not followed by anything for as long as the step takes.
      if (rest.endsWith("\u001b[K") || rest.length > MOST_CHARACTERS) {
        take(rest);
        rest = "";
      }
    },
    end() {
      take(rest);
      rest = "";
    },
  };
}

function readPiece(text: string): OutputEvent {
  const bar = BAR.exec(text);
  if (bar !== null) {
    const [, drawn = "", done, of] = bar;
    return { kind: drawn.includes("#") ? "loading" : "steps", done: Number(done), of: Number(of) };
  }
  const [, level = "INFO", message = text.slice(0, MOST_CHARACTERS)] = LINE.exec(text) ?? [];
  const milestone = MILESTONES.find(([pattern]) => pattern.test(message));
  if (milestone !== undefined) return { kind: milestone[1] };
  return { kind: "line", level: level as LogLevel, text: message };
}
