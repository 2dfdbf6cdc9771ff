import { styleText } from "node:util";
import { formatBytes } from "./format-bytes.ts";
import { formatDuration } from "./format-duration.ts";

/** How far a transfer of several files is. */
export interface Transfer {
  readonly files: readonly {
    readonly path: string;
    readonly bytes: number | undefined;
    readonly doneBytes: number;
    readonly state: "waiting" | "running" | "done";
  }[];
  readonly bytes: number | undefined;
  readonly doneBytes: number;
  readonly fetchedBytes: number;
}

export interface TransferProgress {
  show(transfer: Transfer): void;
  /** Takes the bars away; lines that were written stay. */
  end(): void;
}

type Output = Pick<NodeJS.WriteStream, "isTTY" | "columns" | "write">;

const REDRAW_MS = 100;
const SPEED_MS = 5_000;
const FEWEST_COLUMNS = 40;
const MOST_FILES = 4;

/**
 * Shows a transfer: bars that are redrawn on a terminal; elsewhere a line for every tenth, so that a log stays short.
 */
export function createTransferProgress(
  title: string,
  output: Output = process.stderr,
  now: () => number = () => performance.now(),
): TransferProgress {
  return output.isTTY === true ? createBars(title, output, now) : createLines(title, output);
}

function createBars(title: string, output: Output, now: () => number): TransferProgress {
  const speed = createSpeed(now);
  let drawnAt = Number.NEGATIVE_INFINITY;
  let drawnLines = 0;
  const draw = (lines: readonly string[]): void => {
    const up = drawnLines > 0 ? `\u001b[${drawnLines}A\r` : "\r";
    output.write(`${up}\u001b[J${lines.map((line) => `${line}\n`).join("")}`);
    drawnLines = lines.length;
  };
  return {
    show(transfer) {
      speed.add(transfer.fetchedBytes);
      const isOver = transfer.files.every(({ state }) => state === "done");
      if (!isOver && now() - drawnAt < REDRAW_MS) return;
      drawnAt = now();
      const columns = Math.max(FEWEST_COLUMNS, (output.columns ?? 80) - 1);
      const running = transfer.files.filter(({ state }) => state === "running").slice(0, MOST_FILES);
      draw([
        formatTotal(title, transfer, speed.get(), columns),
        ...(transfer.files.length === 1 ? [] : running.map((file) => formatFile(file, columns))),
      ]);
    },
    end() {
      if (drawnLines > 0) draw([]);
    },
  };
}

function formatTotal(title: string, transfer: Transfer, speed: number, columns: number): string {
  const { bytes, doneBytes } = transfer;
  const share = bytes === undefined || bytes === 0 ? undefined : Math.min(1, doneBytes / bytes);
  const left = bytes === undefined || speed <= 0 ? "" : formatDuration((1000 * (bytes - doneBytes)) / speed);
  const facts = [
    share === undefined ? "" : `${String(Math.floor(100 * share)).padStart(3)} %`,
    bytes === undefined
      ? formatBytes(doneBytes).padStart(8)
      : `${formatBytes(doneBytes).padStart(8)} of ${formatBytes(bytes).padStart(7)}`,
    (speed <= 0 ? "" : `${formatBytes(Math.round(speed))}/s`).padStart(9),
    left.padStart(8),
  ].join("  ");
  const room = columns - facts.length - 4;
  const name = cut(title, Math.max(10, Math.min(title.length, room - 12)));
  const width = Math.max(6, room - name.length);
  return `${styleText("bold", name)}  ${drawBar(share ?? 0, Math.min(width, 40))}  ${facts}`.trimEnd();
}

function formatFile({ path, bytes, doneBytes }: Transfer["files"][number], columns: number): string {
  const share =
    bytes === undefined || bytes === 0 ? "" : `${Math.floor((100 * Math.min(doneBytes, bytes)) / bytes)} %`;
  const facts = `${share.padStart(5)}  ${formatBytes(bytes ?? doneBytes).padStart(8)}`;
  const width = columns - facts.length - 4;
  return styleText("dim", `  ${cutLeft(path, width).padEnd(width)}  ${facts}`);
}

function drawBar(share: number, width: number): string {
  const filled = Math.round(share * width);
  return styleText("cyan", "█".repeat(filled)) + styleText("dim", "░".repeat(width - filled));
}

function createLines(title: string, output: Output): TransferProgress {
  let tenth = -1;
  return {
    show({ bytes, doneBytes, files }) {
      const done = files.filter(({ state }) => state === "done").length;
      const next =
        bytes === undefined || bytes === 0
          ? Math.floor((10 * done) / files.length)
          : Math.floor((10 * doneBytes) / bytes);
      if (next <= tenth) return;
      tenth = next;
      const size =
        bytes === undefined ? formatBytes(doneBytes) : `${formatBytes(doneBytes)} of ${formatBytes(bytes)}`;
      output.write(`${title}: ${10 * next} %, ${size}, ${done} of ${files.length} files\n`);
    },
    end() {},
  };
}

/** Bytes per second over the last seconds. */
function createSpeed(now: () => number): { add(bytes: number): void; get(): number } {
  const samples: { at: number; bytes: number }[] = [];
  return {
    add(bytes) {
      const at = now();
      if (at - (samples.at(-1)?.at ?? Number.NEGATIVE_INFINITY) >= REDRAW_MS) samples.push({ at, bytes });
      while (samples.length > 2 && at - (samples[0]?.at ?? at) > SPEED_MS) samples.shift();
    },
    get() {
      const [first, last] = [samples[0], samples.at(-1)];
      if (first === undefined || last === undefined || last.at - first.at < 2 * REDRAW_MS) return 0;
      return (1000 * (last.bytes - first.bytes)) / (last.at - first.at);
    },
  };
}

function cut(text: string, width: number): string {
  return text.length <= width ? text : `${text.slice(0, Math.max(0, width - 1))}…`;
}

/** The end of a path says more than its beginning. */
function cutLeft(text: string, width: number): string {
  return text.length <= width ? text : `…${text.slice(text.length - width + 1)}`;
}
