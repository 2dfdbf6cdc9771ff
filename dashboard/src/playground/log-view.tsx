import { type ReactNode, useEffect, useRef } from "react";
import type { LogLine } from "../api/watch-request.ts";

/** Log lines of a request; stays at the newest unless one scrolled up. Draws the last 2,000 only. */
export function LogView({ logs }: { readonly logs: readonly LogLine[] }): ReactNode {
  const box = useRef<HTMLDivElement>(null);
  const isAtEnd = useRef(true);
  const count = logs.length;
  useEffect(() => {
    const element = box.current;
    if (count > 0 && element !== null && isAtEnd.current) element.scrollTop = element.scrollHeight;
  }, [count]);
  const shown = logs.slice(-MAX_LINES);
  const hidden = count - shown.length;
  return (
    <div
      ref={box}
      className="logs"
      role="log"
      aria-label="Log"
      // biome-ignore lint/a11y/noNoninteractiveTabindex: a region that scrolls must be reachable by keyboard
      tabIndex={0}
      onScroll={({ currentTarget: element }) => {
        isAtEnd.current = element.scrollHeight - element.scrollTop - element.clientHeight < 30;
      }}
    >
      {hidden > 0 ? <div className="muted">{hidden} earlier lines are not shown</div> : null}
      {shown.map(({ timestamp, level, message }, index) => (
        // biome-ignore lint/suspicious/noArrayIndexKey: lines have no name but their place, which never changes
        <div key={hidden + index} className={`log log-${level.toLowerCase().replaceAll(/[^a-z]/g, "")}`}>
          <time>{formatClock(timestamp)}</time>
          <span>{message}</span>
        </div>
      ))}
    </div>
  );
}

const MAX_LINES = 2_000;

function formatClock(timestamp: string): string {
  const at = new Date(timestamp);
  return Number.isNaN(at.getTime()) ? "" : at.toLocaleTimeString([], { hour12: false });
}
