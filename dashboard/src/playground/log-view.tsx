import { useVirtualizer } from "@tanstack/react-virtual";
import { type ReactNode, useEffect, useMemo, useRef, useState } from "react";
import type { LogLine } from "../api/event-stream.ts";
import { CopyButton } from "../code/code-block.tsx";

/** From so many lines on there is a field that filters them. */
const MANY = 20;
const LINE_PX = 21;

/**
 * Log lines of a request; stays at the newest unless one scrolled up. Draws only what is in view, so that 10,000 lines
 * scroll as ten do.
 */
export function LogView({ logs }: { readonly logs: readonly LogLine[] }): ReactNode {
  const [words, setWords] = useState("");
  const shown = useMemo(() => {
    const wanted = words.trim().toLowerCase();
    return wanted === "" ? logs : logs.filter(({ message }) => message.toLowerCase().includes(wanted));
  }, [logs, words]);
  const box = useRef<HTMLDivElement>(null);
  const isAtEnd = useRef(true);
  const lines = useVirtualizer({
    count: shown.length,
    getScrollElement: () => box.current,
    estimateSize: () => LINE_PX,
    overscan: 12,
  });
  const count = shown.length;
  useEffect(() => {
    if (count > 0 && isAtEnd.current) lines.scrollToIndex(count - 1, { align: "end" });
  }, [count, lines]);
  return (
    <div className="log-view">
      {logs.length < MANY ? null : (
        <div className="log-tools">
          <input
            className="input"
            type="search"
            placeholder="Find in the log"
            aria-label="Find in the log"
            value={words}
            onChange={(event) => setWords(event.target.value)}
          />
          <span className="muted" role="status">
            {words.trim() === ""
              ? `${logs.length.toLocaleString()} lines`
              : `${count.toLocaleString()} of ${logs.length.toLocaleString()} lines`}
          </span>
          <CopyButton text={formatLines(shown)} label="the log">
            Copy all
          </CopyButton>
        </div>
      )}
      <div
        ref={box}
        className="logs"
        role="log"
        aria-label="Log"
        // Lines that scroll into view are drawn anew; they are no news.
        aria-live="off"
        // biome-ignore lint/a11y/noNoninteractiveTabindex: a region that scrolls must be reachable by keyboard
        tabIndex={0}
        onScroll={({ currentTarget: element }) => {
          isAtEnd.current = element.scrollHeight - element.scrollTop - element.clientHeight < 30;
        }}
      >
        <div className="log-lines" style={{ height: lines.getTotalSize() }}>
          {lines.getVirtualItems().map(({ index, key, start }) => {
            const line = shown[index];
            if (line === undefined) return null;
            return (
              <div
                key={key}
                ref={lines.measureElement}
                data-index={index}
                className={`log log-${line.level.toLowerCase().replaceAll(/[^a-z]/g, "")}`}
                style={{ transform: `translateY(${start}px)` }}
              >
                <time>{formatClock(line.timestamp)}</time>
                <span>{line.message}</span>
              </div>
            );
          })}
        </div>
      </div>
    </div>
  );
}

function formatLines(lines: readonly LogLine[]): string {
  return lines.map(({ timestamp, level, message }) => `${timestamp} ${level} ${message}`).join("\n");
}

function formatClock(timestamp: string): string {
  const at = new Date(timestamp);
  return Number.isNaN(at.getTime()) ? "" : at.toLocaleTimeString([], { hour12: false });
}
